"""Several ranks write one checkpoint: published when all shards are there, loaded by all or by none."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

import pytest

from checkpoint_support import head
from spotkeeper_ledger import ANY, Unavailable, dump, load, open_board
from spotkeeper_ledger.checkpoints import Manifest, Part, Shard
from spotkeeper_training import Checkpoint, CheckpointStore, NoWholeCheckpoint, Restored, StaleGeneration

Result = TypeVar("Result")


@pytest.fixture
def folder(tmp_path: Path) -> str:
    return (tmp_path / "checkpoints").as_uri()


def parts(rank: int, step: int) -> Mapping[str, bytes]:
    return {"weights": f"weights of rank {rank} at step {step}".encode() * 100, "position": str(step).encode()}


def world(uri: str, size: int, generation: int = 1, seconds: float = 20.0) -> list[CheckpointStore]:
    stores = [
        CheckpointStore(uri, generation=generation, rank=rank, world_size=size, transfer_seconds=seconds)
        for rank in range(size)
    ]
    for store in reversed(stores):  # in whatever order they come up
        store.begin()
    return stores


def at_once(calls: Sequence[Callable[[], Result]]) -> list[Result | BaseException]:
    """Return what the calls return or raise, made at the same time, one to a rank."""
    outcomes: list[Result | BaseException] = [RuntimeError("never ran")] * len(calls)

    def one(number: int) -> None:
        try:
            outcomes[number] = calls[number]()
        except BaseException as error:  # noqa: BLE001 - a SystemExit too is an outcome
            outcomes[number] = error

    threads = [threading.Thread(target=one, args=(number,)) for number in range(len(calls))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return outcomes


def save(stores: Sequence[CheckpointStore], step: int, **options: float) -> list[Checkpoint | BaseException]:
    return at_once([lambda s=store: s.publish(step, parts(s.rank, step), **options) for store in stores])  # type: ignore[misc]


def saved(stores: Sequence[CheckpointStore], step: int) -> Checkpoint:
    outcomes = save(stores, step)
    first = outcomes[0]
    assert isinstance(first, Checkpoint), outcomes
    assert outcomes == [first] * len(stores)
    return first


def loaded(stores: Sequence[CheckpointStore], checkpoint: Checkpoint) -> list[Restored]:
    outcomes = at_once([lambda s=store: s.load(checkpoint) for store in stores])  # type: ignore[misc]
    found = [outcome for outcome in outcomes if isinstance(outcome, Restored)]
    assert len(found) == len(stores), outcomes
    return found


def named(uri: str, checkpoint: Checkpoint) -> tuple[Part, ...]:
    found = open_board(uri).read(checkpoint.manifest)
    assert found is not None
    return load(Manifest, found.body).parts


@pytest.mark.parametrize("size", [2, 4])
def test_all_shards_are_one_checkpoint_and_each_rank_loads_its_own(folder: str, size: int) -> None:
    stores = world(folder, size)
    saved(stores, 10)
    published = saved(stores, 20)
    assert {part.rank for part in named(folder, published)} == set(range(size))
    assert [*Path(folder.removeprefix("file://"), "shards").iterdir()] == [], "nothing is left of the agreement"
    stores = world(folder, size, generation=2)
    for rank, restored in enumerate(loaded(stores, published)):
        assert (restored.parts, restored.step, restored.world_size) == (parts(rank, 20), 20, size)
        assert restored.shards == {rank: parts(rank, 20)}
    saved(stores, 30)
    assert head(folder).previous == published.manifest


@pytest.mark.parametrize(("before", "after"), [(4, 2), (2, 4), (3, 1), (1, 2)])
def test_another_number_of_ranks_loads_all_shards(folder: str, before: int, after: int) -> None:
    published = saved(world(folder, before), 10)
    stores = world(folder, after, generation=2)
    for restored in loaded(stores, published):
        assert restored.shards == {rank: parts(rank, 10) for rank in range(before)}
        assert (restored.parts, restored.world_size) == (parts(0, 10), before)
    assert saved(stores, 20).step == 20


def test_some_ranks_can_be_looked_at_alone(folder: str) -> None:
    published = saved(world(folder, 3), 10)
    store = CheckpointStore(folder, generation=1, rank=0, world_size=3)
    assert store.load(published, ranks=(2,)).shards == {2: parts(2, 10)}


def test_nothing_is_published_without_the_last_shard(folder: str) -> None:
    stores = world(folder, 3)
    first = saved(stores, 10)
    outcomes = save(stores[:2], 20, deadline_seconds=0.3)
    assert all(isinstance(outcome, Unavailable) for outcome in outcomes), outcomes
    assert "rank 2" in str(outcomes[0])
    assert "rank 0 has not decided" in str(outcomes[1])
    assert (head(folder).step, head(folder).manifest) == (10, first.manifest)
    assert saved(stores, 21).step == 21, "the next try of all of them is not spoilt by that"


def test_a_late_shard_is_waited_for(folder: str) -> None:
    stores = world(folder, 2)
    waiting = threading.Event()
    listed = stores[0]._meeting._board.list

    def watched(prefix: str) -> object:
        waiting.set()
        return listed(prefix)

    stores[0]._meeting._board.list = watched  # type: ignore[method-assign, assignment]

    def late() -> Checkpoint:
        assert waiting.wait(10)
        return stores[1].publish(10, parts(1, 10))

    outcomes = at_once([lambda: stores[0].publish(10, parts(0, 10)), late])
    assert outcomes[0] == outcomes[1]
    assert head(folder).step == 10


@pytest.mark.parametrize(
    "changes", [{"generation": 1}, {"step": 11}, {"world_size": 3}], ids=["generation", "step", "world size"]
)
def test_a_shard_of_something_else_is_none_of_ours(folder: str, changes: dict[str, int]) -> None:
    stores = world(folder, 2, generation=2)
    shard = Shard(**{"generation": 2, "step": 10, "rank": 1, "world_size": 2, "process": "x", "parts": (), **changes})  # type: ignore[arg-type]
    board = open_board(folder)
    for generation in (1, 2):
        board.write(f"shards/g{generation}-s10-{head(folder).session}/r1-x.json", dump(shard), expect=ANY)
    assert isinstance(save(stores[:1], 10, deadline_seconds=0.2)[0], Unavailable)
    published = saved(stores, 10)
    assert {part.rank for part in named(folder, published)} == {0, 1}


def test_shards_of_an_attempt_that_died_are_not_mixed_with_those_of_the_next(folder: str) -> None:
    """The same generation, the same step: what tells them apart is the process of rank 0."""
    died = world(folder, 3)
    save(died[:2], 10, deadline_seconds=0.1)
    left = {entry.key for entry in open_board(folder).list("parts/")}
    assert any("-r1-" in key for key in left)
    again = world(folder, 3)
    assert isinstance(save([again[0], again[2]], 10, deadline_seconds=0.3)[0], Unavailable), "rank 1's is an old one"
    published = saved(again, 10)
    assert not left & {part.key for part in named(folder, published)}
    with pytest.raises(StaleGeneration, match="another process of rank 0"):
        died[0].publish(11, parts(0, 11))
    assert head(folder).step == 10


def test_a_rank_that_waits_is_told_that_a_later_generation_has_begun(folder: str) -> None:
    old = world(folder, 3)
    threading.Timer(0.2, lambda: world(folder, 1, generation=2)).start()
    outcomes = save(old[:2], 10)
    assert [type(outcome) for outcome in outcomes] == [StaleGeneration, StaleGeneration]
    assert head(folder).manifest is None


@pytest.mark.parametrize("damaged", [0, 1, 2])
def test_what_one_rank_finds_damaged_no_rank_loads(folder: str, damaged: int, caplog: pytest.LogCaptureFixture) -> None:
    stores = world(folder, 3)
    before, published = saved(stores, 10), saved(stores, 20)
    key = next(part.key for part in named(folder, published) if part.rank == damaged and part.name == "weights")
    path = Path(folder.removeprefix("file://"), key)
    path.write_bytes(path.read_bytes()[:-1] + b"!")  # of the same length: latest() cannot see it
    stores = world(folder, 3, generation=2)
    latest = stores[0].latest()
    assert latest == published
    assert latest is not None
    assert [restored.checkpoint for restored in loaded(stores, latest)] == [before] * 3
    assert "not whole" in caplog.text
    saved(stores, 30)
    assert head(folder).previous == before.manifest


def test_a_rank_that_never_loads_keeps_the_others_from_going_on(folder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    published = saved(world(folder, 2), 10)
    monkeypatch.setattr("spotkeeper_training.store.PATIENCE_SECONDS", 0.2)
    stores = world(folder, 2, generation=2)
    with pytest.raises(Unavailable, match="rank 1"):
        stores[0].load(published)
    with pytest.raises(Unavailable, match="rank 0 has not decided"):
        world(folder, 2, generation=3)[1].load(published)


def test_a_decision_that_rests_on_another_process_is_not_followed(folder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rank 1 was started anew while rank 0's decision of the attempt before is still there."""
    published = saved(world(folder, 2), 10)
    stores = world(folder, 2, generation=2)
    loaded(stores, published)
    monkeypatch.setattr("spotkeeper_training.store.PATIENCE_SECONDS", 0.2)
    again = CheckpointStore(folder, generation=2, rank=1, world_size=2)
    again.begin()
    with pytest.raises(Unavailable, match="rank 0 has not decided"):
        again.load(published)


def test_with_nothing_whole_left_all_ranks_stop(folder: str) -> None:
    published = saved(world(folder, 2), 10)
    key = next(part.key for part in named(folder, published) if part.rank == 1)
    Path(folder.removeprefix("file://"), key).write_bytes(b"")
    stores = world(folder, 2, generation=2)
    outcomes = at_once([lambda s=store: s.load(published) for store in stores])  # type: ignore[misc]
    assert [type(outcome) for outcome in outcomes] == [NoWholeCheckpoint, NoWholeCheckpoint]


def test_rank_and_world_size_come_from_the_launcher(folder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RANK", "2")
    monkeypatch.setenv("WORLD_SIZE", "4")
    store = CheckpointStore(folder)
    assert (store.rank, store.world_size) == (2, 4)
    monkeypatch.delenv("RANK")
    monkeypatch.delenv("WORLD_SIZE")
    store = CheckpointStore(folder)
    assert (store.rank, store.world_size) == (0, 1)
    with pytest.raises(ValueError, match="rank: was 4 of 4, expected 0 to 3"):
        CheckpointStore(folder, rank=4, world_size=4)


def test_waiting_ends_soon_after_what_was_waited_for(folder: str) -> None:
    stores = world(folder, 2)
    began = time.monotonic()
    saved(stores, 10)
    assert time.monotonic() - began < 5
