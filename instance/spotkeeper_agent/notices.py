"""What the agent makes of all the words it hears: at most one notice at a time, which only ever gets graver and closer.

Pure: sources speak :class:`Word`, the :class:`Book` says what is true after each of them.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from typing import Mapping, Optional, Tuple

from spotkeeper_ledger import DRAIN, INTERRUPTION, REBALANCE, SCALE_IN, NodeNotice, notice_id
from spotkeeper_ledger.run_dir import LocalNotice, boot_time

GRAVITY = {REBALANCE: 0, DRAIN: 1, SCALE_IN: 2, INTERRUPTION: 3}
"""A graver kind replaces a lesser one."""
SHORTEST_SECONDS = 2.0
"""A deadline that is closer than this when it is heard (or past, where clocks disagree) is taken for this far away."""
LONGEST_MARGIN_SECONDS = 10.0
"""The last part of a notice, kept for stopping and reporting, is a tenth of it and at most this long."""


@dataclass(frozen=True)
class Moment:
    """One instant on two clocks: Unix time, and seconds since boot, which nobody sets."""

    wall: float
    boot: float

    @staticmethod
    def now() -> Moment:
        """The present."""
        return Moment(time.time(), boot_time())


@dataclass(frozen=True)
class Word:
    """What one source says about this node."""

    kind: str
    source: str
    """``imds`` (AWS), ``metadata`` (GCP), ``signal``, ``command``, ``socket`` or ``shutdown``."""
    at: float
    """When it was said, Unix seconds."""
    deadline: Optional[float] = None
    """When the node goes, Unix seconds, where the source knows."""
    drill: bool = False
    in_hook: bool = False
    """Whether the group waits in its terminate hook until this node's lifecycle action is completed."""


@dataclass(frozen=True)
class Notice:
    """What all words together mean."""

    notice_id: str
    kind: str
    source: str
    """Who said so first."""
    at: float
    """When it was said; of several words that ask for a save, the latest."""
    heard: Moment
    deadline: Optional[Moment] = None
    """Set for everything but a rebalance recommendation."""
    deadline_heard: Optional[Moment] = None
    drill: bool = False

    @property
    def leaving(self) -> bool:
        """Whether the node will go."""
        return self.kind != REBALANCE

    @property
    def asks_for_a_save(self) -> bool:
        """Whether that is all it does: an exercise of a recommendation, which is said anew for each save."""
        return self.drill and not self.leaving

    def stop_times(self) -> Tuple[float, float]:
        """Return when, in boot time, a job that has not stopped by itself is told to, and when it is made to.

        Raises ``ValueError`` for a notice without a deadline.
        """
        if self.deadline is None or self.deadline_heard is None:
            raise ValueError(f"notice {self.notice_id}: a {self.kind} has no deadline to stop before")
        margin = min(LONGEST_MARGIN_SECONDS, 0.1 * (self.deadline.boot - self.deadline_heard.boot))
        return self.deadline.boot - margin, self.deadline.boot - margin / 2

    def as_file(self, boot_id: str) -> LocalNotice:
        """This notice as the training process reads it."""
        return LocalNotice(
            notice_id=self.notice_id,
            kind=self.kind,
            leaving=self.leaving,
            at=self.heard.wall,
            deadline=self.deadline.wall if self.deadline else None,
            deadline_boottime=self.deadline.boot if self.deadline else None,
            boot_id=boot_id,
            drill=self.drill,
        )

    def as_document(self, fleet: str, incarnation: str, node: str) -> NodeNotice:
        """This notice as the responder reads it."""
        return NodeNotice(
            fleet=fleet,
            incarnation=incarnation,
            node=node,
            notice_id=self.notice_id,
            kind=self.kind,
            heard_at=self.heard.wall,
            deadline=self.deadline.wall if self.deadline else None,
            source=self.source,
            drill=self.drill,
        )


@dataclass(frozen=True)
class Book:
    """The notice that stands, and what has been forgotten."""

    node: str
    deadlines: Mapping[str, float]
    """Seconds until the node goes, by kind, where the word names no time."""
    rebalance_expiry_seconds: float
    notice: Optional[Notice] = None
    forgotten: Mapping[str, float] = field(default_factory=dict)
    """When a notice was forgotten, by its id: words from before that moment are echoes of it."""

    def hear(self, word: Word, now: Moment, *, saved: bool = False) -> Book:
        """Return the book after ``word``; the very same one where it adds nothing.

        ``saved`` says that a checkpoint has been confirmed for the notice that stands. If all that it asked for is a
        save, it is over by that, and only words that are not newer are echoes of it.
        """
        heard = self._read(word, now)
        if heard is None:
            return self
        held = self.notice
        if held is None or (heard.leaving and not held.leaving):
            return replace(self, notice=heard)
        if held.leaving and not heard.leaving:
            return self
        if saved and held.asks_for_a_save and (heard.at > held.at or not heard.drill):
            return replace(self, notice=heard)
        merged = _merge(held, heard)
        return self if merged == held else replace(self, notice=merged)

    def expire(self, now: Moment) -> Book:
        """Return the book without a notice that has come to nothing; the very same one where it still stands.

        A rebalance recommendation that nothing followed is over after its expiry, a drill when its deadline has passed.
        Real word that the node will go stays until the node has gone.
        """
        notice = self.notice
        if notice is None:
            return self
        if notice.leaving:
            over = notice.drill and notice.deadline is not None and now.boot >= notice.deadline.boot
        else:
            over = now.boot >= notice.heard.boot + self.rebalance_expiry_seconds
        if not over:
            return self
        return replace(self, notice=None, forgotten={**self.forgotten, notice.notice_id: now.wall})

    def _read(self, word: Word, now: Moment) -> Optional[Notice]:
        """Return the notice that ``word`` alone would be, or ``None`` for an echo of what is forgotten."""
        ident = notice_id(self.node, word.kind)
        may_echo = word.drill or word.kind == REBALANCE
        if may_echo and word.at <= self.forgotten.get(ident, float("-inf")):
            return None
        notice = Notice(ident, word.kind, word.source, word.at, now, drill=word.drill)
        if not notice.leaving:
            return notice
        wall = word.at + self.deadlines[word.kind] if word.deadline is None else word.deadline
        wall = max(wall, now.wall + SHORTEST_SECONDS)
        return replace(notice, deadline=Moment(wall, now.boot + wall - now.wall), deadline_heard=now)


def _merge(held: Notice, heard: Notice) -> Notice:
    """Two words of one notice: the graver kind, the closer deadline, and a drill only if both are."""
    kind = max(held.kind, heard.kind, key=GRAVITY.__getitem__)
    merged = replace(held, kind=kind, drill=held.drill and heard.drill)
    if merged.asks_for_a_save:
        merged = replace(merged, at=max(held.at, heard.at))
    if held.deadline is None or heard.deadline is None or heard.deadline.wall >= held.deadline.wall:
        return merged
    # The wall clock may have been set since: what the job has been told about its time left may not grow by that.
    closer = Moment(heard.deadline.wall, min(heard.deadline.boot, held.deadline.boot))
    return replace(merged, deadline=closer, deadline_heard=heard.deadline_heard)
