"""A handler's way to the shared world, and what is held against every call that it makes."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from interleaving_account import Promises
from interleaving_steps import Gate, Inline
from interleaving_world import SharedWorld, parsed
from responder_support import CallFailed
from spotkeeper_ledger import (
    HELD,
    REBALANCE,
    Conflict,
    Entry,
    FleetLedger,
    FleetSpec,
    Members,
    NoticeRecord,
    PriceRecord,
    Stored,
    Unavailable,
    keys,
    notice_id,
)
from spotkeeper_ledger.board import Expected
from spotkeeper_responder import (
    Completion,
    GroupView,
    Heard,
    LaunchFailed,
    NoticeHeard,
    Responder,
    Termination,
    TimeLeft,
)

Answer = TypeVar("Answer")

FOREIGN = "foreign"
"""How the names of messages begin that concern nobody here."""
LAMBDA_SECONDS = 13.5


@dataclass
class Batch:
    """One batch, and the handler that serves it."""

    promises: Promises
    messages: list[Heard]
    reads: int = 0
    writes: int = 0
    owned: dict[str, FleetLedger] = field(default_factory=dict)
    """The ledgers that this handler knows to be as it has written them."""
    roster: Members | None = None
    """As this handler has first read it."""
    lost_calls: set[str] = field(default_factory=set)
    """Methods of the cloud that have failed it."""
    logged: list[str] = field(default_factory=list)

    @property
    def world(self) -> SharedWorld:
        return self.promises.world

    def work(self, gate: Gate) -> set[str]:
        """Serve the batch; return the messages that have to come again."""
        self.asked = gate.asked
        self.began = self.world.now
        return Responder(
            "ledger",
            board=GatedBoard(self, gate),
            cloud=GatedCloud(self, gate),
            time_left=TimeLeft(self._time_left, lambda: self.world.now),
            now=lambda: self.world.now,
            clock=lambda: self.world.now,
            log=lambda level, message, **about: self.logged.append(f"{level} {message} {about}"),
            emit=lambda line: None,
            pause=lambda _seconds: None,
            worker=Inline(),
        ).respond(self.messages)

    def ended(self, failed: Collection[str]) -> None:
        """Look at what has come of it, now that it has come to an end of its own."""
        foreign = all(each.message.startswith(FOREIGN) for each in self.messages)
        if foreign:
            costs = f"{self.reads} reads and {self.writes} writes for nothing"
            # Where the roster does not answer, a fleet that an event names may be one of ours: its spec is looked for.
            most = 1 if self.roster is not None else 1 + len({each.fleet for each in self.messages} - {None})
            self.promises.hold(self.reads <= most and not self.writes, 12, costs)
        named = {getattr(each.event, "node", "") for each in self.messages if each.fleet}
        for each in self.messages:
            event = each.event
            if not isinstance(event, NoticeHeard) or foreign:
                continue
            if self.roster is not None and event.node not in self.roster.nodes and event.node not in named:
                self.world.unheard.add(event.node)  # it was launched a moment ago, and of that they have not heard yet
            elif event.kind != REBALANCE and not event.drill:
                self._told(event.node, failed)

    def _told(self, node: str, failed: Collection[str]) -> None:
        """Promise 4: who goes has been told by now, or is about to be by somebody who has remembered it."""
        excused = self.lost_calls & {"signal", "fleets_of"} or self._time_left() <= 0
        if excused or self.promises.commands[node, notice_id(node, "")]:
            return
        for name, nodes in self.world.cloud.nodes.items():
            if nodes.state(node) is None or self.world.job_is_over(name):
                continue
            if self.roster is None or name in self.roster.fleets:
                known = self.world.ledger(name)
                record = known and known.notices.get(node)
                words = f"{node} was not told; messages to come again: {sorted(failed)}; {self.logged}"
                self.promises.hold(bool(record), 4, words)

    def _time_left(self) -> float:
        return LAMBDA_SECONDS - (self.world.now - self.began)


class GatedBoard:
    """The shared board, as one handler reaches it."""

    def __init__(self, batch: Batch, gate: Gate) -> None:
        self._batch = batch
        self._board = batch.world.board
        self._gate = gate

    def read(self, key: str) -> Stored | None:
        self._batch.reads += 1
        self._batch.owned.pop(_fleet_of(key), None)
        stored = self._call(f"read {key}", lambda: self._board.read(key))
        if key == keys.MEMBERS and stored is not None and self._batch.roster is None:
            self._batch.roster = parsed(Members, stored.body)
        return stored

    def read_changed(self, key: str, version: str) -> Stored | None:
        self._batch.reads += 1
        self._batch.owned.pop(_fleet_of(key), None)
        return self._call(f"read {key}", lambda: self._board.read_changed(key, version))

    def write(self, key: str, body: bytes, *, expect: Expected) -> str:
        self._batch.writes += 1
        fleet = _fleet_of(key)
        ledger = parsed(FleetLedger, body) if fleet else None

        def effect() -> str:
            version = self._board.write(key, body, expect=expect)
            if ledger is not None:
                self._batch.promises.remembered(ledger)
            return version

        version = self._call(f"write {key}", effect)
        if ledger is not None:
            self._batch.owned[fleet] = ledger
        return version

    def list(self, prefix: str) -> Iterable[Entry]:
        self._batch.reads += 1
        return self._call(f"list {prefix}", lambda: self._board.list(prefix))

    def list_folders(self, prefix: str) -> Iterable[str]:
        self._batch.reads += 1
        return self._call(f"list {prefix}", lambda: self._board.list_folders(prefix))

    def delete(self, key: str) -> None:
        raise AssertionError(f"a responder deletes {key}")

    def _call(self, what: str, effect: Callable[[], Answer]) -> Answer:
        beaten = Conflict(what) if what.startswith("write") else Unavailable(what)
        return self._gate.call(what, effect, failure=Unavailable(what), beaten=beaten)


class GatedCloud:
    """The shared cloud, as one handler reaches it."""

    def __init__(self, batch: Batch, gate: Gate) -> None:
        self.calls = 0
        self._batch = batch
        self._promises = batch.promises
        self._cloud = batch.world.cloud
        self._gate = gate
        self._seen: dict[str, list[str]] = {}
        """The live nodes of each group, as this handler has seen them."""

    def groups(self, spec: FleetSpec) -> tuple[GroupView, GroupView]:
        both = self._call("groups", lambda: self._cloud.groups(spec))
        self._seen |= {group.name: [instance.node for instance in group.live] for group in both}
        return both

    @property
    def reaches_nodes(self) -> bool:
        return self._cloud.reaches_nodes

    @property
    def shows_failures(self) -> bool:
        return self._cloud.shows_failures

    def launch_failures(self, spec: FleetSpec, since: float) -> Sequence[LaunchFailed]:
        return self._call("launch_failures", lambda: self._cloud.launch_failures(spec, since))

    def spot_price(self, spec: FleetSpec, nodes: Collection[str], now: float) -> PriceRecord | None:
        return self._call("spot_price", lambda: self._cloud.spot_price(spec, nodes, now))

    def fleets_of(self, nodes: Collection[str]) -> Mapping[str, str]:
        return self._call("fleets_of", lambda: self._cloud.fleets_of(nodes))

    def resize(self, group: str, desired: int) -> None:
        fleet = self._owner(group)
        ledger = self._remembered(fleet, f"resizes {group}")
        seen = self._seen[group]
        if ledger is not None and group == self._cloud.nodes[fleet].backup.name:
            going = sum(node in ledger.notices for node in seen)
            most = max(len(seen), (ledger.backup_desired or 0) + going)
            self._promises.hold(desired <= most, 1, f"{group} is to have {desired} nodes, {most} would do")
        self._call("resize", lambda: self._cloud.resize(group, desired))

    def signal(self, fleet: str, kind: str, deadline: float | None, nodes: Sequence[str]) -> None:
        def effect() -> None:
            self._cloud.signal(fleet, kind, deadline, nodes)
            told = {(node, notice_id(node, kind)) for node in nodes}
            self._batch.world.notified |= told
            self._promises.commands.update(told)

        for node in nodes:
            said = (node, notice_id(node, kind)) in self._batch.world.said or node in self._promises.drained
            self._promises.hold(said, 13, f"{node} is told of a {kind} that nobody has spoken of")
        self._call("signal", effect)

    def terminate(self, termination: Termination) -> None:
        node = termination.node
        fleet = next((name for name, nodes in self._cloud.nodes.items() if nodes.state(node)), "")
        if fleet:
            ledger = self._remembered(fleet, f"terminates {node}")
            if ledger is not None and ledger.job_ended_at is None:
                self._promises.hold(self._saved(fleet, ledger.notices.get(node)), 2, f"{node} is let go unsaved")
        self._call("terminate", lambda: self._cloud.terminate(termination))

    def complete(self, completion: Completion) -> None:
        fleet = self._owner(completion.group)
        ledger = self._remembered(fleet, f"completes the hook of {completion.node}")
        record = ledger and ledger.notices.get(completion.node)
        up = bool(record and record.deadline is not None and self._batch.world.now >= record.deadline)
        self._promises.hold(up, 7, f"the hook of {completion.node} is completed before its time")
        self._call("complete", lambda: self._cloud.complete(completion))

    def announce(self, subject: str, text: str) -> None:
        self._call("announce", lambda: self._cloud.announce(subject, text))

    def _remembered(self, fleet: str, deed: str) -> FleetLedger | None:
        """Return the ledger under which a handler acts: one that it has written, and has had word of."""
        ledger = self._batch.owned.get(fleet)
        self._promises.hold(ledger is not None, 4, f"a handler {deed} without having remembered it")
        paused = ledger is not None and ledger.pause is not None and ledger.pause.mode == HELD
        self._promises.hold(not paused, 1, f"a handler {deed}, though the fleet is to be left alone")
        return ledger

    def _saved(self, fleet: str, record: NoticeRecord | None) -> bool:
        """Whether a node has confirmed that it has saved, or its time is up."""
        if record is None or record.kind == REBALANCE or record.drill:
            return False
        in_time = record.deadline is None or self._batch.world.now < record.deadline
        told = (record.notice_id.partition(":")[0], record.notice_id)
        return not in_time or told in self._batch.world.notified

    def _owner(self, group: str) -> str:
        return next(n for n, each in self._cloud.nodes.items() if group in (each.spot.name, each.backup.name))

    def _call(self, what: str, effect: Callable[[], Answer]) -> Answer:
        self.calls += 1
        try:
            return self._gate.call(what, effect, failure=CallFailed(what), beaten=CallFailed(what))
        except CallFailed:
            self._batch.lost_calls.add(what)
            raise


def _fleet_of(key: str) -> str:
    """Return the fleet whose ledger lies under a key; empty for what is no ledger."""
    parts = key.split("/")
    return parts[1] if parts[0] == keys.FLEETS.rstrip("/") and parts[2:] == ["ledger.json"] else ""
