"""Watching a rehearsal: reads the ledger and the nodes' run directories, and writes down when it first saw what."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from botocore.exceptions import ClientError

from spotkeeper_lab import trainer_log
from spotkeeper_lab.local_aws import LocalAws, Moment
from spotkeeper_lab.recording import Injected, Record, Taken
from spotkeeper_lab.situation import NodeState, Situation
from spotkeeper_lab.timeline import BACKUP, SPOT, Shape, last
from spotkeeper_ledger import MalformedDocument, keys, load
from spotkeeper_ledger.documents import (
    INTERRUPTION,
    FleetLedger,
    Generation,
    NodeNotice,
    NodeReport,
    Progress,
    notice_id,
)
from spotkeeper_ledger.run_dir import LocalProgress
from spotkeeper_ledger.run_dir import read as read_run_dir

Document = TypeVar("Document")

LAUNCHED = "instance-launched"


class Observer:
    """Looks at one fleet again and again, and remembers.

    Args:
        local: The local cloud.
        bucket: The ledger's bucket.
        fleet: The fleet's id.
        shape: What the fleet was asked to be.
        epochs: How many epochs its training has; ``None`` for a job that counts no steps.
    """

    def __init__(self, local: LocalAws, bucket: str, fleet: str, shape: Shape, epochs: int | None) -> None:
        self._local, self._bucket, self._fleet = local, bucket, fleet
        self._s3 = local.client("s3")
        self._bodies: dict[str, tuple[str, bytes]] = {}
        self._shape, self._epochs = shape, epochs
        self.started_at = min((moment.at for moment in local.events.moments()), default=time.time())
        self.full_speed_at: float | None = None
        self.finished_at: float | None = None
        self.injected: list[Injected] = []
        self._folders: dict[str, Path] = {}
        self._reported: dict[str, float] = {}
        self._heard: dict[str, float] = {}
        self._kinds: dict[str, str] = {}
        self._deadlines: dict[str, float] = {}
        self._signalled: dict[str, float] = {}
        self._confirmed: dict[str, tuple[float, int | None]] = {}
        self._taken: list[Taken] = []
        self._first_steps: dict[int, int] = {}
        self._steps: list[tuple[float, int]] = []
        self._saved: list[tuple[float, int]] = []
        self._calls: list[tuple[float, int]] = []
        self._total: int | None = None

    def look(self) -> Situation:
        """Read everything that has changed, write it down, and return what it is now."""
        now = time.time()
        documents = self._documents()
        alive = self._note_lives()
        self._note_nodes(documents)
        self._note_ledger(documents.get(keys.ledger(self._fleet)))
        generation = self._parse(Generation, documents.get(keys.generation(self._fleet)))
        progress = self._note_progress(now, generation, documents.get(keys.progress(self._fleet)))
        self._calls.append((now, sum(self._local.calls.snapshot().get("responder", {}).values())))
        desired = {group: last(self.desired(group), now) or 0 for group in (SPOT, BACKUP)}
        return Situation(
            at=now,
            spot_target=self._shape.spot_target,
            base=self._shape.base,
            nodes=tuple(self._node_state(each) for each in alive),
            spot_desired=desired[SPOT],
            backup_desired=desired[BACKUP],
            generation=generation.number if generation else 0,
            holder=generation.members[0].node if generation and generation.members else None,
            generation_state=generation.state if generation else "",
            job_state=progress.state if progress else "",
            step=self._steps[-1][1] if self._steps else None,
            total=self._total,
            published_step=self._saved[-1][1] if self._saved else None,
            first_step=self._first_steps.get(generation.number) if generation else None,
            steps_per_epoch=self._shape.steps_per_epoch,
            trains=self._epochs is not None,
            interrupted=frozenset(each.node for each in self.injected if each.kind == INTERRUPTION),
            noticed=frozenset(each.node for each in self.injected),
            signalled=self._done(self._signalled),
            confirmed=self._done(self._confirmed),
            backup_launched=sum(
                moment.what == LAUNCHED and moment.detail["group"] == BACKUP for moment in self._local.events.moments()
            ),
        )

    def desired(self, group: str) -> Iterator[tuple[float, int]]:
        """The sizes that were asked for in a group, and when."""
        for moment in self._local.events.moments():
            if moment.what == "desired-changed" and moment.detail["group"] == group:
                yield moment.at, moment.detail["desired"]

    def record(self) -> Record:
        """Return everything that was written down."""
        logs = self._trainer_logs()
        return Record(
            shape=self._shape,
            started_at=self.started_at,
            ended_at=time.time(),
            moments=self._local.events.moments(),
            injected=tuple(self.injected),
            reported=dict(self._reported),
            heard=dict(self._heard),
            kinds=dict(self._kinds),
            deadlines=dict(self._deadlines),
            signalled=dict(self._signalled),
            confirmed=dict(self._confirmed),
            taken=tuple(self._taken),
            steps=tuple(self._steps),
            saved=tuple(self._saved),
            total=self._total,
            resume_steps=trainer_log.resume_steps(logs),
            last_steps=self._last_steps(logs),
            calls=tuple(self._calls),
            full_speed_at=self.full_speed_at,
            finished_at=self.finished_at,
        )

    def _documents(self) -> Mapping[str, bytes]:
        """All objects of the fleet by key; only what has changed is read."""
        found: dict[str, bytes] = {}
        listed = self._s3.list_objects_v2(Bucket=self._bucket, Prefix=keys.fleet_prefix(self._fleet))
        for entry in listed.get("Contents", []):
            key, etag = entry["Key"], entry["ETag"]
            if self._bodies.get(key, ("", b""))[0] != etag:
                with contextlib.suppress(ClientError):  # gone since it was listed
                    answer = self._s3.get_object(Bucket=self._bucket, Key=key)
                    self._bodies[key] = (answer["ETag"], answer["Body"].read())
            if key in self._bodies:
                found[key] = self._bodies[key][1]
        return found

    @staticmethod
    def _parse(kind: type[Document], body: bytes | None) -> Document | None:
        with contextlib.suppress(MalformedDocument):
            return load(kind, body) if body is not None else None
        return None

    def _note_nodes(self, documents: Mapping[str, bytes]) -> None:
        for key, body in documents.items():
            if key.endswith("/report.json") and (report := self._parse(NodeReport, body)):
                self._reported.setdefault(report.node, report.at)
                if report.notice_id and report.confirmed_at is not None:
                    self._confirmed.setdefault(report.notice_id, (report.confirmed_at, report.confirmed_step))
            elif key.endswith("/notice.json") and (notice := self._parse(NodeNotice, body)):
                self._heard.setdefault(notice.notice_id, notice.heard_at)

    def _note_ledger(self, body: bytes | None) -> None:
        ledger = self._parse(FleetLedger, body)
        for record in ledger.notices.values() if ledger else ():
            self._kinds[record.notice_id] = record.kind
            if record.deadline is not None:
                self._deadlines[record.notice_id] = record.deadline
            if record.signalled_at is not None:
                self._signalled.setdefault(record.notice_id, record.signalled_at)

    def _note_progress(self, now: float, generation: Generation | None, body: bytes | None) -> Progress | None:
        """The job's step: from the holder's run directory as it happens, from the ledger where that is not there."""
        holder = generation.members[0].node if generation and generation.members else None
        if generation and holder and (not self._taken or self._taken[-1].generation < generation.number):
            self._taken.append(Taken(now, generation.number, holder))
        progress = self._parse(Progress, body)
        local = self._local_progress(holder) if holder else None
        if local and generation and local.generation == generation.number:
            self._note_total(local.total)
            self._first_steps.setdefault(generation.number, local.step)
            self._append(self._steps, local.at, local.step)
            if local.published_step is not None and local.published_at is not None:
                self._append(self._saved, local.published_at, local.published_step)
        if progress and progress.state in {"finished", "failed"} and self.finished_at is None:
            self.finished_at = progress.at
        return progress

    def _note_total(self, total: int | None) -> None:
        if total and self._epochs and self._total is None:
            self._total = total
            self._shape = replace(self._shape, steps_per_epoch=total // self._epochs)

    @staticmethod
    def _append(series: list[tuple[float, int]], at: float, value: int) -> None:
        if not series or (series[-1][1] != value and at >= series[-1][0]):
            series.append((at, value))

    def _run_dir(self, node: str) -> Path:
        return self._folders[node] / "run" / "spotkeeper"

    def _local_progress(self, node: str) -> LocalProgress | None:
        return read_run_dir(self._run_dir(node), LocalProgress) if node in self._folders else None

    def _note_lives(self) -> list[Moment]:
        """The launches of the nodes that are alive."""
        alive: dict[str, Moment] = {}
        for moment in self._local.events.moments():
            if moment.what == LAUNCHED and moment.node:
                alive[moment.node] = moment
                self._folders[moment.node] = self._local.nodes.node(moment.node).dir
            elif moment.what in {"reclaimed", "terminated"} and moment.node:
                alive.pop(moment.node, None)
        return list(alive.values())

    def _node_state(self, launch: Moment) -> NodeState:
        node = str(launch.node)
        leaving = notice_id(node, INTERRUPTION)
        told = [each.kind for each in self.injected if each.node == node]
        return NodeState(
            node=node,
            group=launch.detail["group"],
            launched_at=launch.at,
            serving=node in self._reported,
            leaving=INTERRUPTION in told or leaving in self._kinds,
            notice=self._kinds.get(leaving) or (told[-1] if told else ""),
        )

    def _done(self, by_notice: Mapping[str, Any]) -> frozenset[str]:
        """The nodes all of whose notices of the scenario are in ``by_notice``."""
        wanted: dict[str, list[str]] = {}
        for each in self.injected:
            wanted.setdefault(each.node, []).append(notice_id(each.node, each.kind))
        return frozenset(node for node, ids in wanted.items() if all(identity in by_notice for identity in ids))

    def _trainer_logs(self) -> list[list[dict[str, Any]]]:
        """What training processes wrote, by node."""
        logs = []
        for node in self._folders:
            with contextlib.suppress(OSError):
                logs.append(trainer_log.parse((self._run_dir(node) / trainer_log.FILE).read_text("utf-8")))
        return logs

    def _last_steps(self, logs: list[list[dict[str, Any]]]) -> dict[int, int]:
        """The last step of each generation; of one whose process was killed, from the node's own progress file."""
        steps = trainer_log.last_steps(logs)
        for node in self._folders:
            local = self._local_progress(node)
            if local and local.generation is not None:
                steps[local.generation] = max(local.step, steps.get(local.generation, 0))
        return steps
