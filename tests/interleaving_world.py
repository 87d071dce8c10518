"""What two handlers share, and everything that can happen in it but for what they do themselves."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import lru_cache
from typing import TypeVar

from interleaving_cloud import LIVE, Clock, Market, MemoryBoard, Nodes
from responder_support import T0, spec
from spotkeeper_ledger import (
    ANY,
    INTERRUPTION,
    REBALANCE,
    DeadlineSpec,
    FleetLedger,
    FleetSpec,
    NodeNotice,
    NodeReport,
    Pause,
    Progress,
    SignalBoard,
    dump,
    keys,
    load,
    notice_id,
)
from spotkeeper_responder import SPOT, Event, Heard, NodeLaunched, NoticeHeard, NoticeWritten, State, Tick
from spotkeeper_responder.reconcile import fresh

FORGERIES: dict[str, Callable[[NodeNotice], bytes]] = {
    "nonsense": lambda true: b"\xff{",
    "too large": lambda true: dump(true)[:-1] + b',"ballast":"' + b"x" * 70_000 + b'"}',
    "another node": lambda true: dump(replace(true, node="i-somebody-else")),
    "another fleet": lambda true: dump(replace(true, fleet="fleet-2" if true.fleet == "fleet-1" else "fleet-1")),
    "another incarnation": lambda true: dump(replace(true, incarnation="AROAOLD")),
    "no such kind": lambda true: dump(replace(true, kind="shutdown")),
    "another notice": lambda true: dump(replace(true, notice_id="i-somebody-else:leaving")),
    "beyond all numbers": lambda true: dump(true).replace(b'"version":1', b'"version":1e999'),
    "half of it": lambda true: json.dumps({"node": true.node}).encode(),
}
"""What a node may write that is not believed."""


Document = TypeVar("Document")


@lru_cache(maxsize=64)
def parsed(kind: type[Document], body: bytes) -> Document:
    """Parse a document that is looked at again and again."""
    return load(kind, body)


def fleet(number: int, policy: str = "mirror", **changes: object) -> FleetSpec:
    """The spec of a fleet whose times are short, so that little of them has to pass until all is quiet."""
    name = f"fleet-{number}"
    short = spec(
        policy, 45.0, fleet=name, spot_group=f"spotkeeper-{name}-spot", backup_group=f"spotkeeper-{name}-backup"
    )
    times = ("notice", "hook", "boot_grace", "hysteresis", "linger")
    seconds = {f"{each}_seconds": 60.0 for each in times}
    wanted = {"target": 3, "maximum": 3, "launch_grace_seconds": 30.0, **seconds, **changes}
    if policy == "deadline":  # of a job that tells no progress: what is missing is bought
        wanted["deadline"] = DeadlineSpec(on_demand_price=3.0, hours=1000.0)
    return replace(short, **wanted)  # type: ignore[arg-type]  # tests name fields as they are


class SharedWorld:
    """Fleets that serve, their nodes, the board and the clock. What happens is told in :attr:`told`.

    Args:
        fleets: their specs.
    """

    def __init__(self, *fleets: FleetSpec) -> None:
        self.clock = Clock(T0)
        self.specs = {each.fleet: each for each in fleets}
        self.board = MemoryBoard(self.clock)
        nodes = {name: Nodes.serving(each, number) for number, (name, each) in enumerate(self.specs.items(), 1)}
        self.cloud = Market(nodes, self.clock, hook_seconds=60.0)
        self.notified: set[tuple[str, str]] = set()
        """Nodes and notice ids of which agents have heard from the responder."""
        self.said: set[tuple[str, str]] = set()
        """Nodes and notice ids of which the cloud or the node itself has spoken."""
        self.unheard: set[str] = set()
        """Nodes of which something was said that no handler could take in."""
        self._ended: set[tuple[str, str]] = set()
        self._late: list[Callable[[], object]] = []
        self._messages = 0
        for name, each in self.specs.items():
            self.put(keys.spec(name), each)
            self._report(name)

    # ------------------------------------------------------------ what can be asked

    @property
    def now(self) -> float:
        return self.clock.now

    def exists(self, name: str) -> bool:
        return self.board.read(keys.spec(name)) is not None

    def job_is_over(self, name: str) -> bool:
        """Whether there is nothing left to save."""
        return (name, self.specs[name].incarnation) in self._ended

    def ledger(self, name: str) -> FleetLedger | None:
        stored = self.board.read(keys.ledger(name))
        return None if stored is None else parsed(FleetLedger, stored.body)

    def agents_know(self, name: str) -> set[tuple[str, str]]:
        """Return what agents know by now: what they were told, and what stands in ``signal.json``."""
        stored = self.board.read(keys.signals(name))
        posted = parsed(SignalBoard, stored.body).signals if stored else ()
        self.notified |= {(signal.node, signal.notice_id) for signal in posted}
        return self.notified

    def take_messages(self) -> list[Heard]:
        """Return what has been told since the last time, as messages of the queue."""
        told, self.cloud.told = self.cloud.told, []
        self.said |= {(e.node, notice_id(e.node, e.kind)) for _, e in told if isinstance(e, NoticeHeard)}
        return [self.message(event, name) for name, event in told]

    def message(self, event: Event, name: str | None) -> Heard:
        self._messages += 1
        # Only the warnings of the cloud itself do not say which group a node is of.
        unnamed = isinstance(event, NoticeHeard) and not event.hook
        return Heard(f"m{self._messages}", event, None if unnamed else name)

    def put(self, key: str, document: object) -> None:
        self.board.write(key, dump(document), expect=ANY)

    # ------------------------------------------------------------ what happens

    def interrupt(self, name: str, node: str) -> None:
        self.cloud.nodes[name].due.setdefault(node, self.now + 60.0)
        self.cloud.nodes[name].leaving.add(node)
        self.cloud.told.append((name, NoticeHeard(node=node, kind=INTERRUPTION, event_at=self.now)))

    def recommend(self, name: str, node: str) -> None:
        if self.specs[name].on_rebalance == "replace" and self.cloud.nodes[name].state(node) in LIVE:
            self.cloud.nodes[name].successors.setdefault(node, "")
        self.cloud.told.append((name, NoticeHeard(node=node, kind=REBALANCE, event_at=self.now)))

    def drill(self, name: str, node: str) -> None:
        self.cloud.told.append((name, NoticeHeard(node=node, kind=INTERRUPTION, event_at=self.now, drill=True)))

    def let_go(self, name: str, node: str) -> None:
        """Somebody other than the responder has a group terminate a node."""
        self.cloud.hold(name, node)

    def lose(self, name: str, node: str) -> None:
        self.cloud.lose(name, node)

    def fall_silent(self, name: str, node: str) -> None:
        self.cloud.nodes[name].silent.add(node)

    def speak_again(self, name: str, node: str) -> None:
        self.cloud.nodes[name].silent.discard(node)

    def node_writes(self, name: str, node: str, kind: str) -> None:
        """A node's agent writes what it has heard; ``kind`` is that of the notice, or one of :data:`FORGERIES`."""
        wanted = self.specs[name]
        real = kind if kind not in FORGERIES else INTERRUPTION
        said = NodeNotice(name, wanted.incarnation, node, notice_id(node, real), real, heard_at=self.now)
        folder = wanted.node_prefix + node
        body = FORGERIES[kind](said) if kind in FORGERIES else dump(said)
        if self.board.read(keys.notice(name, folder)) is not None:
            self.unheard.add(node)  # it writes over what it has said before, and who comes late reads only this
        self.board.write(keys.notice(name, folder), body, expect=ANY)
        if kind not in FORGERIES:
            self.said.add((node, said.notice_id))
        if kind == INTERRUPTION:
            self.cloud.nodes[name].leaving.add(node)
            self.cloud.nodes[name].due.setdefault(node, self.now + 60.0)
        self.cloud.told.append((name, NoticeWritten(folder)))

    def market(self, name: str, capacity: int, refusal: str) -> None:
        self.cloud.nodes[name].spot_capacity, self.cloud.nodes[name].refusal = capacity, refusal

    def change(self, name: str, changes: Mapping[str, object]) -> None:
        """The user changes the spec."""
        self.specs[name] = replace(self.specs[name], **changes)  # type: ignore[arg-type]
        if self.exists(name):
            self.put(keys.spec(name), self.specs[name])

    def destroy(self, name: str) -> None:
        self.board.delete(keys.spec(name))

    def create(self, name: str, anew: bool) -> None:
        """The spec comes back; ``anew`` with another incarnation, and groups that know nothing of those before."""
        wanted, nodes = self.specs[name], self.cloud.nodes[name]
        if anew:
            incarnation = wanted.incarnation + "X"
            wanted = replace(wanted, incarnation=incarnation, node_prefix=f"{incarnation}:")
            for node in nodes.running():
                self.cloud.lose(name, node)
            nodes.spot.desired, nodes.backup.desired = wanted.spot_target, wanted.base
            self.cloud.told += [(name, event) for event in nodes.start(self.now)]
        self.specs[name] = wanted
        self.put(keys.spec(name), wanted)

    def pause(self, name: str, mode: str | None) -> None:
        """A person stops or holds the fleet, or takes that back."""
        known = self.ledger(name) or fresh(self.specs[name])
        if known.incarnation != self.specs[name].incarnation:
            known = fresh(self.specs[name], known.revision)
        said = None if mode is None else Pause(mode, self.now)
        self.put(keys.ledger(name), replace(known, pause=said, revision=known.revision + 1))

    def end_job(self, name: str, state: str) -> None:
        """The job of this incarnation ends, for good."""
        incarnation = self.specs[name].incarnation
        if (name, incarnation) not in self._ended:
            self._ended.add((name, incarnation))
            self.put(keys.progress(name), Progress(name, incarnation, 1, "anybody", self.now, state))

    def later(self, effect: Callable[[], object]) -> None:
        """Have something take effect at a later time."""
        self._late.append(effect)

    def pass_time(self, seconds: float) -> None:
        """Time passes: what is late arrives, nodes go and come, agents hear, save and report."""
        self.land()
        self.clock.now += seconds
        for name, nodes in self.cloud.nodes.items():
            self._replace(name, nodes)
            confirmed = self.agents_know(name)
            for node in [n for n in nodes.running() if self._goes(nodes, n, confirmed)]:
                self.cloud.lose(name, node)
            nodes.boot()
            self.cloud.told += [(name, event) for event in nodes.start(self.now)]
            self._report(name)

    def wait(self, seconds: float) -> None:
        """Time passes, and nothing else happens."""
        self.clock.now += seconds

    def land(self) -> None:
        """What was late takes effect, or fails to."""
        late, self._late = self._late, []
        for effect in late:
            try:
                effect()
            except Exception:  # noqa: BLE001 - nobody waits for the answer any more
                continue

    def tick(self) -> Heard:
        return self.message(Tick(), None)

    def _goes(self, nodes: Nodes, node: str, known: set[tuple[str, str]]) -> bool:
        """Whether a node's time is up, or its hook has ended because it has saved."""
        if self.now >= nodes.due.get(node, float("inf")):
            return True
        saved = node not in nodes.silent and (node, notice_id(node, INTERRUPTION)) in known
        return saved and nodes.state(node) is State.HELD

    def _replace(self, name: str, nodes: Nodes) -> None:
        """The spot group starts the successor of a node that is at risk; once that runs, the node is let go."""
        group = dict(nodes.groups())[SPOT]
        for node, successor in sorted(nodes.successors.items()):
            if nodes.state(node) not in LIVE:
                del nodes.successors[node]
            elif nodes.state(successor) is State.IN_SERVICE:
                self.cloud.hold(name, node)
            elif nodes.state(successor) is None and len(group.live()) < nodes.spot_capacity:
                nodes.successors[node] = group.start()
                self.cloud.told.append((name, NodeLaunched(nodes.successors[node], SPOT)))

    def _report(self, name: str) -> None:
        """Every agent that speaks reports; those who know that they go have saved."""
        wanted, nodes, known = self.specs[name], self.cloud.nodes[name], self.agents_know(name)
        for node in nodes.running():
            if node in nodes.silent:
                continue
            saved = (node, notice_id(node, INTERRUPTION)) in known
            body = _reported(name, wanted.incarnation, node, self.now, saved)
            self.board.write(keys.report(name, wanted.node_prefix + node), body, expect=ANY)


@lru_cache(maxsize=256)
def _reported(fleet: str, incarnation: str, node: str, now: float, saved: bool) -> bytes:
    """Return a report; two worlds have the same one at the same moment."""
    said = NodeReport(fleet, incarnation, node, boot_id="boot", at=now)
    if saved:
        said = replace(said, notice_id=notice_id(node, INTERRUPTION), confirmed_step=7, confirmed_at=now)
    return dump(said)
