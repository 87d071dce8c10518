"""Watching a rehearsal: reads the ledger and the nodes' run directories, and writes down when it first saw what."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from spotkeeper_lab import disturbances, forger, node_files, rollouts, trainer_log
from spotkeeper_lab.aftermath import Struck
from spotkeeper_lab.deployment import Deployed
from spotkeeper_lab.ledger_reader import LedgerReader, heads, parse
from spotkeeper_lab.local import Moment
from spotkeeper_lab.recording import TAKEN_MOMENTS, Injected, Record, Taken
from spotkeeper_lab.situation import NodeState, Situation
from spotkeeper_lab.stages.stage import Stage
from spotkeeper_lab.timeline import BACKUP, FROZEN, HOSTILE, SPOT, Shape, last
from spotkeeper_ledger import keys
from spotkeeper_ledger.documents import (
    INTERRUPTION,
    FleetLedger,
    FleetSpec,
    Generation,
    Goodput,
    NodeNotice,
    NodeReport,
    Progress,
    notice_id,
)
from spotkeeper_ledger.run_dir import LocalProgress
from spotkeeper_ledger.run_dir import read as read_run_dir

LAUNCHED = "instance-launched"


class Observer:
    """Looks at one fleet again and again, and remembers.

    Args:
        stage: The local cloud.
        deployed: The fleet, its ledger, and what it was asked to be.
        epochs: How many epochs its training has; ``None`` for a job that counts no steps.
    """

    def __init__(self, stage: Stage, deployed: Deployed, epochs: int | None) -> None:
        self._stage, self._local = stage, stage.local
        self.bucket, self._fleet = deployed.bucket, deployed.fleet
        self._reader = LedgerReader(self._local, self.bucket, self._fleet)
        self._shapes, self._epochs = [(0.0, deployed.shape)], epochs
        self.started_at = min((moment.at for moment in self._local.events.moments()), default=time.time())
        self.full_speed_at: float | None = None
        self.finished_at: float | None = None
        self._goodput: Goodput | None = None
        self.injected: list[Injected] = []
        self.struck: list[Struck] = []
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
        self._published_generation: int | None = None

    def look(self) -> Situation:
        """Read everything that has changed, write it down, and return what it is now."""
        now = time.time()
        documents = self._reader.documents()
        alive = self._note_lives()
        self._note_nodes(documents)
        self._note_spec(documents.get(keys.spec(self._fleet)))
        self._note_ledger(documents.get(keys.ledger(self._fleet)))
        generation = self._reader.from_node(Generation, documents.get(keys.generation(self._fleet)))
        progress = self._note_progress(now, generation, documents.get(keys.progress(self._fleet)))
        self._calls.append((now, sum(self._local.calls.snapshot().get("responder", {}).values())))
        desired = {group: last(self.desired(group), now) or 0 for group in (SPOT, BACKUP)}
        return Situation(
            at=now,
            spot_target=self._shape.spot_target,
            base=self._shape.base,
            version=self._shape.version,
            deploying=rollouts.under_way(self._local.events.moments()),
            nodes=tuple(self._node_state(each) for each in alive),
            spot_desired=desired[SPOT],
            backup_desired=desired[BACKUP],
            generation=generation.number if generation else 0,
            holder=generation.members[0].node if generation and generation.members else None,
            others=tuple(member.node for member in generation.members[1:]) if generation else (),
            generation_state=generation.state if generation else "",
            job_state=progress.state if progress else "",
            step=self._steps[-1][1] if self._steps else None,
            total=self._total,
            published_step=self._saved[-1][1] if self._saved else None,
            published_generation=self._published_generation,
            first_step=self._first_steps.get(generation.number) if generation else None,
            steps_per_epoch=self._shape.steps_per_epoch,
            trains=self._epochs is not None,
            interrupted=frozenset(each.node for each in self.injected if each.kind == INTERRUPTION),
            lost=frozenset(each.node for each in self.struck if each.how != HOSTILE),
            noticed=frozenset(each.node for each in self.injected),
            signalled=self._done(self._signalled),
            confirmed=self._done(self._confirmed),
            alarms=frozenset(alarm.name for alarm in disturbances.alarms(self._local.events.moments())),
            faults=disturbances.lasting(self._local.events.moments()),
            refused=frozenset(node_files.refused_at(self._run_dirs({each.node for each in self.struck}))),
            forged=self._forged()[1],
            backup_launched=sum(
                moment.what == LAUNCHED and moment.detail["group"] == BACKUP for moment in self._local.events.moments()
            ),
        )

    def woken(self, node: str, at: float) -> None:
        """Note that a frozen node goes on."""
        self.struck = [
            replace(each, until=at) if each.node == node and each.how == FROZEN and each.until is None else each
            for each in self.struck
        ]

    def desired(self, group: str) -> Iterator[tuple[float, int]]:
        """The sizes that were asked for in a group, and when."""
        for moment in self._local.events.moments():
            if moment.what == "desired-changed" and moment.detail["group"] == group:
                yield moment.at, moment.detail["desired"]

    def record(self) -> Record:
        """Return everything that was written down."""
        run_dirs = self._run_dirs(self._folders)
        logs = node_files.trainer_logs(run_dirs)
        return Record(
            shape=self._shapes[0][1],
            reshaped=tuple(self._shapes[1:]),
            started_at=self.started_at,
            ended_at=time.time(),
            moments=self._local.events.moments(),
            injected=tuple(self.injected),
            struck=tuple(self.struck),
            refused=node_files.refused_at(run_dirs),
            forgeries=self._forged()[0],
            reported=dict(self._reported),
            heard=dict(self._heard),
            kinds=dict(self._kinds),
            deadlines=dict(self._deadlines),
            signalled=dict(self._signalled),
            confirmed=dict(self._confirmed),
            heard_on_node=node_files.heard(run_dirs.values()),
            confirmed_on_node=node_files.confirmed(run_dirs.values()),
            taken=tuple(self._taken),
            steps=tuple(self._steps),
            saved=tuple(self._saved),
            heads=heads(self._stage.heads()),
            total=self._total,
            resume_steps=trainer_log.resume_steps(logs.values()),
            last_steps=node_files.last_steps(run_dirs.values(), logs.values()),
            resumed=trainer_log.resumed(logs.values()),
            stopped=trainer_log.stopped(logs.values()),
            calls=tuple(self._calls),
            full_speed_at=self.full_speed_at,
            finished_at=self.finished_at,
            goodput=self._goodput,
        )

    def _note_nodes(self, documents: Mapping[str, bytes]) -> None:
        hostile = {each.node for each in self.struck if each.how == HOSTILE}
        for key, body in documents.items():
            folder, _, name = key.rpartition("/")
            if folder.rpartition(":")[2] in hostile:
                continue
            if name == "report.json" and (report := self._reader.from_node(NodeReport, body)):
                self._reported.setdefault(report.node, report.at)
                if report.notice_id and report.confirmed_at is not None:
                    self._confirmed.setdefault(report.notice_id, (report.confirmed_at, report.confirmed_step))
            elif name == "notice.json" and (notice := self._reader.from_node(NodeNotice, body)):
                self._heard.setdefault(notice.notice_id, notice.heard_at)

    def _note_ledger(self, body: bytes | None) -> None:
        ledger = parse(FleetLedger, body)
        for record in ledger.notices.values() if ledger else ():
            self._kinds[record.notice_id] = record.kind
            if record.deadline is not None:
                self._deadlines[record.notice_id] = record.deadline
            if record.signalled_at is not None:
                self._signalled.setdefault(record.notice_id, record.signalled_at)

    def _note_progress(self, now: float, generation: Generation | None, body: bytes | None) -> Progress | None:
        """The job's step: from the holder's run directory as it happens, from the ledger where that is not there."""
        holder = generation.members[0].node if generation and generation.members else None
        newest = self._taken[-1].generation if self._taken else 0
        if generation and holder and generation.state != "forming" and newest < generation.number:
            others = tuple(member.node for member in generation.members[1:])
            self._taken.append(Taken(now, generation.number, holder, others))
        progress = self._reader.from_node(Progress, body)
        local = self._local_progress(holder) if holder else None
        if local and generation and local.generation == generation.number:
            self._note_total(local.total)
            self._first_steps.setdefault(generation.number, local.step)
            self._append(self._steps, local.at, local.step)
            if local.published_step is not None and local.published_at is not None:
                self._append(self._saved, local.published_at, local.published_step)
                self._published_generation = local.generation
        if progress and progress.goodput:
            self._goodput = progress.goodput
        if progress and progress.state in {"finished", "failed"} and self.finished_at is None:
            self.finished_at = progress.at
        return progress

    @property
    def _shape(self) -> Shape:
        return self._shapes[-1][1]

    def _note_spec(self, body: bytes | None) -> None:
        """What the fleet is asked to be; one that is being destroyed is asked nothing new."""
        spec = parse(FleetSpec, body)
        shape = replace(rollouts.shape_of(spec), steps_per_epoch=self._shape.steps_per_epoch) if spec else self._shape
        if shape != self._shape:
            at = rollouts.spec_written_at(self._local.events.moments())
            self._shapes.append((time.time() if at is None else at, shape))

    def _note_total(self, total: int | None) -> None:
        if total and self._epochs and self._total is None:
            self._total = total
            per_epoch = total // self._epochs
            self._shapes = [(at, replace(shape, steps_per_epoch=per_epoch)) for at, shape in self._shapes]

    @staticmethod
    def _append(series: list[tuple[float, int]], at: float, value: int) -> None:
        if not series or (series[-1][1] != value and at >= series[-1][0]):
            series.append((at, value))

    def _run_dirs(self, nodes: Iterable[str]) -> dict[str, Path]:
        return {node: self._folders[node] / "run" / "spotkeeper" for node in nodes if node in self._folders}

    def _local_progress(self, node: str) -> LocalProgress | None:
        return next((read_run_dir(folder, LocalProgress) for folder in self._run_dirs([node]).values()), None)

    def _forged(self) -> tuple[dict[str, dict[str, int]], bool]:
        """What the hostile node has written so far by sort and outcome, and whether that is all."""
        hostile = self._run_dirs(each.node for each in self.struck if each.how == HOSTILE)
        journals = [folder / forger.JOURNAL for folder in hostile.values()]
        written = [path.read_text().splitlines(keepends=True) for path in journals if path.exists()]
        return forger.count([line for lines in written for line in lines])

    def _note_lives(self) -> list[Moment]:
        """The launches of the nodes that are alive."""
        alive: dict[str, Moment] = {}
        for moment in self._local.events.moments():
            if moment.what == LAUNCHED and moment.node:
                alive[moment.node] = moment
                self._folders[moment.node] = self._local.nodes.node(moment.node).dir
            elif moment.what in {*TAKEN_MOMENTS, "terminated"} and moment.node:
                alive.pop(moment.node, None)
        return list(alive.values())

    def _node_state(self, launch: Moment) -> NodeState:
        node = str(launch.node)
        leaving = notice_id(node, INTERRUPTION)
        told = [each.kind for each in self.injected if each.node == node]
        frozen = any(each.node == node and each.how == FROZEN and each.until is None for each in self.struck)
        return NodeState(
            node=node,
            group=launch.detail["group"],
            launched_at=launch.at,
            version=launch.detail["version"],
            serving=node in self._reported and not frozen,
            frozen=frozen,
            leaving=INTERRUPTION in told or leaving in self._kinds,
            notice=self._kinds.get(leaving) or (told[-1] if told else ""),
        )

    def _done(self, by_notice: Mapping[str, Any]) -> frozenset[str]:
        """The nodes all of whose notices of the scenario are in ``by_notice``."""
        wanted: dict[str, list[str]] = {}
        for each in self.injected:
            wanted.setdefault(each.node, []).append(notice_id(each.node, each.kind))
        return frozenset(node for node, ids in wanted.items() if all(identity in by_notice for identity in ids))
