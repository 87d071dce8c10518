from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any, cast

from spotkeeper_lab.changes import Changes
from spotkeeper_lab.deployment import Stack
from spotkeeper_lab.local import EventLog


class SlowStack:
    """Takes as long as it is told to, and refuses what it does not like."""

    def __init__(self) -> None:
        self.may_go_on = threading.Event()
        self.seen: list[Mapping[str, Any]] = []

    def up(self, values: Mapping[str, Any]) -> None:
        self.may_go_on.wait()
        self.seen.append(values)
        if values["nodes"] < 0:
            raise ValueError("nodes: was -1")

    def destroy_fleet(self) -> list[str]:
        return ["the spec"]


def test_nobody_waits_for_changes_and_they_are_made_one_after_the_other():
    stack, events = SlowStack(), EventLog()
    changes = Changes(cast(Stack, stack), events)
    changes.deploy({"nodes": 3})
    changes.deploy({"nodes": 4})
    changes.destroy()
    assert [moment.what for moment in events.moments()] == ["deploying"] * 3
    stack.may_go_on.set()
    changes.close()
    assert stack.seen == [{"nodes": 3}, {"nodes": 4}]
    ended = [(moment.what, moment.detail["change"]) for moment in events.moments()[3:]]
    assert ended == [("deployed", "deploy"), ("deployed", "deploy"), ("deployed", "destroy")]
    assert events.moments()[-1].detail["left"] == ["the spec"]


def test_a_change_that_fails_is_told_and_the_next_one_is_made():
    stack, events = SlowStack(), EventLog()
    changes = Changes(cast(Stack, stack), events)
    stack.may_go_on.set()
    changes.deploy({"nodes": -1})
    changes.destroy()
    changes.close()
    (failed,) = [moment for moment in events.moments() if moment.what == "deploy-failed"]
    assert failed.detail["change"] == "deploy"
    assert "ValueError: nodes: was -1" in failed.detail["error"]
    assert events.moments()[-1].what == "deployed"
