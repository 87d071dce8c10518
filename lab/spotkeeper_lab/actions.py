"""What the steps of a scenario do to the local cloud."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path

from spotkeeper_lab.local_aws import LocalAws
from spotkeeper_lab.local_aws.events import INTERRUPTION_WARNING
from spotkeeper_lab.observe import Observer
from spotkeeper_lab.recording import Injected
from spotkeeper_lab.scenario import Step
from spotkeeper_lab.situation import Situation, choose
from spotkeeper_ledger.documents import INTERRUPTION, REBALANCE

MALFORMED = (
    "{",
    "[]",
    '"text"',
    '{"detail-type": "EC2 Spot Instance Interruption Warning"}',
    '{"detail": {"instance-id": 7}}',
)
"""Bodies that no part of the cloud would write."""


class Actions:
    """Does what a step says.

    Args:
        local: The local cloud.
        observer: Is told of every notice that is given.
        notice_seconds: From an interruption warning to the reclaim.
        finish_file: The file whose existence lets the job run to its end.
    """

    def __init__(self, local: LocalAws, observer: Observer, notice_seconds: float, finish_file: Path) -> None:
        self._local, self._observer = local, observer
        self._notice_seconds, self._finish_file = notice_seconds, finish_file

    def do(self, step: Step, now: Situation) -> None:
        """Do ``step`` in the situation ``now``."""
        ACTIONS[step.do](self, step, now)

    def _interrupt(self, step: Step, now: Situation) -> None:
        for node in choose(step.target, now):
            at = time.time()
            self._note(node, INTERRUPTION, at, at + self._notice_seconds, now)
            self._local.interrupt(node, warn=step.warn)

    def _rebalance(self, step: Step, now: Situation) -> None:
        for node in choose(step.target, now):
            self._note(node, REBALANCE, time.time(), None, now)
            self._local.rebalance(node, warn=step.warn)

    def _note(self, node: str, kind: str, at: float, deadline: float | None, now: Situation) -> None:
        held = node == now.holder
        self._observer.injected.append(
            Injected(node, kind, at, deadline, held_job=held, step=now.step if held else None)
        )

    def _drought(self, step: Step, _: Situation) -> None:
        self._local.market.set_capacity(step.capacity)

    def _restore(self, _: Step, __: Situation) -> None:
        self._local.market.set_capacity(None)

    def _drop_warnings(self, _: Step, __: Situation) -> None:
        self._local.faults.drop_warnings = True

    def _duplicate(self, _: Step, __: Situation) -> None:
        self._local.faults.duplicate = True

    def _shuffle(self, _: Step, __: Situation) -> None:
        self._local.faults.shuffle = True

    def _send_events(self, step: Step, _: Situation) -> None:
        for number in range(step.count):
            if step.sort == "malformed":
                self._local.send_raw(MALFORMED[number % len(MALFORMED)])
            else:
                detail = {"instance-id": f"i-{uuid.uuid4().hex[:17]}", "instance-action": "terminate"}
                self._local.send_event(INTERRUPTION_WARNING, "aws.ec2", detail)

    def _finish(self, _: Step, __: Situation) -> None:
        self._observer.full_speed_at = time.time()
        self._finish_file.touch()

    def _wait(self, _: Step, __: Situation) -> None:
        """The condition was all that was wanted."""


ACTIONS: Mapping[str, Callable[[Actions, Step, Situation], None]] = {
    "interrupt": Actions._interrupt,
    "rebalance": Actions._rebalance,
    "drought": Actions._drought,
    "restore": Actions._restore,
    "drop-warnings": Actions._drop_warnings,
    "duplicate": Actions._duplicate,
    "shuffle": Actions._shuffle,
    "send-events": Actions._send_events,
    "finish": Actions._finish,
    "wait": Actions._wait,
}
"""The same names as :data:`spotkeeper_lab.scenario.ACTIONS`."""
