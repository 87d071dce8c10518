"""What a node's agent and its team say to each other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Optional, Union

from spotkeeper_agent.generations import NONE
from spotkeeper_agent.keeper import Ended, Lost, Taken
from spotkeeper_agent.peer_messages import PeerNotice


@dataclass(frozen=True)
class PeerWord:
    """What another member has heard, or the reason why the generation is to end after a save."""

    generation: int
    node: str
    notice: PeerNotice


Outcome = Union[Taken, Lost, Ended, PeerWord]


@dataclass(frozen=True)
class Own:
    """What this node's agent says about itself."""

    ready: bool = False
    """Whether the command could be started here."""
    leaving: bool = False
    generation: int = 0
    """The one that :attr:`job` is about."""
    job: str = NONE
    notice: Optional[PeerNotice] = None
    """This node's own."""
    deadline: Optional[float] = None
    """Of :attr:`notice`, boot time."""
    published_step: Optional[int] = None
    """Step of the last whole checkpoint, where rank 0 runs here."""
