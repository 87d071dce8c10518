"""Lightning's ``Trainer``: saved when it is time, resumed at the batch where it stopped.

    spot = SpotkeeperCallback()
    trainer = Trainer(..., callbacks=[spot])
    trainer.fit(model, loader, ckpt_path=spot.ckpt_path())

A :class:`~spotkeeper_training.adapters.torch_data.StepLoader` as the training loader is gone on with in mid-epoch;
Lightning starts any other that keeps no state from its beginning.
"""

from __future__ import annotations

import io
import logging
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Dict, Mapping, Optional, Union

from spotkeeper_training import EXIT_STOPPED_FOR_NOTICE, CheckpointGuard, CheckpointStore
from spotkeeper_training.adapters import random_states
from spotkeeper_training.adapters.extras import missing
from spotkeeper_training.adapters.random_states import torch
from spotkeeper_training.pieces import Loaded

try:
    from lightning.pytorch import Callback
except ModuleNotFoundError:
    try:
        from pytorch_lightning import Callback
    except ModuleNotFoundError:
        raise missing("lightning", "lightning") from None

CHECKPOINT, RANDOM = "lightning.ckpt", "random.pt"
RETRY_SECONDS = 1.0
_log = logging.getLogger("spotkeeper.training")


class SpotkeeperCallback(Callback):
    """Saves the trainer's own checkpoint, and every rank's random states, which Lightning leaves out.

    For strategies whose checkpoint is one file (one device, DDP).

    Args:
        store: where checkpoints go; default: where the agent says.
        guard: watches for notices; default: one that saves every 10 minutes besides.
    """

    def __init__(self, *, store: Optional[CheckpointStore] = None, guard: Optional[CheckpointGuard] = None) -> None:
        self._store = store or CheckpointStore()
        self._store.begin()
        self._given_guard = guard
        self._guard: Optional[CheckpointGuard] = guard
        self._random: Optional[Mapping[str, Any]] = None
        self._folder = tempfile.TemporaryDirectory(prefix="spotkeeper-lightning-")
        self._step = -1

    def ckpt_path(self, existing: Union[str, Path, None] = None) -> Optional[str]:
        """Return what to pass to ``trainer.fit(ckpt_path=…)``: a file with the latest checkpoint.

        Args:
            existing: a checkpoint of Lightning's to begin with, where none has been saved yet.

        Raises ``pickle.UnpicklingError`` for a checkpoint that would run code when Lightning loads it.
        """
        latest = self._store.latest()
        if latest is None:
            return str(existing) if existing and Path(existing).exists() else None
        restored = self._store.load(latest)
        own = restored.shards.get(self._store.rank, {})
        if RANDOM in own:
            self._random = torch.load(io.BytesIO(own[RANDOM]), weights_only=True)
        parts: Mapping[str, Loaded] = restored.shards.get(0) or self._store.load(restored.checkpoint, ranks=[0]).parts
        path = Path(self._folder.name) / CHECKPOINT
        path.write_bytes(parts[CHECKPOINT])
        torch.load(path, weights_only=True, mmap=True)  # refuses code; Lightning would run it
        _log.info("goes on after step %d", restored.step)
        return str(path)

    def on_train_start(self, trainer: Any, *_: Any) -> None:
        """Begin to watch."""
        (Path(self._folder.name) / CHECKPOINT).unlink(missing_ok=True)
        self._guard = self._given_guard or CheckpointGuard(self._store)
        self._step = trainer.global_step
        self._guard.report(self._step, _total(trainer))

    def on_train_batch_start(self, *_: Any) -> None:
        """Put the random states back where they were, after all that Lightning does before the first batch."""
        if self._random is not None:
            random_states.restore(self._random)
            self._random = None

    def on_train_batch_end(self, trainer: Any, *_: Any) -> None:
        """Save if it is time, and leave if the node will go. In the middle of an accumulation nothing is done."""
        if hasattr(trainer.train_dataloader, "advance"):
            trainer.train_dataloader.advance()
        step = trainer.global_step
        if step == self._step or self._guard is None:
            return
        self._step = step
        self._guard.report(step, _total(trainer))
        if self._guard.should_save(step):
            self._guard.save(step, self._parts(trainer))
        if step != _total(trainer) and self._guard.should_stop:
            sys.exit(EXIT_STOPPED_FOR_NOTICE)

    def on_train_end(self, trainer: Any, *_: Any) -> None:
        """Save the last step, however long the store is away."""
        guard = self._guard
        while guard and (self._store.last is None or self._store.last.step != trainer.global_step):
            if not guard.save(trainer.global_step, self._parts(trainer)):
                time.sleep(RETRY_SECONDS)

    def _parts(self, trainer: Any) -> Dict[str, bytes]:
        path = Path(self._folder.name) / "save.ckpt"
        trainer.save_checkpoint(path)  # every rank takes part, rank 0 writes
        if path.is_dir():
            raise ValueError("strategy: saves a folder of shards, expected one whose checkpoint is one file; use dcp")
        buffer = io.BytesIO()
        torch.save(random_states.capture(), buffer)
        parts = {RANDOM: buffer.getvalue()}
        if self._store.rank == 0:
            parts[CHECKPOINT] = path.read_bytes()
            path.unlink()
        return parts


def _total(trainer: Any) -> Optional[int]:
    total = trainer.estimated_stepping_batches
    return int(total) if total != float("inf") else None
