"""All that can happen to two fleets and to the two handlers that look after them, for Hypothesis to choose from."""

from __future__ import annotations

from collections import Counter
from typing import Any, ClassVar

import hypothesis.strategies as st
from hypothesis import HealthCheck, settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from interleaving_play import Interleaving
from interleaving_steps import Fate
from interleaving_world import FORGERIES, fleet
from spotkeeper_ledger import HELD, INTERRUPTION, REBALANCE, STOPPED
from spotkeeper_responder import BACKUP, CAPACITY, CONFIGURATION, QUOTA, SPOT

SLOTS = st.integers(0, 1)
SELDOM = st.sampled_from([False, False, False, True])
NAMES = st.sampled_from(["fleet-1", "fleet-1", "fleet-2"])
NODES = (NAMES, st.sampled_from([SPOT, SPOT, BACKUP]), st.integers(0, 3))
TO_NODES = ("interrupt", "interrupt", "interrupt", "recommend", "drill", "let_go", "lose", "fall_silent")
CHANGES = ({"base": 0}, {"base": 1}, {"target": 2}, {"target": 4}, {"maximum": 1}, {"maximum": 4})


def _event(what: str, *about: object) -> st.SearchStrategy[tuple[Any, ...]]:
    """Return events that are a method of :class:`Interleaving` with what it is called with."""
    return st.tuples(st.just(what), *(each if isinstance(each, st.SearchStrategy) else st.just(each) for each in about))


BEFALLS = _event("befall", st.sampled_from(TO_NODES), *NODES, SELDOM)
WRITES = _event("node_writes", st.sampled_from([INTERRUPTION, INTERRUPTION, REBALANCE, *FORGERIES]), *NODES)
TIME = _event("pass_time", st.sampled_from([1.0, 6.0, 31.0, 61.0]))
WISHES = st.one_of(
    _event("happen", "change", NAMES, st.sampled_from(CHANGES)),
    _event("happen", "pause", NAMES, st.sampled_from([STOPPED, HELD, None, None])),
    _event("happen", "end_job", NAMES, st.sampled_from(["finished", "failed"])),
    _event("happen", "destroy", NAMES),
    _event("happen", "create", NAMES, st.booleans()),
)
ROOM = _event("happen", "market", NAMES, st.integers(0, 4), st.sampled_from([CAPACITY, CAPACITY, QUOTA, CONFIGURATION]))
EVENTS = st.one_of(BEFALLS, BEFALLS, BEFALLS, WRITES, TIME, TIME, ROOM, WISHES, _event("foreign", st.integers(0, 2)))


class Machine(RuleBasedStateMachine):
    """Two handlers and all that surrounds them."""

    tally: ClassVar[Counter[str]] = Counter()
    """What was done in all examples that came to their end."""
    play: Interleaving

    @initialize(
        policy=st.sampled_from(["mirror", "mirror", "patient", "never", "deadline"]),
        base=st.integers(0, 1),
        on_rebalance=st.sampled_from(["checkpoint", "replace", "ignore"]),
        two=SELDOM,
    )
    def begin(self, policy: str, base: int, on_rebalance: str, two: bool) -> None:
        fleets = [fleet(1, policy, base=base, on_rebalance=on_rebalance)]
        self.play = Interleaving(*fleets, *([fleet(2)] if two else []))

    # One rule, not one for each kind of step: Hypothesis leaves rules out at random, and where no handler is at work
    # there is nothing to be seen.
    @rule(
        events=st.lists(EVENTS, max_size=2),
        slot=SLOTS,
        picks=st.lists(st.integers(0, 7), max_size=5),
        tick=st.booleans(),
        again=SELDOM,
        calls=st.integers(0, 14),
        fate=st.sampled_from([Fate.DONE, Fate.DONE, *Fate]),
    )
    def step(
        self,
        events: list[tuple[Any, ...]],
        slot: int,
        picks: list[int],
        tick: bool,
        again: bool,
        calls: int,
        fate: Fate,
    ) -> None:
        """Something happens; then a handler goes on with what it is at, or begins with something."""
        for what, *about in events:
            getattr(self.play, what)(*about)
        self.play.deliver(slot, picks, tick=tick, again=again)
        self.play.advance(slot, calls, fate)

    def teardown(self) -> None:
        try:
            self.play.settle()
            self.tally.update(self.play.counts, examples=1)
        finally:
            self.play.abandon()


def chosen(examples: int, steps: int = 10, **more: object) -> settings:
    """Return the settings for so many examples of so many steps, the same in tests and in the benchmark."""
    return settings(
        max_examples=examples,
        stateful_step_count=steps,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        **more,  # type: ignore[arg-type]
    )
