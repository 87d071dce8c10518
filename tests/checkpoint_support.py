"""What the tests of checkpoints share."""

from __future__ import annotations

from spotkeeper_ledger import Head, Manifest, load, open_board
from spotkeeper_training import Checkpoint, CheckpointStore, Restored

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
