"""The ranks of a job on several nodes: each agent passes on what its own say, the first node's says what all do."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Dict, Mapping, Optional, Protocol, Type, TypeVar

from spotkeeper_agent.agreement import Present
from spotkeeper_agent.council import LocalRanks
from spotkeeper_ledger import MalformedDocument, dump, load, run_dir
from spotkeeper_ledger.run_dir import ARMED, SAVED, Agreement, Confirmation, RankState

AGREEMENT, CONFIRMATION = "agreement", "confirmation"
LEAD_SECONDS = 0.5
"""How far ahead a stop step lies, where word of it has to go to other nodes."""
MOST_BYTES = 64 * 1024
"""No document of a rank or of their agreement is larger."""
Document = TypeVar("Document")


class Team(Protocol):
    """What agents of one generation let each other have."""

    def share(self, documents: Mapping[str, str]) -> None:
        """Let all other members have these documents, instead of those of before."""

    def shared(self) -> Mapping[str, Mapping[str, str]]:
        """Return what the other members of the present generation have shared, by node."""

    def first(self) -> Optional[str]:
        """Return the node of the first member, ``None`` if that is this one."""


class TeamRanks:
    """The ranks on this node, and those on the nodes of its team.

    Args:
        local: the former.
        team: the latter's agents.
        folder: the run directory of this node, where rank 0 confirms what is saved for all.
    """

    def __init__(self, local: LocalRanks, team: Team, folder: Optional[Path] = None) -> None:
        self._local, self._team, self._folder = local, team, folder
        self._began: Dict[int, RankState] = {}
        """Each rank as it was first seen."""
        self.confirmed: Optional[Confirmation] = None
        """What rank 0 has confirmed last in this generation, on another node."""
        self._generation = 0
        self._own: Dict[str, str] = {}
        self._told: Dict[str, str] = {}

    def begin(self, generation: int, attempt: int) -> None:
        """Forget all ranks of before."""
        self._generation, self._own, self._told = generation, {}, {}
        self._began, self.confirmed = {}, None
        self._local.begin(generation, attempt)
        self._team.share({})

    def present(self) -> Present:
        """Return what the ranks of all nodes say, and pass on what those of this one do."""
        here = self._local.present()
        self._own = {f"rank-{rank}": dump(state).decode() for rank, state in here.states.items()}
        self._own.update({f"lost-{rank}": "" for rank in here.lost})
        self._own.update(self._confirmation())
        self._team.share({**self._own, **self._told})
        states, lost = dict(here.states), set(here.lost)
        for documents in self._team.shared().values():
            for name, text in documents.items():
                state = _parse(RankState, text) if name.startswith("rank-") else None
                if state is not None and state.generation == self._generation and state.rank not in here.states:
                    states[state.rank] = state
                    if f"lost-{state.rank}" in documents:
                        lost.add(state.rank)
        paced = {rank: self._paced(state) for rank, state in states.items()}
        return Present({rank: state for rank, state in paced.items() if state is not None}, frozenset(lost))

    def tell(self, agreement: Agreement) -> None:
        """Write ``agreement.json`` here, and have it written on the other nodes where this is the first."""
        self._local.tell(agreement)
        if self._team.first() is None:
            self._told = {AGREEMENT: dump(agreement).decode()}
            self._team.share({**self._own, **self._told})

    def decided(self) -> Optional[Agreement]:
        """Return what the first node's agent has written; ``None`` where it has written nothing of this generation."""
        first = self._team.first()
        text = self._team.shared().get(first, {}).get(AGREEMENT, "") if first is not None else ""
        found = _parse(Agreement, text)
        return found if found is not None and found.generation == self._generation else None

    @property
    def follows(self) -> bool:
        """Whether another node's agent decides."""
        return self._team.first() is not None

    def saved(self) -> Optional[int]:
        """Return the step that the ranks of this node have saved last, ``None`` if they have saved nothing since."""
        steps = {state.step for state in self._local.present().states.values() if state.stage == SAVED}
        return max(steps, default=None)

    def _confirmation(self) -> Mapping[str, str]:
        """Take note of what rank 0 has confirmed, or pass it on where that was here."""
        first = self._team.first()
        if first is None:
            here = run_dir.read(self._folder, Confirmation) if self._folder else None
            return {CONFIRMATION: dump(here).decode()} if here else {}
        found = _parse(Confirmation, self._team.shared().get(first, {}).get(CONFIRMATION, ""))
        if found is not None and found.generation == self._generation:
            self.confirmed = found
        return {}

    def _paced(self, state: RankState) -> Optional[RankState]:
        """Fill in how fast a rank is that does not know it yet: one that is past the stop step holds up all others.

        What it took to its first step counts too, so the double is taken. An armed rank that was seen once only is left
        out: it says where it is fifty times a second.
        """
        began = self._began.setdefault(state.rank, state)
        if state.steps_per_second or state.stage != ARMED:
            return state
        if state.at <= began.at or state.step <= began.step:
            return None
        return replace(state, steps_per_second=2 * (state.step - began.step) / (state.at - began.at))


def _parse(kind: Type[Document], text: str) -> Optional[Document]:
    try:
        return load(kind, text.encode(), max_bytes=MOST_BYTES) if text else None
    except MalformedDocument:
        return None
