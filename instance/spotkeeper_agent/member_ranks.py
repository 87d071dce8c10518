"""The ranks of a job that runs on several nodes: those of this node, and what the other nodes tell of theirs.

The council of the first node decides for all. Each other node tells it what its ranks have written, and writes down for
them what has been decided. All of it goes with what agents say to each other anyway, at once when it is new.
"""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path
from typing import Dict, Mapping, Optional, Protocol, Set, Type, TypeVar

from spotkeeper_agent.agreement import Present
from spotkeeper_agent.council import LocalRanks
from spotkeeper_agent.logs import log
from spotkeeper_ledger import MalformedDocument, dump, load, run_dir
from spotkeeper_ledger.run_dir import ARMED, ARMING, COMMIT, GO, PROMISED, Agreement, Confirmation, RankState

Document = TypeVar("Document")
LEAD_SECONDS = 0.5
"""How far ahead a stop step is set: what it takes to hear of it on another node."""
OPEN_SECONDS, IDLE_SECONDS = 0.015, 0.1
AGREEMENT, CONFIRMATION, LOST, RANK = "agreement", "confirmation", "lost", "rank-"


class Exchange(Protocol):
    """How documents get to the other members of the generation."""

    def share(self, documents: Mapping[str, str]) -> None:
        """Let all others have these instead of those of before."""

    def shared(self) -> Mapping[str, Mapping[str, str]]:
        """Return what the others have shared, by node."""

    def first(self) -> Optional[str]:
        """Return the node that rank 0 runs on, ``None`` where no generation runs here."""


class MemberRanks(threading.Thread):
    """The ranks of all nodes, for a council; and what passes between them.

    Args:
        folder: the run directory of this node.
        node: this node.
        exchange: to the others.
    """

    def __init__(self, folder: Path, node: str, exchange: Exchange) -> None:
        super().__init__(name="ranks", daemon=True)
        self._local, self._folder, self._node, self._exchange = LocalRanks(folder), folder, node, exchange
        self._lock = threading.Lock()
        self._generation = 0
        self._agreement: Optional[Agreement] = None
        self._began: Dict[int, RankState] = {}
        """Each rank as it was first seen."""
        self.confirmed: Optional[Confirmation] = None
        """The last checkpoint that the first node has confirmed in this generation, where that is another node."""
        self._wake = threading.Event()

    def begin(self, generation: int, attempt: int) -> None:
        """Forget all ranks of before: the job is about to start."""
        with self._lock:
            self._generation, self._agreement, self.confirmed = generation, None, None
            self._began = {}
            self._local.begin(generation, attempt)
        self._wake.set()

    def present(self) -> Present:
        """Return what all of them say on the first node; on the others nothing, because nothing is decided there."""
        with self._lock:
            if self._exchange.first() != self._node:
                return Present({})
            here = self._local.present()
            states: Dict[int, RankState] = dict(here.states)
            lost: Set[int] = set(here.lost)
            for documents in self._exchange.shared().values():
                found = _ranks(documents, self._generation)
                states.update(found)
                lost.update(rank for rank in _numbers(documents.get(LOST, "")) if rank in found)
            states = {rank: self._paced(state) for rank, state in states.items()}
        return Present(states, frozenset(lost))

    def _paced(self, state: RankState) -> RankState:
        """Fill in how fast a rank is that does not know it yet: a stop step it would be past already holds up all.

        What it took to its first step counts too, so the double is taken.
        """
        began = self._began.setdefault(state.rank, state)
        if state.steps_per_second or state.at <= began.at:
            return state
        return replace(state, steps_per_second=2 * (state.step - began.step) / (state.at - began.at))

    def tell(self, agreement: Agreement) -> None:
        """Let the ranks of all nodes read ``agreement``."""
        with self._lock:
            self._agreement = agreement
            self._local.tell(agreement)
        self._turn()

    def run(self) -> None:
        """Pass on what is said, until the process ends."""
        while True:
            pause = IDLE_SECONDS
            try:
                pause = self._turn()
            except OSError as error:
                log("agreement-failing", error=str(error))
            self._wake.wait(pause)
            self._wake.clear()

    def _turn(self) -> float:
        """Pass on what is new, and return the seconds until the next look."""
        with self._lock:
            first = self._exchange.first()
            if first is None or not self._generation:
                return IDLE_SECONDS
            if first == self._node:
                self._exchange.share(self._decided())
                return OPEN_SECONDS if self._is_underway() else IDLE_SECONDS
            here = self._local.present()
            told = {f"{RANK}{rank}": dump(state).decode() for rank, state in here.states.items()}
            self._exchange.share({**told, LOST: ",".join(map(str, sorted(here.lost)))})
            self._follow(self._exchange.shared().get(first, {}))
            waits = any(state.stage in (ARMED, PROMISED) for state in here.states.values())
            return OPEN_SECONDS if waits or self._is_underway() else IDLE_SECONDS

    def _is_underway(self) -> bool:
        return self._agreement is not None and self._agreement.stage in (ARMING, COMMIT, GO)

    def _decided(self) -> Dict[str, str]:
        told = {AGREEMENT: dump(self._agreement).decode()} if self._agreement else {}
        confirmed = run_dir.read(self._folder, Confirmation)
        return {**told, CONFIRMATION: dump(confirmed).decode()} if confirmed else told

    def _follow(self, documents: Mapping[str, str]) -> None:
        """Write down for the ranks here what has been decided, and take note of what has been saved."""
        confirmed = _read(Confirmation, documents.get(CONFIRMATION))
        if confirmed is not None and confirmed.generation == self._generation:
            self.confirmed = confirmed
        agreement = _read(Agreement, documents.get(AGREEMENT))
        if agreement is not None and agreement.generation == self._generation and agreement != self._agreement:
            self._agreement = agreement
            self._local.tell(agreement)


def _ranks(documents: Mapping[str, str], generation: int) -> Dict[int, RankState]:
    found = [_read(RankState, text) for name, text in documents.items() if name.startswith(RANK)]
    return {state.rank: state for state in found if state is not None and state.generation == generation}


def _read(kind: Type[Document], text: Optional[str]) -> Optional[Document]:
    """What another node has said; ``None`` for what makes no sense."""
    try:
        return None if text is None else load(kind, text.encode())
    except MalformedDocument:
        return None


def _numbers(text: str) -> Set[int]:
    return {int(number) for number in text.split(",") if number.isdigit()}
