"""Two handlers over one shared world; and the same events in another one, whose only handler nobody disturbs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from interleaving_promises import FOREIGN, Batch
from interleaving_side import Outcome, Side
from interleaving_steps import Fate, Gate, Handler
from spotkeeper_ledger import HELD, INTERRUPTION, FleetSpec
from spotkeeper_responder import CAPACITY, SPOT, Event, Heard, NodeGone, NodeLaunched, NoticeHeard, State
from spotkeeper_responder.notices import RESEND_SECONDS, SENDING

ROUND_SECONDS = 61.0
"""Longer than any of the fleets' durations."""
MOST_ROUNDS = 26
"""Longer than a recommendation to rebalance is remembered, until which its node is taken for one that is replaced, and
time to replace it after all."""
MOST_TICKS = 4
"""One to drain who is too much, one to let them go if they have saved already, and one to find that all is done."""


class Interleaving:
    """The events of one world, told to two handlers that go step by step; and to one in another world, at once.

    Args:
        fleets: their specs.
    """

    def __init__(self, *fleets: FleetSpec) -> None:
        self.shared, self.reference = Side(fleets), Side(fleets)
        self.handlers: list[tuple[Batch, Handler] | None] = [None, None]
        self.harmed = False
        """Whether anything was done to a handler but to let the other go first: a ledger that takes its time is one."""
        self.counts: Counter[str] = Counter()
        self._changed: set[object] = set()
        """Fleets of which the user wanted something else in between."""
        self._foreigners = 0

    # ------------------------------------------------------------ what happens

    def happen(self, what: str, *about: object, lost: bool = False) -> None:
        """Let something happen in both worlds: a method of :class:`SharedWorld`. Its messages may be lost in one."""
        if about and isinstance(about[0], str) and about[0] not in self.shared.world.specs:
            return
        self._changed |= {*about[:1]} if what in ("change", "create", "pause") else set()
        self.harmed |= what == "destroy"  # nothing is remembered of a fleet without a spec
        for side in (self.shared, self.reference):
            getattr(side.world, what)(*about)
            side.promises.look()
        self.reference.serve(self.reference.take())
        told = self.shared.world.take_messages()
        if lost:
            self.shared.world.unheard |= {getattr(each.event, "node", "") for each in told}
        else:
            self.shared.queue += told
        self.check()

    def befall(self, what: str, fleet: str, group: str, number: int, lost: bool = False) -> None:
        """Let something happen to one of the nodes that run, if any do."""
        node = self.node(fleet, group, number)
        if node is not None:
            self.happen(what, fleet, node, lost=lost)

    def node_writes(self, kind: str, fleet: str, group: str, number: int) -> None:
        """Let one of the nodes that run write a notice, true or forged."""
        node = self.node(fleet, group, number)
        if node is not None:
            self.happen("node_writes", fleet, node, kind)

    def pass_time(self, seconds: float) -> None:
        """Time passes; a handler that is at work waits for its call meanwhile."""
        self.harmed |= seconds > 0 and any(self.handlers)
        self.happen("pass_time", seconds)

    def wait(self, seconds: float) -> None:
        """Time passes in which nothing else happens."""
        self.harmed |= seconds > 0 and any(self.handlers)
        for side in (self.shared, self.reference):
            side.world.wait(seconds)

    def tick(self) -> None:
        """Let a tick pass in both worlds, with all messages, and nobody disturbed."""
        for side in (self.shared, self.reference):
            side.tick()

    def node(self, fleet: str, group: str, number: int) -> str | None:
        """Return one of the nodes that run in both worlds, if there are any."""
        if fleet not in self.shared.world.specs:
            return None
        sides = [side.world.cloud.nodes[fleet] for side in (self.shared, self.reference)]
        first, second = (each.group(group).members for each in sides)
        both = sorted(n for n, s in first.items() if s is second.get(n) is State.IN_SERVICE)
        return both[number % len(both)] if both else None

    def foreign(self, kind: int) -> None:
        """Somebody else's node is spoken of."""
        self._foreigners += 1
        node, now = f"i-foreign-{self._foreigners}", self.shared.world.now
        all_told: list[tuple[Event, str | None]] = [
            (NoticeHeard(node=node, kind=INTERRUPTION, event_at=now), None),
            (NodeGone(node), "somebody-elses"),
            (NodeLaunched(node, SPOT), "somebody-elses"),
        ]
        told = all_told[kind]
        self.shared.queue.append(Heard(f"{FOREIGN}-{self._foreigners}", *told))

    # ------------------------------------------------------------ what the handlers are made to do

    def deliver(self, slot: int, picks: Iterable[int] = (), *, tick: bool = False, again: bool = False) -> None:
        """Give a handler that has nothing to do some messages of the queue; it stops before its first call.

        Args:
            slot: which handler, 0 or 1.
            picks: which messages, by their places in the queue.
            tick: whether a tick comes with them.
            again: whether they will be delivered once more.
        """
        if self.handlers[slot] is not None:
            return
        queue = self.shared.queue
        places = sorted({pick % len(queue) for pick in picks}) if queue else []
        messages = [queue[place] for place in places]
        if not again:
            self.shared.queue = [each for place, each in enumerate(queue) if place not in places]
        messages += [self.shared.world.tick()] if tick else []
        if messages:
            batch = Batch(self.shared.promises, messages)
            self.handlers[slot] = batch, Handler(batch.work, self.shared.world.later)
            self.counts["batches"] += 1
            self._collect(slot)

    def advance(self, slot: int, calls: int = 0, fate: Fate = Fate.DONE) -> None:
        """Let a handler make ``calls`` calls, and let one more meet ``fate`` if that is not to be done."""
        work = self.handlers[slot]
        if work is not None:
            self.harmed |= fate is not Fate.DONE
            self.counts[fate.name] += 1
            work[1].go(calls, fate)
            self._collect(slot)
            self.shared.promises.look()
            self.check()

    def reach(self, slot: int, call: str) -> None:
        """Let a handler come to a call, such as ``write members.json``, and stop before it."""
        work = self.handlers[slot]
        while work is not None and not work[1].ended and work[1].gate.coming != call:
            self.advance(slot, 1)
        assert self.handlers[slot] is not None, f"a handler that never came to {call}"

    def finish(self, slot: int) -> None:
        """Let a handler come to its end."""
        work = self.handlers[slot]
        if work is not None:
            work[1].finish()
            self._collect(slot)
            self.check()

    def abandon(self) -> None:
        """End all handlers, whatever they are at."""
        for work in self.handlers:
            if work is not None:
                work[1].finish(Fate.DEAD_BEFORE)

    def check(self) -> None:
        """Fail if a promise is broken."""
        broken = [f"with two handlers: {each}" for each in self.shared.promises.broken]
        broken += [f"with one, undisturbed: {each}" for each in self.reference.promises.broken]
        assert not broken, "; ".join(broken)
        twice = [told for told, times in self.shared.promises.commands.items() if times > 1]
        assert self.harmed or not twice, f"promise 3: told twice, though nobody was disturbed: {twice}"

    def _collect(self, slot: int) -> None:
        work = self.handlers[slot]
        if work is None or not work[1].ended:
            return
        batch, handler = work
        self.handlers[slot] = None
        self.counts["calls"] += len(handler.gate.asked)
        if handler.error is not None:
            raise handler.error
        if handler.failed is None:
            self.shared.queue += batch.messages
            return
        batch.ended(handler.failed)
        self.shared.queue += [each for each in batch.messages if each.message in handler.failed]

    # ------------------------------------------------------------ what has to come of it

    def come_to_rest(self) -> None:
        """Let both handlers end, what is late land, what failed come again, and a tick pass; then all is done."""
        self.finish(0)
        self.finish(1)
        self.shared.world.land()
        self.shared.serve(self.shared.take())
        self.wait(RESEND_SECONDS + 1)
        self.tick()
        self.check()
        self._check_quiet()
        for side in (self.shared, self.reference):
            side.world.pass_time(1.0)
            side.serve(side.take())

    def check_same(self) -> None:
        """Fail if two handlers have come to another end than one that nobody disturbs."""
        found, expected = self._outcomes()
        apart = [
            f"{name}: {what} is {found[name].get(what)}, expected {wanted}"
            for name, outcome in expected.items()
            for what, wanted in outcome.items()
            if found[name].get(what) != wanted
        ]
        assert not apart, "two handlers come to another end than one: " + "; ".join(apart)

    def settle(self) -> None:
        """Let time pass until nothing changes any more, and fail if that is not what one handler has come to."""
        self.finish(0)
        self.finish(1)
        self._make_comparable()
        self.come_to_rest()
        before: object = None
        for _ in range(MOST_ROUNDS):
            for side in (self.shared, self.reference):
                side.world.pass_time(ROUND_SECONDS)
                side.promises.look()
                side.tick()
            self.check()
            reached = self._outcomes()
            if reached == before and reached[0] == reached[1]:
                return
            before = reached
        self.check_same()
        raise AssertionError(f"after {MOST_ROUNDS} rounds something still changes: {self._outcomes()[0]}")

    def _make_comparable(self) -> None:
        """End what makes the end depend on the way there."""
        for name in self.shared.world.specs:
            ledgers = [side.world.ledger(name) for side in (self.shared, self.reference)]
            if any(ledger and ledger.pause and ledger.pause.mode == HELD for ledger in ledgers):
                self.happen("pause", name, None)  # what is left as it is need not be what it should be
            # With a quota in the way only what was lost is bought for, and a loss between two looks is not known of.
            # And who was let go, or not asked for, while there was room need not come back.
            drained = self.shared.promises.drained | self.reference.promises.drained
            if name in self._changed or drained or self.shared.world.cloud.nodes[name].refusal != CAPACITY:
                self.happen("market", name, 100, CAPACITY)
            # Where one who is silent was drained for good, and by the other handler somebody else or nobody, one fleet
            # has a silent node to make up for, and the other none.
            in_one = self.shared.promises.drained ^ self.reference.promises.drained
            for node in sorted(self.shared.world.cloud.nodes[name].silent & in_one):
                self.happen("speak_again", name, node)

    def _outcomes(self) -> tuple[dict[str, Outcome], dict[str, Outcome]]:
        # Which of several equal nodes is drained, and whether it was before other news of it, depends on who was first.
        unheard = self.shared.world.unheard | self.shared.promises.drained | self.reference.promises.drained
        return self.shared.outcome(unheard), self.reference.outcome(unheard)

    def _check_quiet(self) -> None:
        """All is done by now that can be: everybody has been told, and soon a tick finds nothing to do or to write."""
        world = self.shared.world
        for name in filter(world.exists, world.specs):
            ledger = world.ledger(name)
            if ledger is not None and ledger.incarnation == world.specs[name].incarnation:
                sending = [n for n, r in ledger.notices.items() if r.stage == SENDING]
                assert not sending, f"promise 3: never told: {sending}"
        for _ in range(MOST_TICKS):
            batch = Batch(self.shared.promises, [*self.shared.take(), world.tick()])
            batch.work(Gate())
            if not batch.writes:
                return
        raise AssertionError(f"after {MOST_TICKS} ticks at one moment there is still something to do: {batch.asked}")
