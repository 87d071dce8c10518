"""Lightning's ``Trainer``: saved when it is time, resumed at the batch where it stopped.

    spot = SpotkeeperCallback()
    trainer = Trainer(..., callbacks=[spot])
    trainer.fit(model, loader, ckpt_path=spot.ckpt_path())

A :class:`~spotkeeper_training.adapters.torch_data.StepLoader` as the training loader is gone on with in mid-epoch;
Lightning starts any other that keeps no state from its beginning.
"""

from __future__ import annotations

import io
import tempfile
from pathlib import Path
from typing import Any, Callable, Dict, Mapping, Optional, Union

from spotkeeper_training import CheckpointStore
from spotkeeper_training.adapters import random_states
from spotkeeper_training.adapters.extras import missing
from spotkeeper_training.adapters.random_states import torch
from spotkeeper_training.adapters.watch import Watch
from spotkeeper_training.saver import Saver

try:
    from lightning.pytorch import Callback
except ModuleNotFoundError:
    try:
        from pytorch_lightning import Callback
    except ModuleNotFoundError:
        raise missing("lightning", "lightning") from None

CHECKPOINT, RANDOM = "lightning.ckpt", "random.pt"


class SpotkeeperCallback(Callback):
    """Saves the trainer's own checkpoint, and every rank's random states, which Lightning leaves out.

    For strategies whose checkpoint is one file (one device, DDP). Several ranks are started by torchrun.

    What validation draws does not move the generators that training draws from: a job that was saved right before a
    validation goes on behind it, as Lightning does not make up for it, and would train with other random numbers.

    Args:
        store: where checkpoints go; default: where the agent says.
        saver: how they get there; default: behind training's back.
        save_interval_seconds: between checkpoints that nobody asked for.
        save_interval_steps: the same in steps, instead. Several ranks need no agent for it.
        mean_spell_seconds: how long a node stays on the average: the interval then follows from that and from how long
            saves take, see :class:`~spotkeeper_training.CheckpointGuard`.
    """

    def __init__(
        self,
        *,
        store: Optional[CheckpointStore] = None,
        saver: Optional[Saver] = None,
        save_interval_seconds: float = 600.0,
        save_interval_steps: Optional[int] = None,
        mean_spell_seconds: Optional[float] = None,
    ) -> None:
        self._watch = Watch(
            store,
            saver,
            save_interval_seconds=save_interval_seconds,
            save_interval_steps=save_interval_steps,
            mean_spell_seconds=mean_spell_seconds,
        )
        self._random: Optional[Mapping[str, Any]] = None
        self._folder = tempfile.TemporaryDirectory(prefix="spotkeeper-lightning-")
        self._step = -1
        self._put_back: Optional[Callable[[], None]] = None

    def ckpt_path(self, existing: Union[str, Path, None] = None) -> Optional[str]:
        """Return what to pass to ``trainer.fit(ckpt_path=…)``: a file with the latest checkpoint.

        Args:
            existing: a checkpoint of Lightning's to begin with, where none has been saved yet.

        Raises ``pickle.UnpicklingError`` for a checkpoint that would run code when Lightning loads it.
        """
        restored = self._watch.load()
        if restored is None:
            return str(existing) if existing and Path(existing).exists() else None
        own = self._watch.own(restored)
        if RANDOM in own:
            self._random = torch.load(io.BytesIO(own[RANDOM]), weights_only=True)
        path = Path(self._folder.name) / CHECKPOINT
        path.write_bytes(self._watch.common(restored)[CHECKPOINT])
        torch.load(path, weights_only=True, mmap=True)  # refuses code; Lightning would run it
        return str(path)

    def setup(self, trainer: Any, *_: Any, **__: Any) -> None:
        """Refuse ranks that do not know each other."""
        self._watch.expect(trainer.global_rank, trainer.world_size)

    def on_train_start(self, trainer: Any, *_: Any) -> None:
        """Begin to watch."""
        (Path(self._folder.name) / CHECKPOINT).unlink(missing_ok=True)
        self._step = trainer.global_step
        self._watch.begin(self._step, _total(trainer))

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
        if step != self._step:
            self._step = step
            self._watch.step_done(step, _total(trainer), lambda: self._parts(trainer))
        self._put_back = random_states.remember()

    def on_validation_end(self, *_: Any) -> None:
        """Put the random states back where training has left them, if it has begun."""
        if self._put_back is not None:
            self._put_back()

    def on_train_end(self, trainer: Any, *_: Any) -> None:
        """Save the last step, however long the store is away."""
        self._put_back = None  # a validation that is asked for later is no part of training
        self._watch.finish(trainer.global_step, lambda: self._parts(trainer))

    def _parts(self, trainer: Any) -> Dict[str, bytes]:
        path = Path(self._folder.name) / "save.ckpt"
        trainer.save_checkpoint(path)  # every rank takes part, rank 0 writes
        if path.is_dir():
            raise ValueError("strategy: saves a folder of shards, expected one whose checkpoint is one file; use dcp")
        buffer = io.BytesIO()
        torch.save(random_states.capture(), buffer)
        parts = {RANDOM: buffer.getvalue()}
        if self._watch.store.rank == 0:
            parts[CHECKPOINT] = path.read_bytes()
            path.unlink()
        return parts


def _total(trainer: Any) -> Optional[int]:
    total = trainer.estimated_stepping_batches
    return int(total) if total != float("inf") else None
