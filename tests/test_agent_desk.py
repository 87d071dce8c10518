from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from agent_support import FLEET, Fleet, a_node, write_config
from spotkeeper_agent.config import load_config
from spotkeeper_agent.desk import Desk
from spotkeeper_agent.notices import Word


@pytest.fixture
def heard() -> list[Word]:
    return []


@pytest.fixture
def desk(tmp_path: Path, heard: list[Word]) -> Desk:
    config = load_config(write_config(tmp_path, Fleet(tmp_path), command="train"))
    return Desk(config, a_node("i-1"), heard.append, lambda: {"role": "spare"})


def notice(**said: Any) -> dict[str, Any]:
    return {"request": "notice", "kind": "interruption", **said}


def test_a_notice_is_heard(desk: Desk, heard: list[Word]) -> None:
    assert desk.answer(notice(deadline=5, drill=True, source="command")) == {"accepted": True, "node": "i-1"}
    (word,) = heard
    assert (word.kind, word.deadline, word.drill, word.source) == ("interruption", 5, True, "command")
    assert abs(word.at - time.time()) < 5


@pytest.mark.parametrize(
    ("said", "accepted"),
    [
        ({}, True),
        ({"fleet": FLEET, "nodes": ["i-0", "i-1"]}, True),
        ({"fleet": "another"}, False),
        ({"nodes": ["i-2"]}, False),
        ({"nodes": []}, False),
    ],
)
def test_only_what_is_meant_for_this_node_is_heard(
    desk: Desk, heard: list[Word], said: dict[str, Any], accepted: bool
) -> None:
    assert desk.answer(notice(**said))["accepted"] is accepted
    assert len(heard) == accepted


def test_status_is_what_the_agent_says(desk: Desk) -> None:
    assert desk.answer({"request": "status"}) == {"role": "spare"}


@pytest.mark.parametrize(
    ("request_", "said"),
    [
        ({}, "request: was None, expected 'notice', 'status' or 'logs'"),
        (notice(kind="levitation"), "kind: was 'levitation', expected one of interruption"),
        (notice(deadline="soon"), "deadline: was 'soon', expected Unix seconds or null"),
        (notice(deadline=True), "deadline: was True"),
        (notice(nodes=5), "nodes: was 5, expected a list of instance ids or null"),
    ],
)
def test_what_cannot_be_used_is_named(desk: Desk, heard: list[Word], request_: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match="was") as refused:
        desk.answer(request_)
    assert said in str(refused.value)
    assert not heard
