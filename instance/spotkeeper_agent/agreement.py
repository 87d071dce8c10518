"""At which step all ranks of a job save: one coordinator, two phases, and nobody who waits in a collective.

First every rank *arms*: at a step boundary it says where it is. Then a round is *committed*: a stop step beyond all of
them, which each rank promises to save at, unless it is past it already; that takes the next round, with a stop step
farther ahead. Once all have promised it is *go*. A rank that comes to the stop step before that waits there, where it
keeps nobody from getting there too.

Pure: what the ranks say and the time come in, the next state comes out.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import Dict, FrozenSet, List, Mapping, Optional, Tuple

from spotkeeper_ledger.run_dir import (
    ARMED,
    ARMING,
    COMMIT,
    COVERED,
    DONE,
    FAILED,
    GO,
    PASSED,
    PROMISED,
    UNSAVED,
    Agreement,
    RankState,
)

LEAD_SECONDS = 0.05
"""How far ahead of the foremost rank the stop step lies at least: what it takes on one node for all to hear of it."""
COMMIT_SECONDS = 60.0
"""How long ranks may be kept waiting for the promise of another where no deadline says it."""

_NOT_SAVED = (UNSAVED, ARMED, PASSED)
"""What a rank says of a round that it was to save in and has not: the last two if it has waited no longer."""


@dataclass(frozen=True)
class Wanted:
    """A notice that a checkpoint is wanted for."""

    notice_id: str
    at: float
    """When it was heard; with its id, what tells it from an earlier one."""
    leaving: bool
    until: float = math.inf
    """When it is too late to begin a save, on the clock that ``now`` is read from."""


@dataclass(frozen=True)
class Present:
    """What is known of the ranks of one start of the job."""

    states: Mapping[int, RankState]
    lost: FrozenSet[int] = frozenset()
    """Ranks whose process is gone."""

    @property
    def world_size(self) -> int:
        """How many ranks there are to be; 0 while none has said so."""
        return max((state.world_size for state in self.states.values()), default=0)

    def at_stage(self, stage: str, round_: int) -> List[RankState]:
        """The ranks that say ``stage`` of round ``round_``."""
        return [state for state in self.states.values() if state.stage == stage and state.round == round_]


@dataclass(frozen=True)
class Coordinator:
    """The agreement that stands, and what it takes to go on from it.

    A job of one rank has none.
    """

    generation: int
    attempt: int = 0
    lead_seconds: float = LEAD_SECONDS
    commit_seconds: float = COMMIT_SECONDS
    agreement: Optional[Agreement] = None
    until: float = math.inf
    """When a committed round that is not ``go`` has failed."""
    passes: int = 0
    """How many rounds in a row had a stop step that a rank was past; each doubles the lead."""
    processes: Mapping[int, int] = field(default_factory=dict)
    """The process of each rank that the round counts on."""
    settled: Optional[Tuple[str, float]] = None
    """The notice that nothing is left to be done for."""

    @property
    def stage(self) -> str:
        """Stage of the agreement; ``done`` where there never was one."""
        return self.agreement.stage if self.agreement else DONE

    @property
    def round(self) -> int:
        """The last round."""
        return self.agreement.round if self.agreement else 0

    def turn(self, present: Present, wanted: Optional[Wanted], now: float) -> Coordinator:
        """Return what follows from what is known ``now``; the very same where nothing does."""
        if present.world_size < 2:
            return self
        if wanted is not None and self.settled == (wanted.notice_id, wanted.at):
            wanted = None
        if self.stage == COMMIT:
            return self._commit(present, wanted, now)
        if self.stage == GO:
            return self._go(present, wanted, now)
        return self._arm(present, wanted, now)

    def _arm(self, present: Present, wanted: Optional[Wanted], now: float) -> Coordinator:
        covered = present.at_stage(COVERED, self.round)
        if covered:
            return self._end(DONE, "", now, wanted, (covered[0].notice_id, False))
        armed = present.at_stage(ARMED, self.round)
        if wanted is None:
            if all(state.notice_id for state in armed):  # no rank whose save interval is over
                return self._end(FAILED, "nobody has anything to save for", now) if self.stage == ARMING else self
        elif now >= wanted.until:
            behind = _names(set(range(present.world_size)) - {state.rank for state in armed})
            return self._end(FAILED, f"not at a step boundary in time: {behind}", now, wanted)
        else:
            armed = [state for state in armed if state.notice_id and (state.leaving or not wanted.leaving)]
        missing = set(range(present.world_size)) - {state.rank for state in armed} | present.lost
        if not missing:
            return self._ask(present, wanted, now, passes=0)
        return self._say(ARMING, self.round, now, wanted, reason=f"waiting for {_names(missing)}")

    def _commit(self, present: Present, wanted: Optional[Wanted], now: float) -> Coordinator:
        agreement = self._standing
        gone = self._gone(present)
        if gone:
            return self._end(FAILED, f"gone while agreeing: {_names(gone)}", now)
        if wanted is not None and (wanted.leaving, True) > (agreement.leaving, bool(agreement.notice_id)):
            return self._ask(present, wanted, now, passes=self.passes)
        if self._is_passed(present):
            return self._ask(present, wanted, now, passes=self.passes + 1)
        promised = {state.rank for state in present.at_stage(PROMISED, self.round)}
        if len(promised) == present.world_size:
            return replace(self, agreement=replace(agreement, stage=GO, at=now))
        too_late = wanted is not None and now >= wanted.until
        if too_late or now >= self.until:
            late = _names(set(range(present.world_size)) - promised)
            return self._end(FAILED, f"no promise in time: {late}", now, wanted if too_late else None)
        return self

    def _is_passed(self, present: Present) -> bool:
        """Whether a rank says that it is past the stop step, or was when it has not read of it yet.

        The latter may be waiting, in the middle of a step, for one that has promised and waits for it in turn.
        """
        stop_step = self._standing.stop_step
        unaware = [state for state in present.states.values() if state.round < self.round]
        return bool(present.at_stage(PASSED, self.round)) or any(
            state.stage in (ARMED, PASSED) and stop_step is not None and state.step >= stop_step for state in unaware
        )

    def _go(self, present: Present, wanted: Optional[Wanted], now: float) -> Coordinator:
        # Once it is published one rank says so, if only in passing: it may have something else to save for by now.
        if any(state.saved_round == self.round for state in present.states.values()):
            return self._end(DONE, "", now, wanted if self._standing.notice_id else None)
        gone = self._gone(present)
        if gone:
            return self._end(FAILED, f"gone before the checkpoint was whole: {_names(gone)}", now)
        if sum(len(present.at_stage(stage, self.round)) for stage in _NOT_SAVED) == present.world_size:
            return self._end(FAILED, "not all ranks have saved", now)
        return self

    @property
    def _standing(self) -> Agreement:
        if self.agreement is None:
            raise RuntimeError("there is no agreement")
        return self.agreement

    def _gone(self, present: Present) -> FrozenSet[int]:
        """Ranks that the round counts on and that are not what they were when it began."""
        now = {rank: state.pid for rank, state in present.states.items() if rank not in present.lost}
        return frozenset(rank for rank, pid in self.processes.items() if now.get(rank) != pid)

    def _ask(self, present: Present, wanted: Optional[Wanted], now: float, *, passes: int) -> Coordinator:
        """Commit the next round."""
        rate = max(state.steps_per_second or 0.0 for state in present.states.values())
        ahead = max(1, math.ceil(rate * self.lead_seconds)) << min(passes, 30)
        foremost = max(state.step for state in present.states.values())
        if self.stage == COMMIT and self._standing.stop_step is not None:
            foremost = max(foremost, self._standing.stop_step)
        if wanted is None and self.stage == COMMIT:
            subject = (self._standing.notice_id, self._standing.leaving)
            until = self.until
        else:
            subject = (wanted.notice_id, wanted.leaving) if wanted else ("", False)
            until = wanted.until if wanted and wanted.leaving else now + self.commit_seconds
        agreement = self._document(COMMIT, self.round + 1, now, subject)
        processes: Dict[int, int] = {rank: state.pid for rank, state in present.states.items()}
        return replace(
            self,
            agreement=replace(agreement, stop_step=foremost + ahead),
            until=until,
            passes=passes,
            processes=processes,
        )

    def _say(self, stage: str, round_: int, now: float, wanted: Optional[Wanted], reason: str) -> Coordinator:
        subject = (wanted.notice_id, wanted.leaving) if wanted else ("", False)
        said = self._document(stage, round_, now, subject, reason)
        if self.agreement is not None and replace(self.agreement, at=now) == said:
            return self
        return replace(self, agreement=said)

    def _end(
        self,
        stage: str,
        reason: str,
        now: float,
        wanted: Optional[Wanted] = None,
        subject: Optional[Tuple[str, bool]] = None,
    ) -> Coordinator:
        """End the agreement; ``wanted`` is the notice that is settled by that."""
        if self.stage in (COMMIT, GO):
            ended = replace(self._standing, stage=stage, at=now, reason=reason)
        else:
            subject = subject or ((wanted.notice_id, wanted.leaving) if wanted else ("", False))
            ended = self._document(stage, self.round + 1, now, subject, reason)
        settled = (wanted.notice_id, wanted.at) if wanted else self.settled
        return replace(self, agreement=ended, settled=settled, processes={}, passes=0, until=math.inf)

    def _document(self, stage: str, round_: int, now: float, subject: Tuple[str, bool], reason: str = "") -> Agreement:
        return Agreement(
            generation=self.generation,
            stage=stage,
            round=round_,
            at=now,
            notice_id=subject[0],
            leaving=subject[1],
            reason=reason,
            attempt=self.attempt,
        )


def _names(ranks: object) -> str:
    listed = sorted(ranks)  # type: ignore[call-overload]
    return "rank " + ", ".join(str(rank) for rank in listed[:8]) + (", …" if len(listed) > 8 else "")
