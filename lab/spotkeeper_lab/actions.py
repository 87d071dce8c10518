"""What the steps of a scenario do to a local cloud."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from spotkeeper_lab.aftermath import Struck
from spotkeeper_lab.changes import Changes
from spotkeeper_lab.local.faults import Call
from spotkeeper_lab.observe import Observer
from spotkeeper_lab.recording import Injected
from spotkeeper_lab.situation import Situation, choose
from spotkeeper_lab.stages.stage import Stage
from spotkeeper_lab.steps import Step
from spotkeeper_lab.timeline import FROZEN, HOSTILE, KILLED
from spotkeeper_ledger import MalformedDocument, load
from spotkeeper_ledger.documents import INTERRUPTION, REBALANCE, FleetLedger

MALFORMED = (
    "{",
    "[]",
    '"text"',
    '{"detail-type": "EC2 Spot Instance Interruption Warning"}',
    '{"detail": {"instance-id": 7}}',
)
"""Bodies that no part of the cloud would write."""
FORGING_SECONDS = 60.0
"""How long a hostile node may take to write all that it is to write."""
SHOWN_CHARACTERS = 2000


def remembered_notices(call: Call) -> list[str]:
    """Return the ids of the notices that a call remembers as about to be sent: none unless it writes a ledger."""
    if not call.path.endswith("/ledger.json") or not call.body:
        return []
    try:
        ledger = load(FleetLedger, call.body)
    except MalformedDocument:
        return []
    return [record.notice_id for record in ledger.notices.values() if record.stage == "sending"]


class Actions:
    """Does what a step says.

    Args:
        stage: The local cloud.
        observer: Is told of every notice that is given.
        notice_seconds: From an interruption warning to the reclaim.
        finish_file: The file whose existence lets the job run to its end.
        changes: Deploys and destroys.
    """

    def __init__(
        self, stage: Stage, observer: Observer, notice_seconds: float, finish_file: Path, changes: Changes
    ) -> None:
        self._stage, self._observer, self._changes = stage, observer, changes
        self._local = stage.local
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
            self._stage.rebalance(node, warn=step.warn)

    def _kill(self, step: Step, now: Situation) -> None:
        for node in choose(step.target, now):
            self._strike(node, KILLED, now)
            self._local.kill(node)

    def _freeze(self, step: Step, now: Situation) -> None:
        for node in choose(step.target, now):
            self._strike(node, FROZEN, now)
            self._local.freeze(node)

    def _thaw(self, step: Step, now: Situation) -> None:
        for node in choose(step.target, now):
            self._local.thaw(node, job_only=step.parts == "job")
            if step.parts == "all":
                self._observer.woken(node, time.time())

    def _forge(self, step: Step, now: Situation) -> None:
        for node in choose(step.target, now)[:1]:
            self._strike(node, HOSTILE, now)
            self._local.events.add("hostile", node)
            command = f"exec python -m spotkeeper_lab.forger --count {step.count} --seed {step.seed}"
            threading.Thread(target=self._run, args=(node, command), name="forger", daemon=True).start()

    def _run(self, node: str, command: str) -> None:
        """Run a command on a node to its end, which may be that of the node."""
        with contextlib.suppress(ProcessLookupError):
            ended = self._local.nodes.run(node, command, FORGING_SECONDS)
            if ended.returncode > 0:
                said = ended.stdout.decode(errors="replace")[-SHOWN_CHARACTERS:]
                self._local.events.add("node-failed", node, exit_code=ended.returncode, output=said)

    def _strike(self, node: str, how: str, now: Situation) -> None:
        held = node in now.members
        self._observer.struck.append(Struck(node, how, time.time(), held_job=held, step=now.step if held else None))

    def _note(self, node: str, kind: str, at: float, deadline: float | None, now: Situation) -> None:
        held = node in now.members
        self._observer.injected.append(
            Injected(node, kind, at, deadline, held_job=held, step=now.step if held else None)
        )

    def _drought(self, step: Step, _: Situation) -> None:
        self._local.market.set_capacity(step.capacity)

    def _refuse(self, step: Step, _: Situation) -> None:
        self._local.market.set_capacity(step.capacity, step.why)

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
                self._stage.send_foreign()

    def _crash(self, _: Step, __: Situation) -> None:
        self._local.call_faults.crash(remembered_notices, self._local.kill_function)

    def _throttle(self, step: Step, _: Situation) -> None:
        self._local.call_faults.throttle(step.share, step.seconds)

    def _dark(self, step: Step, _: Situation) -> None:
        self._local.call_faults.darken(self._observer.bucket, step.seconds)

    def _deploy(self, step: Step, _: Situation) -> None:
        self._changes.deploy(step.config)

    def _destroy(self, _: Step, __: Situation) -> None:
        self._changes.destroy()

    def _finish(self, _: Step, __: Situation) -> None:
        self._observer.full_speed_at = time.time()
        self._finish_file.touch()

    def _wait(self, _: Step, __: Situation) -> None:
        """The condition was all that was wanted."""


ACTIONS: Mapping[str, Callable[[Actions, Step, Situation], None]] = {
    "interrupt": Actions._interrupt,
    "rebalance": Actions._rebalance,
    "kill": Actions._kill,
    "freeze": Actions._freeze,
    "thaw": Actions._thaw,
    "forge": Actions._forge,
    "drought": Actions._drought,
    "refuse": Actions._refuse,
    "restore": Actions._restore,
    "drop-warnings": Actions._drop_warnings,
    "duplicate": Actions._duplicate,
    "shuffle": Actions._shuffle,
    "send-events": Actions._send_events,
    "crash": Actions._crash,
    "throttle": Actions._throttle,
    "dark": Actions._dark,
    "deploy": Actions._deploy,
    "destroy": Actions._destroy,
    "finish": Actions._finish,
    "wait": Actions._wait,
}
"""The same names as :data:`spotkeeper_lab.steps.ACTIONS`."""
