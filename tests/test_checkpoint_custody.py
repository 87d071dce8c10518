"""What is kept, what is deleted and when; what a look at the latest checkpoint costs; what small ones import."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from bucket_support import a_bucket
from checkpoint_support import PARTS, begun, head, parts_of, put_behind
from spotkeeper_ledger import ANY, open_board
from spotkeeper_training import Checkpoint, CheckpointStore, NoWholeCheckpoint, Retention


@pytest.fixture
def folder(tmp_path: Path) -> str:
    return (tmp_path / "checkpoints").as_uri()


def kept(uri: str) -> list[int]:
    return sorted(int(entry.key.split("-s")[1].split("-")[0]) for entry in open_board(uri).list("manifests/"))


def store_with(uri: str, keep: Retention, generation: int = 1) -> CheckpointStore:
    store = CheckpointStore(uri, generation=generation, keep=keep)
    store.begin()
    return store


def test_milestones_and_pinned_checkpoints_stay_with_their_parts(folder: str) -> None:
    store = store_with(folder, Retention(last=2, every_steps=50))
    published = {}
    for step in range(10, 130, 10):
        published[step] = store.publish(step, PARTS)
        if step == 30:
            store.pin(published[step])
    assert kept(folder) == [30, 50, 100, 110, 120]
    assert CheckpointStore(folder, generation=1).load(published[30]).parts == PARTS
    store.unpin(published[30])
    store.publish(130, PARTS)
    assert kept(folder) == [50, 100, 120, 130]
    assert len([*Path(folder.removeprefix("file://"), "parts").iterdir()]) == 4, "no empty folder is left"
    with pytest.raises(NoWholeCheckpoint, match="is not there any more"):
        store.pin(published[30])
    assert [*open_board(folder).list("pins/")] == []


class PinnedMeanwhile:
    """A board at one of whose accesses somebody else pins a checkpoint."""

    def __init__(self, uri: str, first: Checkpoint, moment: int) -> None:
        self._board, self._other, self._first = open_board(uri), CheckpointStore(uri, generation=1), first
        self._left = moment
        self.pinned: bool | None = None

    def __getattr__(self, name: str) -> Callable[..., object]:
        method = getattr(self._board, name)

        def access(*given: object, **options: object) -> object:
            self._left -= 1
            if not self._left:
                self._pin()
            return method(*given, **options)

        return access

    def _pin(self) -> None:
        try:
            self._other.pin(self._first)
            self.pinned = True
        except NoWholeCheckpoint:
            self.pinned = False


def test_a_pin_that_comes_while_it_is_deleted_is_kept_or_refused(folder: str) -> None:
    """The deleter is stopped once at each access; in that moment somebody pins what it deletes."""
    outcomes: list[bool] = []
    for moment in range(1, 100):
        uri = f"{folder}-{moment}"
        store = store_with(uri, Retention())
        first = store.publish(1, PARTS)
        store.publish(2, PARTS)
        board = PinnedMeanwhile(uri, first, moment)
        put_behind(store, board)  # type: ignore[arg-type]
        store.publish(3, PARTS)
        if board.pinned is None:
            break
        outcomes.append(board.pinned)
        assert (1 in kept(uri)) == board.pinned, f"access {moment}"
        if board.pinned:
            assert CheckpointStore(uri, generation=1).load(first).parts == PARTS
    assert outcomes.count(True) > 5
    assert outcomes.count(False) > 2


def test_what_dead_writers_left_goes_after_the_grace(folder: str) -> None:
    root = Path(folder.removeprefix("file://"))
    board = open_board(folder)
    store_with(folder, Retention()).publish(1, PARTS)
    for key in ("parts/g1-s2-r0-dead/weights", "shards/g1-s2-dead/r1-dead.json", "parts/g9-s2-r0-dead/weights"):
        board.write(key, b"half", expect=ANY)
    store = store_with(folder, Retention(grace_seconds=3600), generation=2)
    store.publish(2, PARTS)
    assert (root / "parts/g1-s2-r0-dead/weights").exists(), "it may still be on its way"
    for path in root.rglob("*dead*/*"):
        os.utime(path, (time.time() - 7200, time.time() - 7200))
    store = store_with(folder, Retention(grace_seconds=3600), generation=3)
    store.publish(3, PARTS)
    left = {path.relative_to(root).as_posix() for path in root.rglob("*dead*/*")}
    assert left == {"parts/g9-s2-r0-dead/weights"}, "of a later generation"
    assert not (root / "parts/g1-s2-r0-dead").exists(), "nor its folder"
    assert store.latest() == store.last


def test_a_save_with_a_deadline_leaves_tidying_to_the_next_one(folder: str) -> None:
    store = store_with(folder, Retention())
    for step in (1, 2, 3):
        store.publish(step, PARTS, deadline_seconds=20)
    assert kept(folder) == [1, 2, 3]
    store.publish(4, PARTS)
    assert kept(folder) == [3, 4]


def test_the_latest_is_found_without_reading_a_part() -> None:
    with a_bucket() as bucket:
        store = begun(bucket.uri)
        for step in (1, 2):
            published = store.publish(step, PARTS)
        bucket.reset()
        assert store.latest() == published
        assert [
            (asked.method, asked.key.split("/")[1] if "/" in asked.key else "a listing") for asked in bucket.asked
        ] == [
            ("GET", "head.json"),
            ("GET", "manifests"),
            ("GET", "a listing"),
        ]
        key = next(key for key in bucket.objects if f"{published.manifest[10:16]}" in key and "weights" in key)
        bucket.objects[key] = (b"short", bucket.objects[key][1])
        latest = store.latest()
        assert latest is not None
        assert latest.step == 1, "one that is not all there is not the latest"


def test_a_body_of_several_buffers_is_written_from_where_it_lies(folder: str) -> None:
    staged = bytearray(b"abcdefgh" * 1000)
    view = memoryview(staged)
    store = begun(folder)
    published = store.publish(1, {"weights": [view[5000:], view[:3000]], "rest": view[3000:5000], "all": staged})
    assert store.load(published).parts == {
        "weights": bytes(staged[5000:] + staged[:3000]),
        "rest": bytes(staged[3000:5000]),
        "all": bytes(staged),
    }


def test_large_parts_come_back_as_memory_that_can_be_written(folder: str) -> None:
    store = begun(folder)
    store._objects._piece_bytes = 1_000_000
    body = os.urandom(3_500_000)
    published = store.publish(1, {"large": body, "small": b"x"})
    assert len(parts_of(folder, published)) == 5
    parts = store.load(published).parts
    assert (type(parts["large"]), type(parts["small"])) == (bytearray, bytes)
    assert parts == {"large": body, "small": b"x"}


def test_parts_are_on_disk_before_their_folder_the_manifest_and_the_head(
    folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[str] = []
    fsync, lock = os.fsync, threading.Lock()

    def noted(handle: int) -> None:
        with lock:
            synced.append(str(Path(f"/proc/self/fd/{handle}").readlink()))
        fsync(handle)

    store = begun(folder)
    store._objects._piece_bytes = 1_000_000
    monkeypatch.setattr(os, "fsync", noted)
    published = store.publish(1, {"large": bytes(2_500_000), "small": b"x"})
    root = folder.removeprefix("file://")
    keys = [f"{root}/{key}" for key in parts_of(folder, published)]
    of_parts = [synced.index(key) for key in keys]
    entries = synced.index(keys[0].rpartition("/")[0])
    manifest = next(at for at, path in enumerate(synced) if "/manifests/" in path)
    assert max(of_parts) < entries < synced.index(f"{root}/parts") < synced.index(root) < manifest
    assert synced[manifest + 1 :][0].endswith("/manifests")
    assert [path.rpartition("/")[0] for path in synced[-2:]] == [root, root.rpartition("/")[0]]
    assert head(folder).step == 1


PUBLISHES = """
import sys
from spotkeeper_training import CheckpointStore
store = CheckpointStore(sys.argv[1])
store.begin()
store.load(store.publish(1, {"weights": b"w" * 100_000}))
print(sorted({"obstore", "google_crc32c", "concurrent.futures", "torch", "numpy"} & set(sys.modules)))
"""


def test_a_small_checkpoint_imports_nothing_for_large_ones(folder: str) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", PUBLISHES, folder], capture_output=True, text=True, timeout=60, check=True
    )
    assert ended.stdout.strip() == "[]"
