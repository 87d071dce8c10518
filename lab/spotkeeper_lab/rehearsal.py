"""A rehearsal: the whole system on this machine, with real interruptions of real processes, and a report of it."""

from __future__ import annotations

import contextlib
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spotkeeper_lab import deployment, jobs, report
from spotkeeper_lab.actions import Actions
from spotkeeper_lab.changes import Changes
from spotkeeper_lab.evidence import Evidence
from spotkeeper_lab.live import View
from spotkeeper_lab.local import EventLog
from spotkeeper_lab.observe import Observer
from spotkeeper_lab.recording import build
from spotkeeper_lab.scenario import Scenario
from spotkeeper_lab.situation import CONDITIONS, Situation
from spotkeeper_lab.stages import open_stage
from spotkeeper_lab.stages.stage import LocalCloud, Stage
from spotkeeper_lab.steps import Step
from spotkeeper_lab.timeline import Timeline

LOOK_SECONDS = 0.25
"""How often a rehearsal looks."""
UNINTERRUPTED_SECONDS = 120.0
"""How long the uninterrupted run may take."""
FAILURES = {
    "node-failed": "the agent of {node} failed: {detail}",
    "function-failed": "the responder failed: {detail}",
    "local-cloud-failed": "the local cloud failed: {detail}",
    "deploy-failed": "a deploy failed: {detail}",
}
"""Moments that are a broken promise by themselves."""


@dataclass(frozen=True)
class Outcome:
    """What a rehearsal came to."""

    report: dict[str, Any]
    timeline: Timeline


class Rehearsal:
    """One scenario, played once.

    Args:
        scenario: What happens.
        work_dir: An empty folder for everything that is written.
        view: Who watches.
        cloud: One of :data:`spotkeeper_lab.stages.CLOUDS`.
        trainer: One of :data:`spotkeeper_lab.jobs.TRAINERS`.
        responder: Whether the responder runs; a rehearsal without it has to fail.
        meddle: Called with the local cloud at every look, for rehearsals of what must not go unnoticed.
    """

    def __init__(
        self,
        scenario: Scenario,
        work_dir: Path,
        view: View,
        *,
        cloud: str = "aws",
        trainer: str = "digits",
        responder: bool = True,
        meddle: Callable[[Situation, Any], None] | None = None,
    ) -> None:
        self._scenario, self._work_dir, self._view, self._cloud = scenario, work_dir, view, cloud
        self._responder, self._meddle = responder, meddle
        step_seconds, elastic = scenario.durations.step_seconds, scenario.elastic
        self._job = jobs.job(trainer, scenario.trainer, step_seconds, work_dir, elastic=elastic)
        self._missed: list[str] = []

    def run(self) -> Outcome:
        """Play the scenario. All processes that it started are gone when it returns or raises."""
        with contextlib.ExitStack() as closing:
            compared = (
                closing.enter_context(_uninterrupted(self._scenario, self._work_dir)) if self._job.trains else None
            )
            events = EventLog()
            stage = open_stage(self._cloud, self._work_dir / self._cloud, self._scenario.durations, events)
            closing.callback(stage.local.close)  # what failed in it is told in the report
            stage.local.market.set_capacity(self._scenario.market.capacity, self._scenario.market.why)
            stack = deployment.Stack(stage, self._scenario, self._job.command)
            observer = self._deploy(stage, stack)
            changes = Changes(stack, events)
            closing.callback(changes.close)
            self._play(stage, observer, changes)
            timeline, calls = build(observer.record()), stage.local.calls.snapshot()
            gone_on = self._go_on(stage, timeline) if self._job.trains and timeline.destroyed else None
            if compared:
                with contextlib.suppress(subprocess.TimeoutExpired):  # then there is no digest, which is told
                    compared.wait(UNINTERRUPTED_SECONDS)
        final = jobs.result(self._job.result_file)
        uninterrupted = jobs.result(self._work_dir / "uninterrupted.json")
        evidence = Evidence(
            timeline=timeline,
            expect=self._scenario.expect,
            trains=self._job.trains,
            digest=gone_on.digest if gone_on else final.get("digest"),
            uninterrupted_digest=uninterrupted.get("digest"),
            elastic=self._scenario.elastic,
            final=final,
            uninterrupted=uninterrupted,
            steps_unsaved=jobs.steps_unsaved(self._scenario.trainer, self._scenario.durations.step_seconds),
            commands=stage.commands,
            hooks=stage.hooks,
            on_destroy=self._scenario.on_destroy,
            resumed_step=gone_on.resume_step if gone_on else None,
            unnoticed_seconds=self._scenario.durations.unnoticed_seconds,
            missed=[*self._missed, *_failures(events)],
        )
        return Outcome(report.build(self._scenario, evidence, calls, cloud=self._cloud), timeline)

    def _deploy(self, stage: Stage, stack: deployment.Stack) -> Observer:
        self._view.say(f"Creating the stack: the real program, on a local {stage.title}.")
        deployed = stack.create()
        if self._responder:
            stage.local.deploy_function()
        epochs = self._scenario.trainer.epochs if self._job.trains else None
        return Observer(stage, deployed, epochs)

    def _go_on(self, stage: Stage, timeline: Timeline) -> jobs.GoneOn:
        """Let the training of a destroyed fleet come to its end after all, from what the fleet has left."""
        generation = max((each.generation for each in timeline.holdings), default=0) + 1
        where = stage.local.environment("lab")
        settings, uri, elastic = self._scenario.trainer, stage.checkpoint_uri, self._scenario.elastic
        return jobs.go_on(settings, uri, generation, self._work_dir, where, elastic=elastic)

    def _play(self, stage: Stage, observer: Observer, changes: Changes) -> None:
        notice_seconds = self._scenario.notice_seconds(self._cloud)
        actions = Actions(stage, observer, notice_seconds, self._job.finish_file, changes)
        for number, step in enumerate(self._scenario.steps, 1):
            now = self._wait(stage.local, observer, step, number)
            if now is None:
                return
            actions.do(step, now)

    def _wait(self, local: LocalCloud, observer: Observer, step: Step, number: int) -> Situation | None:
        """Look until the step's condition holds and its delay is over; return what is then, or ``None``."""
        explanation, holds = CONDITIONS[step.when]
        patience = self._scenario.durations.patience_seconds if step.within is None else step.within
        give_up_at, go_at = time.monotonic() + patience, None
        while True:
            now = self._look(local, observer, step)
            if go_at is None and holds(now):
                go_at = time.monotonic() + step.after
            if go_at is not None and time.monotonic() >= go_at:
                return now
            if go_at is None and (now.job_state == "failed" or time.monotonic() > give_up_at):
                why = "the job failed" if now.job_state == "failed" else f"it did not come within {patience:.0f} s"
                self._missed.append(f"step {number} waited for {step.when} ({explanation}): {why}; {_told(now)}")
                return None
            time.sleep(LOOK_SECONDS)

    def _look(self, local: LocalCloud, observer: Observer, step: Step) -> Situation:
        now = observer.look()
        self._view.show(now, local.events.moments(), f"{step.do} when {step.when}")
        if self._meddle:
            self._meddle(now, local)
        return now


def _told(now: Situation) -> str:
    spot, backup = len(now.serving("spot")), len(now.serving("backup"))
    return (
        f"{spot} of {now.spot_desired} spot and {backup} of {now.backup_desired} on-demand nodes serve, "
        f"the job is {now.job_state or 'not started'} on {', '.join(now.members) or 'no node'} at step {now.step}"
    )


def _failures(events: EventLog) -> Iterator[str]:
    for moment in events.moments():
        if moment.what in FAILURES:
            yield FAILURES[moment.what].format(node=moment.node, detail=dict(moment.detail))


@contextlib.contextmanager
def _uninterrupted(scenario: Scenario, work_dir: Path) -> Iterator[subprocess.Popen[bytes]]:
    process = jobs.start_uninterrupted(scenario.trainer, work_dir, elastic=scenario.elastic)
    try:
        yield process
    finally:
        process.kill()
        process.wait()
