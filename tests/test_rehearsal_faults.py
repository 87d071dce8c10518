"""Negative controls: the same scenarios with something sabotaged have to fail, and say at what."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from spotkeeper_lab import scenario
from spotkeeper_lab.live import Lines
from spotkeeper_lab.local_aws import LocalAws
from spotkeeper_lab.rehearsal import Rehearsal
from spotkeeper_lab.scenario import Market, Scenario
from spotkeeper_lab.situation import Situation
from spotkeeper_lab.steps import Step

pytestmark = pytest.mark.rehearsal

Meddle = Callable[[Situation, LocalAws], None]


def told(story: Scenario, work_dir: Path, meddle: Meddle | None = None) -> str:
    """Play a scenario, and return what it says is broken."""
    report = Rehearsal(story, work_dir, Lines(Console(file=io.StringIO())), meddle=meddle).run().report
    assert not report["ok"]
    return "\n".join(report["broken_promises"])


def until(story: Scenario, do: str, then: Step) -> Scenario:
    """Return a scenario that goes on to ``then``, and ends, after the last step that does ``do``."""
    found = max(number for number, step in enumerate(story.steps) if step.do == do)
    return replace(story, steps=(*story.steps[: found + 1], then))


def lasting(story: Scenario, **changes: Mapping[str, float]) -> Scenario:
    """Return a scenario with other durations of the fleet or the cloud."""
    changed = {part: {**getattr(story.durations, part), **values} for part, values in changes.items()}
    return replace(story, durations=replace(story.durations, **changed))


def test_if_nobody_looks_again_a_function_that_died_is_missed(tmp_path):
    story = scenario.load("crash")
    story = lasting(story, fleet={"notice_seconds": 6.0}, cloud={"visibility_seconds": 3600.0, "tick_seconds": 3600.0})
    broken = told(until(story, "interrupt", Step("wait", "reclaimed")), tmp_path)
    assert "the responder never signalled" in broken
    assert "what the dead function had been given was not given to another one" in broken


def test_if_every_call_is_refused_for_the_whole_notice_nothing_is_said_or_bought_in_time(tmp_path):
    story = scenario.load("throttle")
    steps = [replace(step, share=1.0, seconds=60.0) if step.do == "throttle" else step for step in story.steps]
    story = lasting(replace(story, steps=tuple(steps)), fleet={"notice_seconds": 4.0})
    broken = told(until(story, "interrupt", Step("wait", "reclaimed")), tmp_path)
    assert "the responder never signalled" in broken
    assert "0 on-demand nodes were asked for when" in broken


def test_a_size_that_is_touched_in_the_dark_is_told(tmp_path):
    def touch(now: Situation, local: LocalAws) -> None:
        if len(now.interrupted) > 1 and now.faults and now.backup_desired == 0:
            groups = local.client("autoscaling").describe_auto_scaling_groups()["AutoScalingGroups"]
            (backup,) = (group["AutoScalingGroupName"] for group in groups if not group["DesiredCapacity"])
            local.client("autoscaling").set_desired_capacity(AutoScalingGroupName=backup, DesiredCapacity=1)

    story = scenario.load("dark")
    broken = told(until(story, "interrupt", Step("wait", "faults-over")), tmp_path, touch)
    assert "1 backup nodes were asked for" in broken


def test_launches_that_fail_for_lack_of_capacity_buy_and_ring_no_alarm(tmp_path):
    story = replace(scenario.load("quota"), market=Market(capacity=2, why="capacity"))
    broken = told(replace(story, steps=(Step("wait", "backup-requested", within=20),)), tmp_path)
    assert "waited for backup-requested" not in broken, "on-demand is bought, which a quota would not have done"
    assert "the alarm quota did not ring" in broken
    assert "the alarm configuration did not ring" in broken
