from __future__ import annotations

import io
from dataclasses import replace

import pytest
from rich.console import Console

from spotkeeper_lab.live import Lines, LiveTable, doing, draw
from spotkeeper_lab.local.moments import Moment
from spotkeeper_lab.news import sentence
from spotkeeper_lab.situation import NodeState, Situation

HOLDER = NodeState("i-a", "spot", 100, serving=True)
SPARE = NodeState("i-b", "spot", 100, serving=True)
BOUGHT = NodeState("i-z", "backup", 108, serving=False)
NOW = Situation(
    at=110,
    spot_target=2,
    base=0,
    nodes=(HOLDER, SPARE, BOUGHT),
    spot_desired=2,
    backup_desired=1,
    generation=1,
    holder="i-a",
    generation_state="running",
    job_state="running",
    step=120,
    total=460,
    published_step=100,
)
MOMENTS = [
    Moment(100, "instance-launched", "i-a", {"group": "spot"}),
    Moment(107.5, "desired-changed", None, {"group": "backup", "desired": 1}),
    Moment(108, "function-invoked", None, {"batch": 3}),
]


def console() -> Console:
    return Console(file=io.StringIO(), width=120, force_terminal=True, color_system=None)


def shown(now: Situation) -> str:
    screen = console()
    screen.print(draw(now, MOMENTS, title="storm", started_at=100, waiting_for="interrupt when training"))
    return screen.file.getvalue()  # type: ignore[attr-defined]


def test_the_table_says_what_every_node_does_how_far_the_job_is_and_what_was_asked_for():
    text = shown(NOW)
    for part in (
        "storm   10 s   next: interrupt when training",
        "step 120 of 460",
        "saved at 100",
        "spot 2 serving of 2 asked for",
        "on-demand 0 serving of 1 asked for",
        "runs the job",
        "starting",
        "7.5 s  on-demand nodes asked for: 1",
    ):
        assert part in text
    assert "function" not in text


@pytest.mark.parametrize(
    ("node", "words"),
    [
        (HOLDER, "runs the job"),
        (replace(HOLDER, notice="rebalance"), "runs the job, after a rebalance notice"),
        (replace(HOLDER, notice="interruption", leaving=True), "interruption: saving"),
        (replace(SPARE, notice="drain", leaving=True), "drain: leaving"),
        (SPARE, "spare"),
        (BOUGHT, "starting"),
    ],
)
def test_what_a_node_does(node, words):
    assert doing(node, NOW)[0] == words


def test_before_the_job_starts():
    assert "job: not started" in shown(replace(NOW, nodes=(), holder=None, step=None, total=None, job_state=""))


def test_lines_tell_everything_once_and_who_takes_the_job():
    target = io.StringIO()
    with Lines(Console(file=target, width=40)) as view:
        view.say("Creating the stack.")
        view.show(NOW, MOMENTS[:1], "training")
        view.show(NOW, MOMENTS, "training")
    assert target.getvalue().splitlines() == [
        "Creating the stack.",
        "   0.0 s  i-a  spot node launched",
        "  10.0 s  i-a  runs the job (generation 1)",
        "   7.5 s  on-demand nodes asked for: 1",
    ]


def test_who_runs_the_job_together_is_told_in_the_table_and_in_lines():
    together = replace(NOW, others=("i-b",), generation=2)
    assert [doing(node, together)[0] for node in (HOLDER, SPARE)] == ["runs the job", "runs the job"]
    target = io.StringIO()
    with Lines(Console(file=target, width=40)) as view:
        view.show(replace(together, generation_state="forming"), [], "training")
        view.show(together, [], "training")
        view.show(together, [], "training")
    assert target.getvalue() == "   0.0 s  i-a, i-b  run the job (generation 2)\n"


def test_the_live_table_leaves_nothing_but_what_was_said():
    screen = console()
    with LiveTable(screen, "storm") as view:
        view.say("Creating the stack.")
        view.show(NOW, MOMENTS, "training")
    text = screen.file.getvalue()  # type: ignore[attr-defined]
    assert "Creating the stack." in text
    assert "step 120 of 460" in text
    assert text.endswith("\x1b[2K")


def test_failures_are_told_and_small_things_are_not():
    assert "FAILED" in str(sentence(Moment(0, "function-failed", None, {"error": "boom"})))
    assert sentence(Moment(0, "function-invoked", None, {})) is None
