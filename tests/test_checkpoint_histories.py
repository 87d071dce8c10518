"""Two generations save, delete, load and crash in every order: what the head names is whole at every moment.

Each actor is a store in a thread of its own that stops before every access to the board; which of them goes on is
drawn, and so is the access at which one of them dies.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from hypothesis import example, given, settings
from hypothesis import strategies as st

from checkpoint_support import put_behind
from spotkeeper_ledger import ABSENT, ANY, Conflict, Entry, Stored, load
from spotkeeper_ledger.board import Expected
from spotkeeper_ledger.checkpoints import Head, Manifest
from spotkeeper_training import CheckpointStore, Restored, Retention, StaleGeneration

SAVES = 3


@dataclass
class Memory:
    """A board that is nothing but memory."""

    objects: dict[str, tuple[bytes, int]] = field(default_factory=dict)
    writes: int = 0

    def read(self, key: str) -> Stored | None:
        found = self.objects.get(key)
        return Stored(found[0], str(found[1])) if found else None

    def read_changed(self, key: str, version: str) -> Stored | None:
        found = self.read(key)
        return found if found and found.version != version else None

    def write(self, key: str, body: bytes, *, expect: Expected) -> str:
        found = self.objects.get(key)
        if expect is not ANY and (str(found[1]) if found else ABSENT) != expect:
            raise Conflict(key)
        self.writes += 1
        self.objects[key] = (body, self.writes)
        return str(self.writes)

    def list(self, prefix: str) -> Iterator[Entry]:
        return iter(
            Entry(key, str(number), len(body), float(number))
            for key, (body, number) in sorted(self.objects.items())
            if key.startswith(prefix)
        )

    def list_folders(self, prefix: str) -> Iterator[str]:
        return iter([])

    def delete(self, key: str) -> None:
        self.objects.pop(key, None)


class Dead(BaseException):
    """What an actor that was killed runs into."""


class Actor:
    """Work in a thread of its own, that is let through access by access; it is the board of its store as well."""

    def __init__(self, board: Memory, generation: int, dies_at: int | None, work: Callable[[CheckpointStore], None]):
        self._board, self._dies_at = board, dies_at
        self._go, self._there = threading.Semaphore(0), threading.Semaphore(0)
        self._accesses = 0
        self.ended = False
        self.failure: BaseException | None = None
        store = CheckpointStore(
            "file:///never", generation=generation, rank=0, world_size=1, keep=Retention(2, grace_seconds=0)
        )
        put_behind(store, self)
        store._objects._crew = Serial()  # type: ignore[assignment]
        self._thread = threading.Thread(target=self._run, args=(work, store), daemon=True)
        self._thread.start()
        assert self._there.acquire(timeout=30)

    def step(self) -> None:
        """Let it do its next access."""
        if not self.ended:
            self._go.release()
            assert self._there.acquire(timeout=30)

    def _run(self, work: Callable[[CheckpointStore], None], store: CheckpointStore) -> None:
        try:
            work(store)
        except (Dead, StaleGeneration):
            pass
        except BaseException as error:  # noqa: BLE001 - the test raises it again
            self.failure = error
        self.ended = True
        self._there.release()

    def _reach(self) -> Memory:
        self._there.release()
        assert self._go.acquire(timeout=30)
        self._accesses += 1
        if self._dies_at is not None and self._accesses >= self._dies_at:
            raise Dead
        return self._board

    def read(self, key: str) -> Stored | None:
        return self._reach().read(key)

    def read_changed(self, key: str, version: str) -> Stored | None:
        return self._reach().read_changed(key, version)

    def write(self, key: str, body: bytes, *, expect: Expected) -> str:
        return self._reach().write(key, body, expect=expect)

    def list(self, prefix: str) -> Iterable[Entry]:
        return [*self._reach().list(prefix)]

    def list_folders(self, prefix: str) -> Iterable[str]:
        return [*self._reach().list_folders(prefix)]

    def delete(self, key: str) -> None:
        self._reach().delete(key)


class Serial:
    def run(self, tasks: Sequence[Callable[[], object]]) -> list[object]:
        return [task() for task in tasks]


def parts(generation: int, step: int) -> dict[str, bytes]:
    return {"weights": f"{generation}:{step}".encode(), "position": str(step).encode()}


def head_of(board: Memory) -> Head | None:
    found = board.read("head.json")
    return load(Head, found.body) if found else None


def check(board: Memory) -> None:
    """What the head names, and what it would fall back to, is there with every byte."""
    head = head_of(board)
    for key in filter(None, (head.manifest, head.previous) if head else ()):
        assert key in board.objects, f"{key} is gone, and the head names it"
        manifest = load(Manifest, board.objects[key][0])
        found = {part.name: board.objects.get(part.key, (None, 0))[0] for part in manifest.parts}
        assert found == parts(manifest.generation, manifest.step), f"{key} is not whole"


@dataclass
class Story:
    """What the actors have seen."""

    published: list[tuple[int, int]] = field(default_factory=list)
    loaded: list[Restored] = field(default_factory=list)

    def train(self, store: CheckpointStore) -> None:
        """Load what is there and save some steps after it."""
        store.begin()
        latest = store.latest()
        if latest:
            self.loaded.append(store.load(latest))
        first = latest.step + 1 if latest else 1
        for step in range(first, first + SAVES):
            store.publish(step, parts(store.generation, step))
            self.published.append((store.generation, step))


def play(order: Sequence[int], dies_at: Sequence[int | None]) -> None:
    board, story = Memory(), Story()
    actors = [Actor(board, generation, dies, story.train) for generation, dies in enumerate(dies_at, start=1)]
    rest = (number for _ in range(10_000) for number in range(len(actors)) if not all(one.ended for one in actors))
    for number in itertools.chain(order, rest):
        actors[number % len(actors)].step()
        check(board)
    for actor in actors:
        assert actor.ended
        if actor.failure:
            raise actor.failure
    for restored in story.loaded:
        assert restored.parts == parts(restored.checkpoint.generation, restored.step)
    last = head_of(board)
    if story.published:
        assert last is not None
        assert (last.generation, last.step or 0) >= max(story.published), "what was said to be published was lost"
    _resumed(board, last)


def _resumed(board: Memory, last: Head | None) -> None:
    found: list[Restored] = []

    def work(store: CheckpointStore) -> None:
        store.begin()
        latest = store.latest()
        if latest:
            found.append(store.load(latest))
            store.publish(100, parts(9, 100))

    actor = Actor(board, 9, None, work)
    while not actor.ended:
        actor.step()
        check(board)
    assert actor.failure is None
    assert [restored.checkpoint.manifest for restored in found] == ([last.manifest] if last and last.manifest else [])
    if found:  # nothing of anybody who died is left
        named = {part.key for entry in board.list("manifests/") for part in _named(board, entry.key)}
        assert {entry.key for entry in board.list("parts/")} == named


def _named(board: Memory, key: str) -> Iterable[object]:
    return load(Manifest, board.objects[key][0]).parts


DEATHS = st.none() | st.integers(1, 60)


@settings(max_examples=150)
@given(order=st.lists(st.integers(0, 1), max_size=120), dies_at=st.tuples(DEATHS, DEATHS))
@example(order=[0] * 40 + [1] * 10 + [0] * 40, dies_at=(None, None))
def test_two_generations(order: list[int], dies_at: tuple[int | None, int | None]) -> None:
    play(order, dies_at)


@settings(max_examples=50)
@given(order=st.lists(st.integers(0, 2), max_size=160), dies_at=st.tuples(DEATHS, DEATHS, DEATHS))
def test_three_generations(order: list[int], dies_at: tuple[int | None, int | None, int | None]) -> None:
    play(order, dies_at)
