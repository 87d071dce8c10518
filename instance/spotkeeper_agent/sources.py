"""Where notices come from: small classes behind one protocol, each in a thread of its own.

A source answers with words, with none, or raises because it cannot tell. What it cannot tell changes nothing.
"""

from __future__ import annotations

import calendar
import json
import random
import threading
import time
from typing import Callable, Optional, Protocol, Tuple

from spotkeeper_agent.logs import log
from spotkeeper_agent.notices import Word
from spotkeeper_ledger import (
    INTERRUPTION,
    NOTICE_KINDS,
    REBALANCE,
    SCALE_IN,
    Board,
    MalformedDocument,
    SignalBoard,
    keys,
    load,
)
from spotkeeper_ledger.imds import InstanceMetadata

Words = Tuple[Word, ...]
_RETRY_SECONDS, _LONGEST_RETRY_SECONDS = 0.1, 1.0
_COUNTED_FAILURES = 10


class NoticeSource(Protocol):
    """Something that may know that this node will go."""

    name: str
    every_seconds: float
    """Pause between two polls, 0 where a poll does its own waiting; may change with every poll."""

    def poll(self) -> Words:
        """Return all that is known now; raises whatever keeps it from telling."""


class SpotAction:
    """EC2's spot interruption: ``spot/instance-action`` appears two minutes before the reclaim."""

    name = "imds spot/instance-action"

    def __init__(self, metadata: InstanceMetadata, every_seconds: float) -> None:
        self.every_seconds = every_seconds
        self._metadata = metadata
        self._since: Optional[float] = None

    def poll(self) -> Words:
        """Return one interruption once there is one."""
        body = self._metadata.get("spot/instance-action")
        if body is None:
            return ()
        said = _object(self.name, body)
        if not said.get("action"):
            raise MalformedDocument(f"{self.name}: was {body[:80]!r}, expected an action and a time")
        when = said.get("time")
        self._since = self._since or time.time()
        return (Word(INTERRUPTION, "imds", self._since, None if when is None else parse_time(str(when))),)


class Rebalance:
    """EC2's rebalance recommendation: ``events/recommendations/rebalance`` stays once it has appeared."""

    name = "imds events/recommendations/rebalance"

    def __init__(self, metadata: InstanceMetadata, every_seconds: float) -> None:
        self.every_seconds = every_seconds
        self._metadata = metadata

    def poll(self) -> Words:
        """Return one recommendation once there is one."""
        body = self._metadata.get("events/recommendations/rebalance")
        if body is None:
            return ()
        return (Word(REBALANCE, "imds", parse_time(str(_object(self.name, body).get("noticeTime")))),)


class LifecycleState:
    """The group's plan for this node: ``autoscaling/target-lifecycle-state`` is ``Terminated`` once it lets go of it.

    From then on the group waits in its terminate hook.
    """

    name = "imds autoscaling/target-lifecycle-state"

    def __init__(self, metadata: InstanceMetadata, every_seconds: float) -> None:
        self.every_seconds = every_seconds
        self._metadata = metadata
        self._since: Optional[float] = None

    def poll(self) -> Words:
        """Return one scale-in, without a deadline, once the node is to be terminated."""
        state = self._metadata.get("autoscaling/target-lifecycle-state")
        if state is None or state.strip() != "Terminated":
            return ()
        self._since = self._since or time.time()
        return (Word(SCALE_IN, "imds", self._since, in_hook=True),)


class Signals:
    """The fleet's ``signal.json``: what the responder wants saved. Read again only when it has changed."""

    name = "ledger signal.json"

    def __init__(self, board: Board, fleet: str, incarnation: str, node: str, every_seconds: float) -> None:
        self.every_seconds = every_seconds
        self._board, self._fleet, self._incarnation, self._node = board, fleet, incarnation, node
        self._version: Optional[str] = None
        self._words: Words = ()

    def poll(self) -> Words:
        """Return the signals for this node."""
        key = keys.signals(self._fleet)
        found = self._board.read(key) if self._version is None else self._board.read_changed(key, self._version)
        if found is not None:
            self._version = found.version  # a malformed one is complained about once, not at every poll
            self._words = self._read(found.body)
        return self._words

    def _read(self, body: bytes) -> Words:
        board = load(SignalBoard, body)
        if board.incarnation != self._incarnation:
            return ()
        mine = [signal for signal in board.signals if signal.node == self._node]
        unknown = sorted({signal.kind for signal in mine} - set(NOTICE_KINDS))
        if unknown:
            log("signal-ignored", kinds=unknown, expected=NOTICE_KINDS)
        return tuple(Word(s.kind, "signal", s.at, s.deadline, s.drill) for s in mine if s.kind in NOTICE_KINDS)


class Poller(threading.Thread):
    """Polls one source for ever and passes on what is new. A source that fails is asked again at its own pace."""

    def __init__(self, source: NoticeSource, hear: Callable[[Word], None]) -> None:
        super().__init__(name=f"poll {source.name}", daemon=True)
        self._source, self._hear = source, hear
        self._told: Words = ()
        self._failures = 0

    def run(self) -> None:
        """Poll until the process ends."""
        while True:
            self.turn()
            time.sleep(self.pause())

    def pause(self) -> float:
        """Return the seconds until the next poll: the source's pace or a little less, so that nodes do not ask in step.

        A source that cannot tell is asked again after 0.1 s, 0.2 s … at most 1 s, unless its own pace is slower.
        """
        pace = self._source.every_seconds * random.uniform(0.9, 1.0)  # noqa: S311 - spreads requests, keeps no secret
        return (
            max(pace, min(_LONGEST_RETRY_SECONDS, _RETRY_SECONDS * 2.0 ** (self._failures - 1)))
            if self._failures
            else pace
        )

    def turn(self) -> None:
        """Poll once."""
        try:
            words = self._source.poll()
        except Exception as error:  # noqa: BLE001 - whatever is wrong with one source may not silence it for good
            if not self._failures:
                log("source-failing", source=self._source.name, error=f"{type(error).__name__}: {error}")
            self._failures = min(self._failures + 1, _COUNTED_FAILURES)
            return
        if self._failures:
            log("source-back", source=self._source.name)
        self._failures = 0
        for word in words:
            if word not in self._told:
                self._hear(word)
        self._told = words


def parse_time(text: str) -> float:
    """Return Unix seconds for EC2's ``2026-01-31T08:22:00Z``.

    Raises ``ValueError`` for anything else.
    """
    return float(calendar.timegm(time.strptime(text, "%Y-%m-%dT%H:%M:%SZ")))


def _object(name: str, body: str) -> dict[str, object]:
    try:
        said = json.loads(body)
    except ValueError:
        said = None
    if not isinstance(said, dict):
        raise MalformedDocument(f"{name}: was {body[:80]!r}, expected a JSON object")
    return said
