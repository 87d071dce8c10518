"""Notices: their kinds, what nodes are told, and what a node tells of itself."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar, Mapping, Optional, Tuple

from spotkeeper_ledger.facts import Fact

INTERRUPTION, REBALANCE, SCALE_IN, DRAIN = "interruption", "rebalance", "scale-in", "drain"
NOTICE_KINDS = (INTERRUPTION, REBALANCE, SCALE_IN, DRAIN)
"""Kinds of notice. All but ``rebalance`` mean that the node *will* go."""


def notice_id(node: str, kind: str) -> str:
    """Return the id at which all words about one node meet: its events, its agent's report, signals, redeliveries.

    A node has at most two: one for a rebalance recommendation and one for leaving, because the second one asks for
    another save.
    """
    return f"{node}:{REBALANCE if kind == REBALANCE else 'leaving'}"


@dataclass(frozen=True, eq=False, repr=False)
class Signal(Fact):
    """One order to save now, for one node."""

    notice_id: str
    node: str
    kind: str
    at: float
    deadline: Optional[float] = None
    drill: bool = False


@dataclass(frozen=True, eq=False, repr=False)
class SignalBoard(Fact):
    """``fleets/<fleet>/signal.json``: the newest signals. Agents re-read it with a conditional GET."""

    VERSION: ClassVar[int] = 1

    fleet: str
    incarnation: str
    revision: int
    signals: Tuple[Signal, ...] = ()
    version: int = 1
    extra: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, eq=False, repr=False)
class NodeNotice(Fact):
    """``fleets/<fleet>/nodes/<node>/notice.json``: what the node's agent has heard. Believed about that node only."""

    VERSION: ClassVar[int] = 1

    fleet: str
    incarnation: str
    node: str
    notice_id: str
    kind: str
    heard_at: float
    deadline: Optional[float] = None
    source: str = ""
    """``imds``, ``signal``, ``command`` or ``socket``: where the agent heard it first."""
    drill: bool = False
    version: int = 1
    extra: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, eq=False, repr=False)
class NodeReport(Fact):
    """``fleets/<fleet>/nodes/<node>/report.json``: sign of life, and what the node has done.

    Believed about that node only.
    """

    VERSION: ClassVar[int] = 1

    fleet: str
    incarnation: str
    node: str
    boot_id: str
    at: float
    generation: Optional[int] = None
    """The generation that the node is a member of, ``None`` for a spare."""
    notice_id: str = ""
    confirmed_step: Optional[int] = None
    confirmed_at: Optional[float] = None
    """When the whole checkpoint for ``notice_id`` (or the fact that there is nothing to save) was confirmed."""
    exit_code: Optional[int] = None
    exit_reason: str = ""
    restarts: int = 0
    stacks: str = ""
    """Where the ranks were when the job was last found hanging on this node; at most 8,000 characters."""
    command_version: str = ""
    version: int = 1
    extra: Mapping[str, Any] = field(default_factory=dict)
