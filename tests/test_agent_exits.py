from __future__ import annotations

import pytest

from spotkeeper_agent.exits import Exit, judge, restart_pause


@pytest.mark.parametrize(
    ("code", "facts", "judged"),
    [
        (0, {}, Exit.FINISHED),
        (0, {"leaving": True}, Exit.FINISHED),
        (0, {"leaving": True, "told_to_stop": True}, Exit.NOTICE),
        (0, {"lost": True}, Exit.LOST),
        (75, {"leaving": True}, Exit.NOTICE),
        (75, {}, Exit.CRASH),
        (76, {}, Exit.FENCED),
        (76, {"leaving": True}, Exit.NOTICE),
        (76, {"crashes": 3}, Exit.FAILED),
        (-9, {"lost": True, "leaving": True}, Exit.LOST),
        (1, {"leaving": True, "crashes": 3}, Exit.NOTICE),
        (1, {"crashes": 2}, Exit.CRASH),
        (1, {"crashes": 3}, Exit.FAILED),
        (-11, {}, Exit.CRASH),
    ],
)
def test_why_a_command_ended(code: int, facts: dict[str, int], judged: Exit) -> None:
    asked = {"lost": False, "leaving": False, "told_to_stop": False, "crashes": 0, "max_restarts": 3, **facts}
    assert judge(code, **asked) is judged  # type: ignore[arg-type]


def test_without_a_budget_the_first_crash_is_the_end() -> None:
    judged = judge(1, lost=False, leaving=False, told_to_stop=False, crashes=0, max_restarts=0)
    assert judged is Exit.FAILED


def test_pauses_double_up_to_a_minute() -> None:
    assert [restart_pause(crashes) for crashes in (1, 2, 3, 7, 100)] == [1, 2, 4, 60, 60]
