"""What the tests of checkpoints share."""

from __future__ import annotations

from collections.abc import Sequence

from spotkeeper_ledger import ABSENT, Board, load, open_board
from spotkeeper_ledger.checkpoints import Head, Manifest
from spotkeeper_training import Checkpoint, CheckpointStore, Restored
from spotkeeper_training.bulk import Took

PARTS = {"weights.npz": b"w" * 1000, "position.json": b'{"step": 1}', "empty": b""}


def begun(uri: str, generation: int = 1, keep: int = 2) -> CheckpointStore:
    store = CheckpointStore(uri, generation=generation, keep=keep)
    store.begin()
    return store


def head(uri: str) -> Head:
    found = open_board(uri).read("head.json")
    assert found is not None
    return load(Head, found.body)


def parts_of(uri: str, checkpoint: Checkpoint) -> list[str]:
    found = open_board(uri).read(checkpoint.manifest)
    assert found is not None
    return [part.key for part in load(Manifest, found.body).parts]


def resumed(uri: str, generation: int) -> Restored | None:
    store = begun(uri, generation)
    latest = store.latest()
    return store.load(latest) if latest else None


class BulkOf:
    """Moves parts through a board, so that a board that fails, or looks on, does so for parts as well."""

    def __init__(self, board: Board) -> None:
        self._board = board

    def upload(self, key: str, views: Sequence[memoryview], *, seconds: float) -> None:
        self._board.write(key, b"".join(views), expect=ABSENT)

    def download(self, key: str, into: memoryview, took: Took, *, seconds: float) -> int | None:
        found = self._board.read(key)
        if found is None or len(found.body) != len(into):
            return len(found.body) if found else None
        into[:] = found.body
        took(0, len(into))
        return len(into)

    def settle(self, folder: str) -> None:
        pass

    def discard(self, folder: str) -> None:
        pass

    def vacate(self, folder: str) -> None:
        pass


def put_behind(store: CheckpointStore, board: Board) -> None:
    """Let ``store`` reach its place through ``board`` only."""
    for user in (store._fence, store._objects, store._meeting, store._custodian):
        user._board = board  # type: ignore[attr-defined]
    store._objects._bulk = BulkOf(board)
