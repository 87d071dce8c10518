"""What the tests of saving behind training's back share: a store whose uploads wait until they are let through."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from checkpoint_support import begun
from spotkeeper_ledger import Unavailable
from spotkeeper_training import CheckpointStore


class Gate:
    """Moves objects as ever, but an upload waits here first; or fails, or is slow."""

    def __init__(self, store: CheckpointStore) -> None:
        self._bulk = store._objects._bulk
        store._objects._bulk = self
        self.open = threading.Event()
        self.open.set()
        self.reached = threading.Event()
        self.failing = False

    def shut(self) -> None:
        self.open.clear()
        self.reached.clear()

    def upload(self, key: str, views: Sequence[memoryview], *, seconds: float) -> None:
        self.reached.set()
        assert self.open.wait(30)
        if self.failing:
            raise Unavailable("the bucket is away")
        self._bulk.upload(key, views, seconds=seconds)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._bulk, name)

    def discard(self, folder: str) -> None:
        self._bulk.discard(folder)

    def vacate(self, folder: str) -> None:
        self._bulk.vacate(folder)


def gated(folder: Path, generation: int = 1) -> tuple[CheckpointStore, Gate]:
    store = begun(f"file://{folder}", generation)
    return store, Gate(store)


def loaded(store: CheckpointStore) -> dict[str, Any]:
    latest = store.latest()
    assert latest is not None
    return {name: bytes(body) for name, body in store.load(latest).parts.items()}
