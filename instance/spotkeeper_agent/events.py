"""What the agent's thread of decisions hears of, besides what sources, keepers and jobs say."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Optional, Union

from spotkeeper_agent.keeper import Ended, Lost, Taken
from spotkeeper_agent.notices import Word
from spotkeeper_agent.runner import JobExited
from spotkeeper_ledger import FleetSpec


@dataclass(frozen=True)
class SpecSeen:
    """The fleet's spec is there: this node may take part."""

    spec: Optional[FleetSpec]
    """``None`` where no cloud keeps the fleet, so that nobody declares one."""


@dataclass(frozen=True)
class Shutdown:
    """The agent is to stop: most likely the machine shuts down."""


Event = Union[Word, Taken, Lost, Ended, JobExited, SpecSeen, Shutdown]


@dataclass(frozen=True)
class Confirmed:
    """Nothing is left to save for the present notice."""

    step: Optional[int]
    """The step of the checkpoint; ``None`` where there was nothing to save."""
    at: float
