"""What must hold at any moment, by an account of its own of what is missing and of what was said."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from interleaving_world import SharedWorld
from spotkeeper_ledger import DRAIN, FleetLedger
from spotkeeper_responder import State


@dataclass
class Promises:
    """What must hold at any moment in one world, by an account of its own of what is missing."""

    world: SharedWorld
    broken: list[str] = field(default_factory=list)
    commands: Counter[tuple[str, str]] = field(default_factory=Counter)
    """How often a command has told of a notice, by node and notice id."""
    most_missing: Counter[str] = field(default_factory=Counter)
    most_base: Counter[str] = field(default_factory=Counter)
    maximum: Counter[str] = field(default_factory=Counter)
    drained: set[str] = field(default_factory=set)
    """Nodes that a responder has ever decided to drain."""

    def hold(self, kept: bool, promise: int, words: str) -> None:
        if not kept:
            self.broken.append(f"promise {promise}: {words}")

    def look(self) -> None:
        """Take note of what is missing now, and of what the user wants: for all that is decided on it later."""
        for name, spec in self.world.specs.items():
            nodes = self.world.cloud.nodes[name]
            out = nodes.leaving | nodes.silent | self.drained
            serving = [n for n, s in nodes.spot.members.items() if s is State.IN_SERVICE and n not in out]
            self.most_missing[name] = max(self.most_missing[name], spec.spot_target - len(serving))
            self.most_base[name] = max(self.most_base[name], spec.base)
            self.maximum[name] = max(self.maximum[name], spec.maximum)
            self.hold(len(nodes.backup.live()) <= self.maximum[name], 13, f"{name} has bought beyond its maximum")

    def remembered(self, ledger: FleetLedger) -> None:
        name, size = ledger.fleet, ledger.backup_desired or 0
        self.drained |= {node for node, record in ledger.notices.items() if record.kind == DRAIN}
        self.look()
        enough = self.most_base[name] + self.most_missing[name]
        self.hold(size <= enough, 1, f"{name} is to hold {size} on-demand nodes where {enough} have been enough")
        self.hold(size <= self.maximum[name], 13, f"{name} is to hold {size}, its maximum is {self.maximum[name]}")
