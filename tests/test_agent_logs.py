from __future__ import annotations

import io
import json
import time
from pathlib import Path

import pytest

from spotkeeper_agent.logs import log


def test_a_line_is_one_json_object(capsys: pytest.CaptureFixture[str]) -> None:
    log("notice", kind="drain", deadline=None, where=Path("/run"), text="two\nlines")
    (line,) = capsys.readouterr().out.splitlines()
    said = json.loads(line)
    assert abs(said.pop("at") - time.time()) < 10
    assert said == {"event": "notice", "kind": "drain", "where": "/run", "text": "two\nlines"}


def test_a_log_that_cannot_be_written_stops_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    closed = io.StringIO()
    closed.close()
    monkeypatch.setattr("sys.stdout", closed)
    log("notice")
