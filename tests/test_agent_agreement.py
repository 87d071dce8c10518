"""The agreement of all ranks as a whole, over every interleaving: the coordinator and the ranks' parts, no files."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass, field, replace

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from spotkeeper_agent.agreement import COMMIT_SECONDS, Coordinator, Present, Wanted
from spotkeeper_ledger.run_dir import (
    ARMED,
    ARMING,
    COMMIT,
    COVERED,
    DONE,
    FAILED,
    GO,
    PROMISED,
    SAVED,
    SAVING,
    UNSAVED,
    Agreement,
    LocalNotice,
    RankState,
)
from spotkeeper_training.agreement import ANSWERED, RELEASED, SAVE, WAIT, Boundary, Stand, answers, verdict

REBALANCE = LocalNotice("n:rebalance", "rebalance", leaving=False, at=1.0)
OFTEN = ("fails_to_publish", "hears_the_verdict", "interval_is_over")
SELDOM = ("asks_for_the_verdict_no_longer", "waits_no_longer", "dies")
LEAVING = LocalNotice("n:leaving", "interruption", leaving=True, at=2.0)


@dataclass
class Rank:
    """One rank in lock step with the others, whose host may be ahead of the sums by some steps."""

    rank: int
    ahead: int
    step: int = 0
    entered: int = 0
    """The step that it is in: the sum of that one takes what it has handed in."""
    previous: int = 0
    stand: Stand = field(default_factory=Stand)
    told_step: int = 0
    saved_round: int = 0
    found: Agreement | None = None
    """What it reads: what was written, or something older."""
    at_boundary: bool = False
    saving: Agreement | None = None
    unsaved: Agreement | None = None
    """The agreement whose save has failed here, and nothing is known of the others'."""
    answered: LocalNotice | None = None
    sees: LocalNotice | None = None
    due: bool = False
    alive: bool = True
    stopped: bool = False


class Ranks(RuleBasedStateMachine):
    """Ranks, an agent, and between them documents that arrive late."""

    ranks: list[Rank]
    RATE: float | None = None

    @initialize(
        ahead=st.lists(st.sampled_from([0, 1, 50]), min_size=2, max_size=3),
        stride=st.sampled_from([1, 1, 3]),
        rate=st.sampled_from([None, 0.5, 100.0]),
        first=st.sampled_from([REBALANCE, REBALANCE, LEAVING, None]),
        seed=st.integers(0, 10**6),
    )
    def begin(self, ahead: list[int], stride: int, rate: float | None, first: LocalNotice | None, seed: int) -> None:
        self.random = random.Random(seed)
        self.ranks = [Rank(number, each) for number, each in enumerate(ahead)]
        self.stride, self.rate = stride, rate
        self.coordinator = Coordinator(1)
        self.written: list[Agreement] = []
        self.heard = {rank.rank: self.tell(rank) for rank in self.ranks}
        self.notice: LocalNotice | None = None
        self.until = math.inf
        self.now = 0.0
        self.saves: dict[int, set[int]] = {}
        self.shards: dict[int, set[int]] = {}
        self.published: set[int] = set()
        self.promises: dict[int, set[int]] = {}
        if first is not None:
            self.notice_comes(leaving=first.leaving)

    def tell(self, rank: Rank) -> RankState:
        stand = rank.stand
        if stand.stage == PROMISED:
            self.promises.setdefault(stand.round, set()).add(rank.rank)
        return RankState(
            rank=rank.rank,
            world_size=len(self.ranks),
            pid=100 + rank.rank,
            generation=1,
            stage=stand.stage,
            step=rank.told_step,
            at=0.0,
            round=stand.round,
            stop_step=stand.stop_step,
            notice_id=stand.notice.notice_id if stand.notice else "",
            leaving=stand.notice.leaving if stand.notice else False,
            steps_per_second=self.rate,
            saved_round=rank.saved_round,
        )

    def wanted(self) -> Wanted | None:
        notice = self.notice
        return Wanted(notice.notice_id, notice.at, notice.leaving, self.until) if notice else None

    # What may happen, in any order.

    def pick(self, number: int) -> Rank:
        return self.ranks[number % len(self.ranks)]

    @rule(
        what=st.sampled_from(["goes"] * 10 + ["turns"] * 6 + ["publishes"] * 4 + [*OFTEN] * 2 + [*SELDOM]),
        number=st.integers(0, 5),
        steps=st.sampled_from([1, 1, 1, 2, 5, 60]),
        blind=st.booleans(),
        mute=st.booleans(),
    )
    def happens(self, what: str, number: int, steps: int, blind: bool, mute: bool) -> None:
        """Something does; a ``blind`` rank reads nothing new meanwhile, and nobody reads of a ``mute`` one."""
        rank = self.pick(number)
        if not rank.alive:
            return
        if what == "goes":
            for _ in range(steps):
                self.go(rank, blind=blind, mute=mute)
        elif what == "turns":
            self.agent_turns()
        else:
            getattr(self, what)(rank)
            if not mute:
                self.heard[rank.rank] = self.tell(rank)

    def go(self, rank: Rank, *, blind: bool = False, mute: bool = False) -> None:
        if not blind and self.written:
            rank.found = self.written[-1]
        if not blind:
            rank.sees = self.notice
        self.make_step(rank)
        if not mute:
            self.heard[rank.rank] = self.tell(rank)

    def make_step(self, rank: Rank) -> bool:
        """Go on to the next step boundary, if lock step allows, and be told what to do there."""
        if not rank.alive or rank.stopped or rank.saving or rank.unsaved:
            return False
        if not rank.at_boundary:
            if rank.entered == rank.step:
                rank.entered += 1
                return True
            if any(each.entered < rank.entered - rank.ahead for each in self.ranks):  # waits in the sum of a step
                return False
            rank.step = rank.entered
            if rank.step % self.stride:
                return True
        self.look(rank)
        return True

    def look(self, rank: Rank) -> None:
        wanted = rank.sees if rank.sees is not None and rank.sees != rank.answered else None
        if wanted is None and not rank.due and not rank.stand.open:
            rank.previous = rank.step
            return
        boundary = Boundary(rank.step, rank.previous, wanted, rank.due and wanted is None)
        rank.stand, outcome = rank.stand.at(boundary, rank.found)
        rank.told_step = rank.step
        rank.at_boundary = outcome == WAIT
        if outcome == WAIT:
            return
        rank.previous = rank.step
        if outcome == SAVE:
            assert rank.found is not None
            assert rank.found.stage == GO
            rank.saving = rank.found
            self.saves.setdefault(rank.found.round, set()).add(rank.step)
            self.shards.setdefault(rank.step, set()).add(rank.rank)
        elif outcome == ANSWERED:
            assert rank.found is not None
            self.settle(rank, rank.found)
        elif outcome == RELEASED:
            rank.due = False

    def settle(self, rank: Rank, agreed: Agreement) -> None:
        if answers(agreed, rank.sees):
            rank.answered = rank.sees
        rank.stopped = rank.stopped or agreed.leaving
        rank.due = False

    def agent_turns(self) -> None:
        lost = frozenset(rank.rank for rank in self.ranks if not rank.alive)
        self.coordinator = self.coordinator.turn(Present(dict(self.heard), lost), self.wanted(), self.now)
        agreement = self.coordinator.agreement
        if agreement is not None and (not self.written or self.written[-1] != agreement):
            self.written.append(agreement)

    def publishes(self, rank: Rank) -> None:
        """A rank's save ends well: all shards of that step are there."""
        if rank.saving is None or not rank.alive or len(self.shards[rank.step]) < len(self.ranks):
            return
        self.published.add(rank.step)
        self.settle(rank, rank.saving)
        rank.saved_round = rank.saving.round
        rank.saving, rank.stand = None, rank.stand.closed(SAVED)

    def fails_to_publish(self, rank: Rank) -> None:
        if rank.saving is not None and rank.alive:
            rank.stand = rank.stand.closed(UNSAVED)
            rank.saving, rank.unsaved = None, rank.saving

    def hears_the_verdict(self, rank: Rank) -> None:
        if rank.unsaved is not None and rank.alive:
            published = verdict(rank.unsaved, rank.found)
            if published:
                self.settle(rank, rank.unsaved)
                rank.saved_round = rank.unsaved.round
                rank.stand = rank.stand.closed(SAVED)
            if published is not None:
                rank.unsaved = None

    def asks_for_the_verdict_no_longer(self, rank: Rank) -> None:
        rank.unsaved = None

    def waits_no_longer(self, rank: Rank) -> None:
        if rank.at_boundary and rank.alive:
            rank.stand, rank.at_boundary, rank.previous = rank.stand.tired(), False, rank.step

    def dies(self, rank: Rank) -> None:
        rank.alive = False

    def interval_is_over(self, rank: Rank) -> None:
        rank.due = True

    @rule(leaving=st.booleans())
    def notice_comes(self, leaving: bool) -> None:
        if self.notice is None or (leaving and not self.notice.leaving):
            self.notice = LEAVING if leaving else REBALANCE
            self.until = self.now + 30 if leaving else math.inf

    @rule(seconds=st.sampled_from([0.1, 5.0, 40.0]))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    # What holds, whatever happens.

    @invariant()
    def promises_are_kept(self) -> None:
        if not hasattr(self, "ranks"):
            return
        self.one_step_per_round()
        self.nobody_saves_before_all_have_promised()
        self.rounds_rise_and_a_stop_step_stays()
        self.go_is_never_taken_back_while_somebody_may_still_save()
        self.it_ends_within_the_bound()

    def one_step_per_round(self) -> None:
        for round_, steps in self.saves.items():
            assert len(steps) == 1, f"round {round_}: ranks save after steps {sorted(steps)}"

    def nobody_saves_before_all_have_promised(self) -> None:
        for round_ in self.saves:
            assert self.promises[round_] == {rank.rank for rank in self.ranks}

    def rounds_rise_and_a_stop_step_stays(self) -> None:
        written = self.written
        assert [each.round for each in written] == sorted(each.round for each in written)
        steps: dict[int, set[int | None]] = {}
        for each in written:
            if each.stage in (COMMIT, GO):
                steps.setdefault(each.round, set()).add(each.stop_step)
        assert all(len(found) == 1 for found in steps.values())

    def go_is_never_taken_back_while_somebody_may_still_save(self) -> None:
        for before, after in zip(self.written, self.written[1:], strict=False):
            if before.stage == GO:
                assert after.stage in (DONE, FAILED), f"{before} then {after}"

    def it_ends_within_the_bound(self) -> None:
        coordinator = self.coordinator
        turned = coordinator.turn(Present(dict(self.heard)), self.wanted(), self.now)
        if self.now >= self.until:
            assert turned.stage not in (ARMING, COMMIT) or not turned.agreement.notice_id
        late = coordinator.turn(Present(dict(self.heard)), self.wanted(), self.now + 10 * COMMIT_SECONDS)
        assert not (late.stage == COMMIT and late.round == coordinator.round and coordinator.stage == COMMIT)

    def is_hopeless(self, rank: Rank) -> bool:
        """Whether a shard that its save waits for will never come."""
        if rank.saving is None:
            return False
        missing = [self.ranks[number] for number in set(range(len(self.ranks))) - self.shards[rank.step]]
        return any(each.step > rank.step or each.stand.round > rank.saving.round for each in missing)

    def teardown(self) -> None:
        """From wherever this has come, what is alive and asked for comes to an end."""
        if not hasattr(self, "ranks") or not all(rank.alive for rank in self.ranks):
            return
        if any(rank.stopped for rank in self.ranks) or self.now >= self.until:
            return
        self.notice, self.until = self.notice or REBALANCE, math.inf
        for _ in range(600):
            for rank in self.random.sample(self.ranks, len(self.ranks)):
                for _ in range(self.random.choice([1, 2, 2, 4])):
                    self.go(rank, blind=self.random.random() < 0.3)
                self.publishes(rank)
                self.hears_the_verdict(rank)
                if self.is_hopeless(rank):
                    self.fails_to_publish(rank)
                self.heard[rank.rank] = self.tell(rank)
                if self.random.random() < 0.3:
                    self.agent_turns()
            if all(rank.answered == self.notice for rank in self.ranks):
                break
            self.one_step_per_round()
            self.nobody_saves_before_all_have_promised()
        told = [(rank.step, rank.stand.stage, rank.stand.round) for rank in self.ranks]
        assert all(rank.answered == self.notice for rank in self.ranks), (told, self.coordinator)
        self.one_step_per_round()


@pytest.mark.parametrize("now", [(COVERED, ARMED), (ARMED, ARMED), (SAVING, ARMED)])
def test_that_a_checkpoint_is_published_is_heard_although_its_rank_has_said_something_else_since(
    now: tuple[str, str],
) -> None:
    """A rank that saves, and has something else to save for at once, is not seen in between."""
    states = {
        rank: RankState(rank, 2, 100 + rank, 1, stage, 9, 0.0, round=1, notice_id="n:other", saved_round=rank)
        for rank, stage in enumerate(now)
    }
    go = Agreement(1, GO, 1, 0.0, stop_step=8, notice_id=REBALANCE.notice_id)
    wanted = Wanted(REBALANCE.notice_id, REBALANCE.at, leaving=False)
    turned = Coordinator(1, agreement=go, processes={0: 100, 1: 101}).turn(Present(states), wanted, 5.0)
    assert turned.agreement == replace(go, stage=DONE, at=5.0)
    assert turned.settled == (REBALANCE.notice_id, REBALANCE.at)
    none = {rank: replace(state, saved_round=0) for rank, state in states.items()}
    turned = Coordinator(1, agreement=go, processes={0: 100, 1: 101}).turn(Present(none), wanted, 5.0)
    assert turned.stage == (FAILED if now == (ARMED, ARMED) else GO)


Ranks.TestCase.settings = settings(
    max_examples=60, stateful_step_count=60, deadline=None, suppress_health_check=list(HealthCheck)
)
TestEveryInterleaving = Ranks.TestCase
