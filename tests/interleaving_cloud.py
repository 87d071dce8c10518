"""A board in memory, and a cloud whose groups launch, hold and lose nodes, and tell of it."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from responder_support import SimCloud, SimFleet, SimGroup, node
from spotkeeper_ledger import ABSENT, ANY, SCALE_IN, Conflict, Entry, FleetSpec, Stored
from spotkeeper_ledger.board import Expected
from spotkeeper_responder import (
    BACKUP,
    SPOT,
    Completion,
    Event,
    LaunchFailed,
    NodeGone,
    NodeLaunched,
    NoticeHeard,
    State,
    Termination,
)

HOOK = "spotkeeper-terminate"
LIVE = (State.PENDING, State.IN_SERVICE)


@dataclass
class Clock:
    """The time of one world, Unix seconds."""

    now: float


class MemoryBoard:
    """A board in memory, whose objects are as old as its clock says."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._objects: dict[str, tuple[Stored, float]] = {}
        self._written = 0

    def __deepcopy__(self, memo: dict[int, object]) -> MemoryBoard:
        """Copy the board; what lies on it never changes."""
        other = MemoryBoard(copy.deepcopy(self._clock, memo))
        other._objects, other._written = dict(self._objects), self._written
        return other

    def read(self, key: str) -> Stored | None:
        return self._objects[key][0] if key in self._objects else None

    def read_changed(self, key: str, version: str) -> Stored | None:
        stored = self.read(key)
        return None if stored is None or stored.version == version else stored

    def write(self, key: str, body: bytes, *, expect: Expected) -> str:
        present = self.read(key)
        if expect is not ANY and (present.version if present else ABSENT) != expect:
            raise Conflict(key)
        self._written += 1
        stored = Stored(body, f"v{self._written}")
        self._objects[key] = stored, self._clock.now
        return stored.version

    def list(self, prefix: str) -> Iterable[Entry]:
        found = [(key, *each) for key, each in sorted(self._objects.items()) if key.startswith(prefix)]
        return [Entry(key, stored.version, len(stored.body), at) for key, stored, at in found]

    def list_folders(self, prefix: str) -> Iterable[str]:
        return sorted({key.removeprefix(prefix).split("/")[0] for key in self._objects if key.startswith(prefix)})

    def delete(self, key: str) -> None:
        self._objects.pop(key, None)


@dataclass
class Group(SimGroup):
    """A group that numbers its nodes by itself, so that two worlds name them alike."""

    first: int = 0
    launched: int = 0

    def start(self) -> str:
        self.launched += 1
        name = node(self.first + self.launched)
        self.members[name] = State.PENDING
        return name


@dataclass
class Nodes(SimFleet):
    """Both groups of a fleet, with all that its nodes do and suffer."""

    refused: list[LaunchFailed] = field(default_factory=list)
    due: dict[str, float] = field(default_factory=dict)
    """When the cloud takes a node, whatever anybody does."""
    silent: set[str] = field(default_factory=set)
    """Whose agents do not speak any more."""
    leaving: set[str] = field(default_factory=set)
    """Of which it has been said, and truly, that they go."""
    successors: dict[str, str] = field(default_factory=dict)
    """Of nodes at risk, which the spot group replaces of its own accord; empty until there is room for one."""

    @staticmethod
    def serving(wanted: FleetSpec, number: int) -> Nodes:
        """A fleet at strength; ``number`` keeps the names of its nodes apart from those of others."""
        spot = Group(wanted.spot_group, wanted.spot_target, 2 * wanted.target, first=1000 * number)
        backup = Group(wanted.backup_group, wanted.base, 2 * wanted.target, first=1000 * number + 500)
        fleet = Nodes(spot, backup)
        fleet.start(0.0)
        fleet.boot()
        return fleet

    def groups(self) -> Iterator[tuple[str, Group]]:
        for label, group in ((SPOT, self.spot), (BACKUP, self.backup)):
            assert isinstance(group, Group)
            yield label, group

    def start(self, now: float) -> list[Event]:
        """Both groups launch what their size asks for."""
        told: list[Event] = []
        for label, group in self.groups():
            while len(group.live()) < group.desired:
                if label == SPOT and len(group.live()) >= self.spot_capacity:
                    self.refused.append(LaunchFailed(label, self.refusal, now, "no"))
                    told.append(self.refused[-1])
                    break
                told.append(NodeLaunched(group.start(), label))
        return told

    def state(self, name: str) -> State | None:
        return next((group.members[name] for _, group in self.groups() if name in group.members), None)

    def running(self) -> list[str]:
        """Return the nodes whose agents could speak."""
        return [n for _, group in self.groups() for n, s in group.members.items() if s is not State.PENDING]


class Market(SimCloud):
    """The cloud. What becomes of its nodes is told in ``told``, with the fleet."""

    def __init__(self, fleets: dict[str, Nodes], clock: Clock, hook_seconds: float) -> None:
        super().__init__(dict(fleets))
        self.nodes = fleets
        self.told: list[tuple[str, Event]] = []
        self._clock = clock
        self._hook_seconds = hook_seconds

    def launch_failures(self, wanted: FleetSpec, since: float) -> Sequence[LaunchFailed]:
        super().launch_failures(wanted, since)
        return [each for each in self.nodes[wanted.fleet].refused if each.at >= since]

    def terminate(self, termination: Termination) -> None:
        self._call("terminate", "")
        self.done.append(("terminate", termination.node, str(termination.decrement)))
        for fleet, nodes in self.nodes.items():
            for _, group in nodes.groups():
                if group.members.get(termination.node) in LIVE:
                    group.desired -= int(termination.decrement)
                    self.hold(fleet, termination.node)

    def complete(self, completion: Completion) -> None:
        super().complete(completion)
        fleet = self._fleet(completion.group)
        if self.nodes[fleet].state(completion.node) is State.HELD:
            self.lose(fleet, completion.node)

    def hold(self, fleet: str, name: str) -> None:
        """A group lets a live node go, and its hook waits for it."""
        nodes, until = self.nodes[fleet], self._clock.now + self._hook_seconds
        for _, group in nodes.groups():
            if group.members.get(name) in LIVE:
                group.members[name] = State.HELD
        nodes.due[name] = min(until, nodes.due.get(name, until))
        nodes.leaving.add(name)
        self.told.append((fleet, NoticeHeard(node=name, kind=SCALE_IN, event_at=self._clock.now, hook=HOOK)))

    def lose(self, fleet: str, name: str) -> None:
        """A node is gone."""
        nodes = self.nodes[fleet]
        nodes.lose(name)
        nodes.due.pop(name, None)
        nodes.leaving.add(name)
        self.told.append((fleet, NodeGone(name)))
