"""Builders for what the responder sees and hears, and a tiny cloud that does what Auto Scaling does."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

from spotkeeper_ledger import (
    DRAIN,
    INTERRUPTION,
    FleetLedger,
    FleetSpec,
    NodeReport,
    NodeSeen,
    NoticeRecord,
    PolicySpec,
    PriceRecord,
    notice_id,
)
from spotkeeper_responder import (
    BACKUP,
    SPOT,
    Completion,
    FleetView,
    GroupView,
    Instance,
    LaunchFailed,
    NoticeHeard,
    State,
    Termination,
)

T0 = 1_700_000_000.0
FLEET = "shop-prod-resnet"
PREFIX = "AROATEST:"


def spec(policy: str = "mirror", wait_seconds: float = 600.0, **changes: object) -> FleetSpec:
    """A fleet of four spot nodes with up to four on-demand ones."""
    wanted = FleetSpec(
        fleet=FLEET,
        incarnation="AROATEST",
        cloud="aws",
        region="us-east-1",
        target=4,
        base=0,
        maximum=4,
        spot_group=f"spotkeeper-{FLEET}-spot",
        backup_group=f"spotkeeper-{FLEET}-backup",
        node_prefix=PREFIX,
        policy=PolicySpec(name=policy, wait_seconds=wait_seconds),
    )
    return replace(wanted, **changes)  # type: ignore[arg-type]  # tests name fields as they are


def node(number: int) -> str:
    """An instance id."""
    return f"i-{number:017x}"


def instances(numbers: Collection[int], state: State = State.IN_SERVICE) -> tuple[Instance, ...]:
    return tuple(Instance(node(number), state) for number in numbers)


def view(
    spot: Sequence[Instance] = (),
    backup: Sequence[Instance] = (),
    *,
    spot_desired: int = 4,
    backup_desired: int | None = None,
    reported: Mapping[str, float] | None = None,
    now: float = T0,
    members: Collection[str] = (),
    reports: Mapping[str, NodeReport] | None = None,
) -> FleetView:
    """A fleet as seen; all running nodes have just reported unless ``reported`` says otherwise."""
    running = {i.node: now for i in (*spot, *backup) if i.state is State.IN_SERVICE}
    return FleetView(
        spot=GroupView(f"spotkeeper-{FLEET}-spot", spot_desired, 8, tuple(spot)),
        backup=GroupView(
            f"spotkeeper-{FLEET}-backup", len(backup) if backup_desired is None else backup_desired, 8, tuple(backup)
        ),
        reported_at=running if reported is None else dict(reported),
        reports=reports or {},
        members=frozenset(members),
    )


def ledger(**changes: object) -> FleetLedger:
    return replace(FleetLedger(fleet=FLEET, incarnation="AROATEST", revision=1), **changes)  # type: ignore[arg-type]


def seen(numbers: Collection[int], group: str = SPOT, first_at: float = T0 - 3600) -> dict[str, NodeSeen]:
    return {node(n): NodeSeen(group=group, first_at=first_at, last_at=first_at) for n in numbers}


def notice(number: int, kind: str = INTERRUPTION, at: float = T0, **more: object) -> NoticeHeard:
    return NoticeHeard(node=node(number), kind=kind, event_at=at, **more)  # type: ignore[arg-type]


def record(number: int, kind: str = INTERRUPTION, at: float = T0, **changes: object) -> NoticeRecord:
    made = NoticeRecord(
        notice_id=notice_id(node(number), kind),
        kind=kind,
        group=SPOT,
        event_at=at,
        heard_at=at,
        deadline=at + (120 if kind == INTERRUPTION else 600),
        stage="signalled",
        signalled_at=at,
    )
    return replace(made, **changes)  # type: ignore[arg-type]


def confirmation(number: int, kind: str = DRAIN, step: int | None = 7, at: float = T0) -> NodeReport:
    return NodeReport(
        fleet=FLEET,
        incarnation="AROATEST",
        node=node(number),
        boot_id="boot",
        at=at,
        notice_id=notice_id(node(number), kind),
        confirmed_step=step,
        confirmed_at=at,
    )


class CallFailed(Exception):
    """What a cloud raises that does not do as asked."""


@dataclass
class SimGroup:
    """An Auto Scaling group with scale-in protection: a desired size below what lives takes nobody away."""

    name: str
    desired: int = 0
    maximum: int = 100
    members: dict[str, State] = field(default_factory=dict)

    def live(self) -> list[str]:
        return [n for n, s in self.members.items() if s in (State.PENDING, State.IN_SERVICE)]

    def seen(self) -> GroupView:
        return GroupView(self.name, self.desired, self.maximum, tuple(Instance(n, s) for n, s in self.members.items()))


@dataclass
class SimFleet:
    """Both groups of a fleet, its agents and its market."""

    spot: SimGroup
    backup: SimGroup
    spot_capacity: int = 100
    """Spot nodes that may live at once; launching more is refused for lack of capacity."""
    backup_capacity: int = 100
    """On-demand nodes that may live at once, in the same way."""
    refusal: str = "capacity"
    reported_at: dict[str, float] = field(default_factory=dict)
    confirmed: dict[str, str] = field(default_factory=dict)
    """Notice ids confirmed, by node."""
    launched: int = 0

    @staticmethod
    def of(wanted: FleetSpec) -> SimFleet:
        spot = SimGroup(wanted.spot_group, desired=wanted.spot_target, maximum=2 * wanted.target)
        return SimFleet(spot, SimGroup(wanted.backup_group, desired=wanted.base, maximum=2 * wanted.target))

    def group(self, name: str) -> SimGroup:
        return self.spot if name in (SPOT, self.spot.name) else self.backup

    def launch(self, now: float) -> list[LaunchFailed]:
        """Let both groups start what their size asks for; return what was refused."""
        refused = []
        for label, group, room in ((SPOT, self.spot, self.spot_capacity), (BACKUP, self.backup, self.backup_capacity)):
            while len(group.live()) < group.desired:
                if len(group.live()) >= room:
                    refused.append(LaunchFailed(label, self.refusal, now, "no"))
                    break
                self.launched += 1
                group.members[node(self.launched)] = State.PENDING
        return refused

    def boot(self) -> None:
        for group in (self.spot, self.backup):
            group.members |= {n: State.IN_SERVICE for n, s in group.members.items() if s is State.PENDING}

    def report(self, now: float, *, less: Collection[str] = ()) -> None:
        """Every agent but those of ``less`` reports."""
        for group in (self.spot, self.backup):
            for name, state in group.members.items():
                if state in (State.IN_SERVICE, State.HELD) and name not in less:
                    self.reported_at[name] = now

    def lose(self, name: str) -> None:
        """A node is gone from one moment to the next."""
        for group in (self.spot, self.backup):
            group.members.pop(name, None)

    def terminate(self, termination: Termination) -> None:
        for group in (self.spot, self.backup):
            if group.members.get(termination.node) in (State.PENDING, State.IN_SERVICE):
                group.members[termination.node] = State.HELD
                group.desired -= int(termination.decrement)

    def release(self) -> None:
        """Everything that a hook holds goes."""
        for group in (self.spot, self.backup):
            group.members = {n: s for n, s in group.members.items() if s is not State.HELD}

    def seen(self, fleet: FleetSpec) -> FleetView:
        reports = {
            n: replace(confirmation(0), node=n, notice_id=ident, confirmed_step=None)
            for n, ident in self.confirmed.items()
        }
        return FleetView(self.spot.seen(), self.backup.seen(), reported_at=dict(self.reported_at), reports=reports)


@dataclass
class SimCloud:
    """The responder's cloud over simulated fleets; what is done is written down, and any call can be made to fail."""

    fleets: dict[str, SimFleet]
    done: list[tuple[str, ...]] = field(default_factory=list)
    failing: set[str] = field(default_factory=set)
    """Names of methods that fail, or ``method:fleet`` for one fleet only."""
    before: Callable[[str], None] = lambda _: None
    """Called with the method's name before anything is done: for what happens in between."""
    calls: int = 0
    reaches_nodes: bool = True
    shows_failures: bool = False
    price: float | None = None

    def spot_price(self, wanted: FleetSpec, nodes: Collection[str], now: float) -> PriceRecord | None:
        self._call("spot_price", wanted.fleet)
        return None if self.price is None else PriceRecord(self.price, now)

    def groups(self, wanted: FleetSpec) -> tuple[GroupView, GroupView]:
        self._call("groups", wanted.fleet)
        fleet = self.fleets[wanted.fleet]
        return fleet.spot.seen(), fleet.backup.seen()

    def launch_failures(self, wanted: FleetSpec, since: float) -> Sequence[LaunchFailed]:
        self._call("launch_failures", wanted.fleet)
        self.done.append(("launch_failures", wanted.fleet, str(since)))
        return []

    def fleets_of(self, nodes: Collection[str]) -> Mapping[str, str]:
        self._call("fleets_of", "")
        known = {n: name for name, f in self.fleets.items() for g in (f.spot, f.backup) for n in g.members}
        return {n: known[n] for n in nodes if n in known}

    def resize(self, group: str, desired: int) -> None:
        self._call("resize", self._fleet(group))
        self.fleets[self._fleet(group)].group(group).desired = desired
        self.done.append(("resize", group, str(desired)))

    def signal(self, fleet: str, kind: str, deadline: float | None, nodes: Sequence[str]) -> None:
        self._call("signal", fleet)
        self.done.append(("signal", fleet, kind, "none" if deadline is None else f"{deadline:.0f}", *nodes))

    def terminate(self, termination: Termination) -> None:
        self._call("terminate", "")
        for fleet in self.fleets.values():
            fleet.terminate(termination)
        self.done.append(("terminate", termination.node, str(termination.decrement)))

    def complete(self, completion: Completion) -> None:
        self._call("complete", self._fleet(completion.group))
        self.done.append(("complete", completion.node, completion.group, completion.hook))

    def announce(self, subject: str, text: str) -> None:
        self._call("announce", "")
        self.done.append(("announce", subject, text))

    def of(self, what: str) -> list[tuple[str, ...]]:
        return [each for each in self.done if each[0] == what]

    def _fleet(self, group: str) -> str:
        return next(name for name, f in self.fleets.items() if group in (f.spot.name, f.backup.name))

    def _call(self, method: str, fleet: str) -> None:
        self.calls += 1
        self.before(method)
        if self.failing & {method, f"{method}:{fleet}"}:
            raise CallFailed(method)
