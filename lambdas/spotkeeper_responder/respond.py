"""Responding to a batch: who has to hear what, one fleet after the other, and none held up by another's trouble."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import Executor

from spotkeeper_ledger import Board, BoardError, Members, keys
from spotkeeper_responder import logs, metrics, roster
from spotkeeper_responder.model import Heard, NoticeHeard, NoticeWritten, Tick
from spotkeeper_responder.ports import Cloud, Log, TimeLeft
from spotkeeper_responder.serve import Means, Served, Unserved, serve
from spotkeeper_responder.warm import WarmBoard
from spotkeeper_responder.watch import WatchedBoard


class Responder:
    """Responds to batches of events. Made anew for each batch, of parts that are kept.

    Args:
        name: its own, for metrics: that of the bucket of its ledger.
        board: the ledger; its timeout should be :data:`spotkeeper_responder.watch.LEDGER_SECONDS`.
        cloud: where the groups are.
        time_left: how long the batch may take; the cloud should stop trying by the same one.
        now: Unix seconds.
        clock: monotonic seconds.
        log: takes entries.
        emit: takes lines of metrics.
        pause: sleeps for seconds.
        worker: makes the calls to the board; default is a new :func:`spotkeeper_responder.watch.one_worker`.
    """

    def __init__(
        self,
        name: str,
        *,
        board: Board,
        cloud: Cloud,
        time_left: TimeLeft,
        now: Callable[[], float] = time.time,
        clock: Callable[[], float] = time.monotonic,
        log: Log = logs.log,
        emit: Callable[[str], None] = logs.write_line,
        pause: Callable[[float], None] = time.sleep,
        worker: Executor | None = None,
    ) -> None:
        self.rest_seconds = 0.0
        """How long to rest before the next batch, once this one has been responded to."""
        self._name = name
        self._warm = board if isinstance(board, WarmBoard) else None
        self._board = WatchedBoard(board, clock, worker)
        self._means = Means(self._board, cloud, log, now, time_left, pause)
        self._emit = emit

    def respond(self, heard: Sequence[Heard]) -> set[str]:
        """Respond to a batch; return the messages that have to come again.

        A message comes again if a fleet that it concerns could not be served to the end. Foreign events cost one read
        in all, and no write.
        """
        failed: set[str] = set()
        members = self._members(heard)
        fleets = self._fleets(heard, failed)
        plan = roster.route(heard, fleets or (), members, self._owners(heard, members, failed))
        served = {
            fleet: self._serve(fleet, news, parts, failed)
            for parts, (fleet, news) in zip(range(len(plan), 0, -1), plan.items(), strict=True)
        }
        self._update_roster(members, served, fleets)
        if any(isinstance(each.event, Tick) for each in heard):
            self._emit(metrics.responder_line(self._name, {"Ticks": 1}, self._means.now()))
        return failed

    def _members(self, heard: Sequence[Heard]) -> Members | None:
        if all(isinstance(each.event, NoticeWritten) for each in heard):
            return Members()  # nobody to be looked up: the key of what was written names the fleet
        return roster.read(self._board, self._means.log)

    def _fleets(self, heard: Sequence[Heard], failed: set[str]) -> list[str] | None:
        """Return all fleets, on a tick; ``None`` where nobody asks, or nobody answers."""
        ticks = {each.message for each in heard if isinstance(each.event, Tick)}
        if not ticks:
            return None
        try:
            return [fleet for fleet in self._board.list_folders(keys.FLEETS) if _can_be(fleet)]
        except BoardError as error:
            self._means.log("ERROR", "the fleets cannot be listed", error=f"{type(error).__name__}: {error}")
            failed |= ticks
            return None

    def _owners(self, heard: Sequence[Heard], members: Members | None, failed: set[str]) -> Mapping[str, str]:
        """Ask the cloud whose the nodes are that nobody else can place."""
        nodes = roster.unplaced(heard) if members is None else set()
        if not nodes:
            return {}
        try:
            return self._means.cloud.fleets_of(nodes)
        except Exception as error:  # noqa: BLE001 - whatever it is, events that name their fleet are still served
            self._means.log("ERROR", "nodes cannot be placed", error=f"{type(error).__name__}: {error}")
            failed |= {each.message for each in heard if roster.unplaced([each])}
            return {}

    def _serve(self, fleet: str, news: Sequence[Heard], parts: int, failed: set[str]) -> Served | None:
        means, before = self._means, self._calls()
        means.time_left.share(parts)
        try:
            served = serve(means, fleet, [each.event for each in news])
        except Unserved as error:
            means.log("ERROR", "a fleet was not served", fleet=fleet, error=str(error))
            failed |= {each.message for each in news}
            return None
        self.rest_seconds = max(self.rest_seconds, served.rest_seconds)
        if served.nodes is not None:
            measured = _measured(served, news, self._calls() - before)
            self._emit(metrics.fleet_line(self._name, fleet, measured, means.now()))
        return served

    def _update_roster(
        self, members: Members | None, served: Mapping[str, Served | None], fleets: Sequence[str] | None
    ) -> None:
        seen = {fleet: each.nodes for fleet, each in served.items() if each is not None and each.nodes is not None}
        if not seen and fleets is None:
            return
        # A fleet that could not be served stays as it is; one that has no spec leaves.
        present = None if fleets is None else [fleet for fleet in fleets if fleet in seen or served[fleet] is None]
        roster.update(self._board, members, seen, present, self._means.log)

    def _calls(self) -> int:
        spared = self._warm.spared if self._warm else 0
        return self._board.calls - spared + self._means.cloud.calls


def _measured(served: Served, news: Collection[Heard], calls: int) -> dict[str, metrics.Value]:
    facts = served.facts
    return {
        "Notices": sum(isinstance(each.event, NoticeHeard | NoticeWritten) for each in news),
        "SecondsToSignal": served.seconds_to_signal,
        "Shortfall": facts.shortfall,
        "BackupSize": facts.backup_size,
        "Calls": calls,
        "Drought": int(facts.drought),
        "LaunchFailuresQuota": facts.quota_failures,
        "LaunchFailuresConfiguration": facts.configuration_failures,
        "SilentNodes": facts.silent,
        "OnDemandCapReached": int(facts.cap_reached),
        "Paused": int(facts.paused),
        "DeadlineAtRisk": int(facts.deadline_at_risk),
    }


def _can_be(fleet: str) -> bool:
    try:
        return bool(keys.check_fleet(fleet))
    except ValueError:
        return False
