import json
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from local_aws_support import archive
from spotkeeper_lab.local_aws.function import Deployed, Function, FunctionFailed, FunctionKilled

Make = Callable[..., Function]


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    made: list[Function] = []

    def make_one(files: Mapping[str, str] | str, *, timeout: float = 20.0, handler: str = "made.handle") -> Function:
        code = archive({"made.py": files} if isinstance(files, str) else files)
        deployed = Deployed("name", "arn:made", handler, code, {"OWN": "1", "AWS_REGION": "here"}, timeout, 256)
        made.append(Function(deployed, tmp_path / str(len(made)), {"AWS_REGION": "there", "SHARED": "2"}))
        return made[-1]

    yield make_one
    for function in made:
        function.close()


def test_a_function_gets_its_event_and_gives_its_result(make: Make) -> None:
    function = make("def handle(event, context): return {'seen': event}")
    assert function.invoke({"a": [1, "ü"]}) == {"seen": {"a": [1, "ü"]}}


def test_the_archive_and_not_the_source_tree_is_what_runs(make: Make) -> None:
    function = make(
        {
            "spotkeeper_ledger/__init__.py": "WHOSE = 'the archive'",
            "made.py": """
import spotkeeper_ledger
def found(name):
    try:
        __import__(name)
    except ImportError:
        return False
    return True
def handle(event, context):
    return [spotkeeper_ledger.WHOSE, spotkeeper_ledger.__file__, [name for name in event if found(name)]]
""",
        }
    )
    inside = ["boto3", "botocore", "json", "spotkeeper_responder", "spotkeeper_lab", "pulumi", "moto", "yaml", "numpy"]
    whose, path, importable = function.invoke(inside)
    assert whose == "the archive"
    assert Path(path).is_relative_to(function.log.parent / "task")
    assert importable == ["boto3", "botocore", "json"]


def test_the_environment_is_lambdas_and_the_functions_own(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("USERS_OWN", "secret")
    environment = make("import os\ndef handle(event, context): return dict(os.environ)").invoke(None)
    assert environment["AWS_LAMBDA_FUNCTION_NAME"] == "name"
    assert environment["AWS_LAMBDA_FUNCTION_MEMORY_SIZE"] == "256"
    assert (environment["OWN"], environment["SHARED"], environment["AWS_REGION"]) == ("1", "2", "here")
    assert "USERS_OWN" not in environment


def test_the_context_tells_the_time_left(make: Make) -> None:
    source = """
def handle(event, context):
    return [context.get_remaining_time_in_millis(), context.function_name, context.invoked_function_arn,
            len(context.aws_request_id)]
"""
    left, name, arn, length = make(source, timeout=10).invoke(None)
    assert 5_000 < left <= 10_000
    assert (name, arn, length) == ("name", "arn:made", 36)


def test_the_process_is_kept_between_invocations(make: Make) -> None:
    function = make("import os\ndef handle(event, context): return os.getpid()")
    function.warm_up()
    assert function.invoke(None) == function.invoke(None) != os.getpid()


def test_an_error_of_the_function_is_told_and_the_next_invocation_works(make: Make) -> None:
    function = make("def handle(event, context): return 1 / event")
    with pytest.raises(FunctionFailed, match="ZeroDivisionError: division by zero"):
        function.invoke(0)
    assert function.invoke(1) == 1


def test_an_invocation_that_takes_too_long_is_ended_with_its_process(make: Make) -> None:
    source = """
import os, time
def handle(event, context):
    if event == "slow":
        time.sleep(600)
    return os.getpid()
"""
    function = make(source, timeout=1)
    first = function.invoke("fast")
    with pytest.raises(FunctionFailed, match=r"name timed out after 1\.0 s"):
        function.invoke("slow")
    assert not Path(f"/proc/{first}").exists()
    assert function.invoke("fast") != first


def test_a_process_that_ends_is_an_error(make: Make) -> None:
    function = make("import os\ndef handle(event, context): os._exit(1) if event else None")
    with pytest.raises(FunctionFailed, match="name ended its process"):
        function.invoke(True)
    assert function.invoke(False) is None


@pytest.mark.parametrize(
    ("source", "handler", "words"),
    [
        ("import nothing_of_the_kind", "made.handle", "No module named 'nothing_of_the_kind'"),
        ("", "made.handle", "module 'made' has no attribute 'handle'"),
        ("", "other.handle", "No module named 'other'"),
    ],
)
def test_a_handler_that_cannot_be_imported_is_named(make: Make, source: str, handler: str, words: str) -> None:
    with pytest.raises(FunctionFailed, match=f"{handler} cannot be imported: {words}"):
        make(source, handler=handler).warm_up()


def test_metrics_are_read_from_what_the_function_prints(make: Make) -> None:
    document = {
        "_aws": {
            "Timestamp": 1_700_000_000_500,
            "CloudWatchMetrics": [
                {
                    "Namespace": "Spotkeeper",
                    "Dimensions": [["Fleet"], ["Fleet", "Zone"]],
                    "Metrics": [{"Name": "Notices"}, {"Name": "SecondsToSignal", "Unit": "Seconds"}],
                }
            ],
        },
        "Fleet": "f",
        "Zone": "z",
        "Notices": 2,
        "SecondsToSignal": [0.5, 1.5],
    }
    source = """
import logging
def handle(event, context):
    print(event)
    print('{"_aws": "not a metric"}')
    logging.getLogger("own").warning("logged %s", 1)
"""
    function = make(source)
    function.invoke(json.dumps(document))
    found = [(m.at, m.namespace, m.name, m.value, dict(m.dimensions)) for m in function.metrics()]
    assert found == [
        (1_700_000_000.5, "Spotkeeper", name, value, dimensions)
        for dimensions in ({"Fleet": "f"}, {"Fleet": "f", "Zone": "z"})
        for name, value in (("Notices", 2.0), ("SecondsToSignal", 0.5), ("SecondsToSignal", 1.5))
    ]
    logged: dict[str, Any] = json.loads(function.output()[-1])
    assert (logged["level"], logged["message"], logged["logger"]) == ("WARNING", "logged 1", "own")


def test_a_function_that_is_killed_says_so_and_the_next_invocation_is_served_by_another(make: Make) -> None:
    source = """
import os, pathlib, time
def handle(event, context):
    if event:
        pathlib.Path(event).touch()
        time.sleep(600)
    return os.getpid()
"""
    function = make(source)
    function.kill()  # nothing runs yet
    first = function.invoke(None)
    asked = function.log.parent / "asked"

    def kill() -> None:
        while not asked.exists():
            time.sleep(0.01)
        function.kill()

    killer = threading.Thread(target=kill)
    killer.start()
    with pytest.raises(FunctionKilled, match="name was killed"):
        function.invoke(str(asked))
    killer.join()
    assert not Path(f"/proc/{first}").exists()
    assert function.invoke(None) != first


def test_a_closed_function_does_nothing(make: Make) -> None:
    function = make("import os\ndef handle(event, context): return os.getpid()")
    process = function.invoke(None)
    function.close()
    assert not Path(f"/proc/{process}").exists()
    with pytest.raises(FunctionFailed, match="closed"):
        function.invoke(None)
