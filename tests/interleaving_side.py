"""One world, its queue, and what has been reached in it."""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Sequence, Set
from typing import TypeAlias

from interleaving_account import Promises
from interleaving_promises import Batch
from interleaving_steps import Gate
from interleaving_world import SharedWorld
from spotkeeper_ledger import DRAIN, FleetSpec, NoticeRecord
from spotkeeper_responder import Heard, State
from spotkeeper_responder.notices import ENDED

Outcome: TypeAlias = dict[str, object]


class Side:
    """A world, its queue, and the promises that are held against whoever works in it."""

    def __init__(self, fleets: Sequence[FleetSpec]) -> None:
        self.world = _begun(fleets)
        self.promises = Promises(self.world)
        self.promises.look()
        self.queue: list[Heard] = []

    def serve(self, messages: list[Heard]) -> None:
        """Let one handler that nobody disturbs serve a batch, and all that comes of it."""
        while messages:
            batch = Batch(self.promises, messages)
            failed = batch.work(Gate())
            batch.ended(failed)
            self.promises.hold(
                not failed, 0, f"nobody disturbs, and {sorted(failed)} have to come again: {batch.logged}"
            )
            self.promises.look()
            messages = self.world.take_messages()

    def tick(self) -> None:
        self.serve([*self.take(), self.world.tick()])

    def take(self) -> list[Heard]:
        messages, self.queue = self.queue + self.world.take_messages(), []
        return messages

    def outcome(self, unheard: Set[str]) -> dict[str, Outcome]:
        """Return what has been reached, by fleet, less times and revisions.

        What was said of a node that is ``unheard`` has left no trace in one of the worlds.
        """
        return {name: self._outcome(name, unheard) for name in self.world.specs if self.world.exists(name)}

    def _outcome(self, name: str, unheard: Set[str]) -> Outcome:
        nodes, ledger = self.world.cloud.nodes[name], self.world.ledger(name)
        spot, backup = nodes.spot, nodes.backup
        reached: Outcome = {
            "spot": (spot.desired, len(spot.live())),
            "backup": (backup.desired, len(backup.live())),
            "held": sum(s is State.HELD for _, g in nodes.groups() for s in g.members.values()),
        }
        if ledger is None:
            return reached
        # What came when it was over has left no trace either.
        standing = {n: r for n, r in ledger.notices.items() if r.stage != ENDED and nodes.state(n) is not None}
        known = self.world.agents_know(name)
        return reached | {
            "incarnation": ledger.incarnation,
            "holds": (ledger.spot_desired, ledger.backup_desired),
            "job": (ledger.job_state, ledger.job_ended_at),
            "short": ledger.shortfall_since is not None,
            "surplus": (ledger.surplus_since is not None, ledger.surplus_wanted),
            "pause": ledger.pause and ledger.pause.mode,
            "drained": Counter((r.group, r.stage) for r in standing.values() if r.kind == DRAIN),
            "notices": {n: _gist(r) for n, r in standing.items() if n not in unheard},
            "told": {(n, ident) for n, ident in known if n in standing and n not in unheard},
        }


def _gist(record: NoticeRecord) -> tuple[object, ...]:
    return record.notice_id, record.kind, record.group, record.stage, record.hook, record.drill


_worlds: dict[str, SharedWorld] = {}


def _begun(fleets: Sequence[FleetSpec]) -> SharedWorld:
    """Return a world in which a responder has been at work for a while."""
    kind = repr(fleets)
    if kind not in _worlds:
        world = SharedWorld(*fleets)
        Batch(Promises(world), [world.tick()]).work(Gate())
        _worlds[kind] = world
    begun = _worlds[kind]
    return copy.deepcopy(begun, {id(each): each for each in begun.specs.values()})  # they never change
