"""A rehearsal: the whole system on this machine, with real interruptions of real processes, and a report of it."""

from __future__ import annotations

import contextlib
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spotkeeper_lab import collection, deployment, jobs, report
from spotkeeper_lab.actions import Actions
from spotkeeper_lab.live import View
from spotkeeper_lab.local_aws import EventLog, LocalAws, Timing
from spotkeeper_lab.observe import Observer
from spotkeeper_lab.proof import Evidence
from spotkeeper_lab.recording import build
from spotkeeper_lab.scenario import Scenario, Step
from spotkeeper_lab.situation import CONDITIONS, Situation
from spotkeeper_lab.timeline import Timeline

LOOK_SECONDS = 0.25
"""How often a rehearsal looks."""
UNINTERRUPTED_SECONDS = 120.0
"""How long the uninterrupted run may take."""
FAILURES = {
    "node-failed": "the agent of {node} failed: {detail}",
    "function-failed": "the responder failed: {detail}",
    "local-cloud-failed": "the local cloud failed: {detail}",
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
        trainer: str = "digits",
        responder: bool = True,
        meddle: Callable[[Situation, LocalAws], None] | None = None,
    ) -> None:
        self._scenario, self._work_dir, self._view = scenario, work_dir, view
        self._responder, self._meddle = responder, meddle
        self._job = jobs.job(trainer, scenario.trainer, scenario.durations.step_seconds, work_dir)
        self._missed: list[str] = []

    def run(self) -> Outcome:
        """Play the scenario. All processes that it started are gone when it returns or raises."""
        with contextlib.ExitStack() as closing:
            compared = (
                closing.enter_context(_uninterrupted(self._scenario, self._work_dir)) if self._job.trains else None
            )
            events = EventLog()
            timing = Timing(notice_seconds=self._scenario.durations.notice_seconds, **self._scenario.durations.cloud)
            local = LocalAws(self._work_dir / "aws", timing, events=events)
            closing.callback(local.close)  # what failed in it is told in the report
            observer = self._deploy(local)
            self._play(local, observer)
            timeline, calls = build(observer.record()), local.calls.snapshot()
            if compared:
                with contextlib.suppress(subprocess.TimeoutExpired):  # then there is no digest, which is told
                    compared.wait(UNINTERRUPTED_SECONDS)
        evidence = Evidence(
            timeline=timeline,
            expect=self._scenario.expect,
            trains=self._job.trains,
            digest=jobs.result(self._job.result_file).get("digest"),
            uninterrupted_digest=jobs.result(self._work_dir / "uninterrupted.json").get("digest"),
            missed=[*self._missed, *_failures(events)],
        )
        return Outcome(report.build(self._scenario, evidence, calls), timeline)

    def _deploy(self, local: LocalAws) -> Observer:
        self._view.say("Creating the stack: the real program, on a local AWS.")
        with collection.paused():
            deployed = deployment.deploy(local, self._scenario, self._job.command)
        if self._responder:
            local.deploy_function()
        epochs = self._scenario.trainer.epochs if self._job.trains else None
        return Observer(local, deployed.bucket, deployed.fleet, deployed.shape, epochs)

    def _play(self, local: LocalAws, observer: Observer) -> None:
        actions = Actions(local, observer, self._scenario.durations.notice_seconds, self._job.finish_file)
        for number, step in enumerate(self._scenario.steps, 1):
            now = self._wait(local, observer, step, number)
            if now is None:
                return
            actions.do(step, now)

    def _wait(self, local: LocalAws, observer: Observer, step: Step, number: int) -> Situation | None:
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

    def _look(self, local: LocalAws, observer: Observer, step: Step) -> Situation:
        now = observer.look()
        self._view.show(now, local.events.moments(), f"{step.do} when {step.when}")
        if self._meddle:
            self._meddle(now, local)
        return now


def _told(now: Situation) -> str:
    spot, backup = len(now.serving("spot")), len(now.serving("backup"))
    return (
        f"{spot} of {now.spot_desired} spot and {backup} of {now.backup_desired} on-demand nodes serve, "
        f"the job is {now.job_state or 'not started'} on {now.holder or 'no node'} at step {now.step}"
    )


def _failures(events: EventLog) -> Iterator[str]:
    for moment in events.moments():
        if moment.what in FAILURES:
            yield FAILURES[moment.what].format(node=moment.node, detail=dict(moment.detail))


@contextlib.contextmanager
def _uninterrupted(scenario: Scenario, work_dir: Path) -> Iterator[subprocess.Popen[bytes]]:
    process = jobs.start_uninterrupted(scenario.trainer, work_dir)
    try:
        yield process
    finally:
        process.kill()
        process.wait()
