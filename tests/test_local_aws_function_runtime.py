import io
import json
import logging
import time
from pathlib import Path

import pytest

from spotkeeper_lab.local_aws.function_runtime import Context, JsonLines, described, serve


def conversation(handler: str, *requests: dict[str, object]) -> list[dict[str, object]]:
    answers = io.StringIO()
    serve(handler, io.StringIO("".join(json.dumps(request) + "\n" for request in requests)), answers)
    return [json.loads(line) for line in answers.getvalue().splitlines()]


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "made_for_serve.py").write_text("def handle(event, context): return [event, context.aws_request_id]")
    monkeypatch.syspath_prepend(str(tmp_path))


def test_every_request_gets_one_answer_in_order(made: None) -> None:
    requests = [{"id": "1", "deadline": 0, "event": "a"}, {"id": "2", "deadline": 0, "event": "b"}]
    assert conversation("made_for_serve.handle", *requests) == [
        {"ready": True},
        {"id": "1", "result": ["a", "1"]},
        {"id": "2", "result": ["b", "2"]},
    ]


def test_a_handler_that_is_not_there_is_the_only_answer() -> None:
    (answer,) = conversation("nothing_of_the_kind.handle", {"id": "1", "deadline": 0, "event": None})
    assert answer["error"]["errorType"] == "ModuleNotFoundError"  # type: ignore[index]  # an object


def test_a_result_that_is_no_json_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "made_to_fail.py").write_text("def handle(event, context): return {1, 2}")
    monkeypatch.syspath_prepend(str(tmp_path))
    _, answer = conversation("made_to_fail.handle", {"id": "1", "deadline": 0, "event": None})
    assert answer["error"]["errorType"] == "TypeError"  # type: ignore[index]  # an object


def test_the_time_left_is_never_negative() -> None:
    assert Context("1", deadline=time.time() - 1).get_remaining_time_in_millis() == 0
    assert 59_000 < Context("1", deadline=time.time() + 60).get_remaining_time_in_millis() <= 60_000


def test_log_records_and_errors_are_written_as_lambda_writes_them() -> None:
    try:
        raise ValueError("wrong")
    except ValueError as error:
        told = described(error)
        record = logging.LogRecord("own", logging.ERROR, "file", 1, "said %s", ("it",), (ValueError, error, None))
    assert (told["errorType"], told["errorMessage"]) == ("ValueError", "wrong")
    assert "Traceback" in told["stackTrace"][0]
    line = json.loads(JsonLines().format(record))
    assert (line["level"], line["message"], line["logger"]) == ("ERROR", "said it", "own")
    assert "ValueError: wrong" in line["stackTrace"]
    assert line["timestamp"].endswith("Z")
