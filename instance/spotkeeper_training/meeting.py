"""How the ranks of one generation come to one result, through the store and nothing else.

Each rank leaves a document; rank 0 waits for all of them and writes what comes of it; the others wait for that. The
session in the head, which is rank 0's process, keeps what an earlier attempt left behind out of it: whoever finds
another session than the one it answered answers again.
"""

from __future__ import annotations

import time
from typing import Callable, Dict, List, Optional, Sequence, Set, Tuple, Type, TypeVar

from spotkeeper_ledger import ANY, Board, Unavailable, dump, load
from spotkeeper_ledger.checkpoints import Decision, Part, Shard, Verdict
from spotkeeper_training.fence import Fence, Held
from spotkeeper_training.objects import Objects

SHARDS, LOADS = "shards/", "loads/"
_FIRST_PAUSE, _LAST_PAUSE = 0.02, 0.5

Document = TypeVar("Document", Shard, Verdict)
Result = TypeVar("Result")


class Meeting:
    """One rank's side of it.

    Args:
        board: where documents go.
        fence: the head.
        objects: for manifests.
        generation: the job's.
        rank: this process's.
        world_size: how many ranks there are.
        process: random, names this process. Rank 0's is the session.
    """

    def __init__(
        self, board: Board, fence: Fence, objects: Objects, *, generation: int, rank: int, world_size: int, process: str
    ) -> None:
        self._board, self._fence, self._objects = board, fence, objects
        self._generation, self._rank, self._world_size, self._process = generation, rank, world_size, process
        self._known: Optional[Dict[int, str]] = None
        """Which process each rank is, once all have loaded together."""
        self._delivered: List[Tuple[int, Set[str]]] = []
        """Keys of this rank's parts, for each try to save the present step."""

    def gather(self, step: int, deadline: float) -> Tuple[Part, ...]:
        """As rank 0: wait for the shards of all others of this generation, session and step; return their parts.

        Raises :class:`Unavailable` if one is not there by ``deadline`` (monotonic seconds).
        """
        folder = self._shards(step, self._process)
        shards = self._all(folder, Shard, deadline, lambda shard: self._belongs(shard, step))
        return tuple(part for _, shard in sorted(shards.items()) for part in shard.parts)

    def deliver(self, step: int, parts: Sequence[Part], deadline: float) -> str:
        """As any other rank: leave word of the shard, and return the key of the manifest that names it.

        Raises:
            StaleGeneration: a later generation has begun.
            Unavailable: rank 0 has published nothing by ``deadline`` (monotonic seconds).
        """
        shard = Shard(self._generation, step, self._rank, self._world_size, self._process, tuple(parts))
        self._delivered = [each for each in self._delivered if each[0] == step]
        self._delivered.append((step, {part.key for part in parts}))
        seen: Set[str] = set()

        def named(held: Held) -> Optional[str]:
            key = held.head.manifest
            if (held.head.generation, held.head.step) != (self._generation, step) or key is None or key in seen:
                return None
            there = {part.key for part in self._objects.manifest(key).parts}
            seen.add(key)
            # Where this step was tried before, rank 0 may have found what was delivered then: it is the same step.
            return key if any(keys <= there for _, keys in self._delivered) else None

        return self._answering(lambda session: self._shards(step, session), shard, named, deadline, f"step {step}")

    def shards(self, step: int) -> str:
        """Return what precedes the keys of all that ranks leave for this session's rank 0 about a step."""
        return self._shards(step, self._process)

    def agree(self, manifest: str, problem: str, deadline: float) -> str:
        """Return why not all ranks can go on from a checkpoint; empty where they can.

        Args:
            manifest: the checkpoint's key.
            problem: what is wrong with it for this rank; empty where it is whole.
            deadline: monotonic seconds.

        Raises:
            StaleGeneration: a later generation has begun.
            Unavailable: not all ranks have said so by ``deadline``.
        """
        name = manifest.rpartition("/")[2].rpartition(".")[0]
        verdict = Verdict(self._rank, self._process, problem)
        if self._rank:
            return self._follow(name, verdict, deadline)
        folder = self._loads(name, self._process)
        verdicts = self._all(folder, Verdict, deadline, lambda _: True)
        problems = [each.problem for each in (verdict, *verdicts.values()) if each.problem]
        self._known = {rank: each.process for rank, each in verdicts.items()}
        decision = Decision("; ".join(problems), tuple(self._known.values()))
        self._board.write(f"{folder}decision.json", dump(decision), expect=ANY)
        return decision.problem

    def _follow(self, name: str, verdict: Verdict, deadline: float) -> str:
        def decided(held: Held) -> Optional[Decision]:
            found = self._board.read(f"{self._loads(name, held.head.session)}decision.json")
            decision = load(Decision, found.body) if found else None
            return decision if decision and self._process in decision.processes else None

        return self._answering(lambda session: self._loads(name, session), verdict, decided, deadline, name).problem

    def _answering(
        self,
        folder: Callable[[str], str],
        document: Document,
        outcome: Callable[[Held], Optional[Result]],
        deadline: float,
        what: str,
    ) -> Result:
        """Leave ``document`` for every session that shows up, until there is an outcome."""
        answered: Set[str] = set()

        def once() -> Optional[Result]:
            held = self._fence.read()
            if held is None:
                return None
            self._fence.check(held)
            session = held.head.session
            if session and session not in answered and held.head.generation == self._generation:
                self._leave(folder(session), document)
                answered.add(session)
            return outcome(held)

        return _poll(once, deadline, lambda: f"{what}: rank 0 has not decided on it in time")

    def _all(
        self, folder: str, kind: Type[Document], deadline: float, belongs: Callable[[Document], bool]
    ) -> Dict[int, Document]:
        """Return what every other rank has left in ``folder``: the latest, by the process known for it."""
        found: Dict[str, Document] = {}
        missing = [*range(1, self._world_size)]

        def once() -> Optional[Dict[int, Document]]:
            held = self._fence.read()
            if held is not None:
                self._fence.check(held)
            entries = sorted(self._board.list(folder), key=lambda entry: (entry.modified_at, entry.key))
            for entry in entries:
                if entry.key not in found and not entry.key.endswith("decision.json"):
                    stored = self._board.read(entry.key)
                    if stored is not None:
                        found[entry.key] = load(kind, stored.body)
            there = [found[entry.key] for entry in entries if entry.key in found]
            mine = {each.rank: each for each in there if belongs(each) and self._is_known(each.rank, each.process)}
            missing[:] = [rank for rank in range(1, self._world_size) if rank not in mine]
            return None if missing else {rank: mine[rank] for rank in range(1, self._world_size)}

        return _poll(once, deadline, lambda: f"{folder}: nothing in time from rank {', '.join(map(str, missing))}")

    def _belongs(self, shard: Shard, step: int) -> bool:
        return (shard.generation, shard.step, shard.world_size) == (self._generation, step, self._world_size)

    def _is_known(self, rank: int, process: str) -> bool:
        return self._known is None or self._known.get(rank) == process

    def _leave(self, folder: str, document: Document) -> None:
        self._board.write(f"{folder}r{self._rank}-{self._process}.json", dump(document), expect=ANY)

    def _shards(self, step: int, session: str) -> str:
        return f"{SHARDS}g{self._generation}-s{step}-{session}/"

    def _loads(self, name: str, session: str) -> str:
        return f"{LOADS}g{self._generation}-{session}/{name}/"


def _poll(ask: Callable[[], Optional[Result]], deadline: float, late: Callable[[], str]) -> Result:
    """Return what ``ask`` returns once it is not ``None``; a store that does not answer is asked again."""
    pause = _FIRST_PAUSE
    trouble = ""
    while True:
        try:
            found = ask()
            trouble = ""
        except Unavailable as error:
            found, trouble = None, f" ({error})"
        if found is not None:
            return found
        left = deadline - time.monotonic()
        if left <= 0:
            raise Unavailable(late() + trouble)
        time.sleep(min(pause, left))
        pause = min(_LAST_PAUSE, 1.5 * pause)
