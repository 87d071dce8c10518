"""A training loop in plain PyTorch: saved when it is time, resumed where it stopped.

    training = Training(model=model, optimizer=optimizer, sampler=sampler, total=10_000)   # 1. goes on where it was
    while training.step < training.total:                                                  # 2. steps, not epochs
        for batch in loader:                                                               #    from there to the end
            ...                                                                            #    of the epoch
            training.step_done()                                                           # 3. saves, stops

or, with accumulation of gradients and several ranks done for you:

    for step in training.steps(loader):
        for batch, weight in step:
            (loss_of(model(batch)) * weight).backward()
        optimizer.step()
        optimizer.zero_grad()
"""

from __future__ import annotations

import io
import json
import logging
import sys
import time
from typing import Any, Dict, Iterator, Optional, Tuple

from spotkeeper_training import EXIT_STOPPED_FOR_NOTICE, CheckpointGuard, CheckpointStore, Restored
from spotkeeper_training.adapters import random_states
from spotkeeper_training.adapters.random_states import torch
from spotkeeper_training.adapters.torch_data import StepLoader
from spotkeeper_training.pieces import Loaded

RANDOM, POSITION = "random", "position.json"
RETRY_SECONDS = 1.0
"""Pause between tries to save the end of the job where the store is away: the work is done, there is no hurry."""
_log = logging.getLogger("spotkeeper.training")


class Training:
    """All that a run is made of: restored when this is made, saved together.

    With several ranks (DistributedDataParallel) each of them makes one, with objects that are alike on all of them:
    rank 0 saves these, and every rank its random states. For what is sharded there is
    :mod:`spotkeeper_training.adapters.dcp`.

    Args:
        total: steps of the whole job; ``None`` where that is not known.
        store: where checkpoints go; default: where the agent says.
        guard: watches for notices; default: one that saves every 10 minutes besides.
        objects: what has ``state_dict()`` and ``load_state_dict()``: model, optimizer, scheduler, scaler, sampler (or
            :class:`~spotkeeper_training.adapters.torch_data.StepLoader`). Each is a part of the checkpoint by its
            name. Random states are saved besides.

    Raises:
        ValueError: the checkpoint has not all that is asked for.
        NoWholeCheckpoint, StaleGeneration, Unavailable: as :class:`~spotkeeper_training.CheckpointStore` does.
    """

    def __init__(
        self,
        *,
        total: Optional[int] = None,
        store: Optional[CheckpointStore] = None,
        guard: Optional[CheckpointGuard] = None,
        **objects: Any,
    ) -> None:
        self.total = total
        self.step = 0
        self._objects = objects
        self._store = store or CheckpointStore()
        self._store.begin()
        latest = self._store.latest()
        if latest is not None:
            self._restore(self._store.load(latest))
        self._guard = guard or CheckpointGuard(self._store)
        self._guard.report(self.step, total)

    @property
    def resumed(self) -> bool:
        """Whether this run goes on with what an earlier one has saved."""
        return self._store.last is not None

    def step_done(self) -> None:
        """Say that the optimizer has made its step: saves if it is time, and leaves if the node will go.

        Raises ``SystemExit`` with ``EXIT_STOPPED_FOR_NOTICE`` when all is saved and the node will go.
        """
        self.step += 1
        for value in self._objects.values():
            if hasattr(value, "advance"):
                value.advance()
        self._guard.report(self.step, self.total)
        if self._guard.should_save(self.step):
            self._guard.save(self.step, self.parts())
        if self.step != self.total and self._guard.should_stop:
            sys.exit(EXIT_STOPPED_FOR_NOTICE)

    def steps(self, loader: StepLoader) -> Iterator[Iterator[Tuple[Any, float]]]:
        """Yield all steps that are left of ``total``, each as its (micro batch, weight) pairs; saves at the end.

        ``loader`` is one of the objects that this was made with. What follows the ``yield`` counts as done: make the
        optimizer's step in the body of the loop.
        """
        if loader not in self._objects.values():
            raise ValueError("loader: is not saved, expected one of the objects: Training(…, loader=loader)")
        while self.total is None or self.step < self.total:
            for step in loader.steps():
                yield step
                self.step_done()
                if self.step == self.total:
                    break
        self.finish()

    def finish(self) -> None:
        """Save the last step, however long the store is away."""
        while (self._store.last is None or self._store.last.step != self.step) and not self._guard.save(
            self.step, self.parts()
        ):
            time.sleep(RETRY_SECONDS)

    def parts(self) -> Dict[str, bytes]:
        """Return this rank's parts of a checkpoint of the present step: rank 0 has what all ranks have alike."""
        parts = {f"{RANDOM}.pt": _packed(random_states.capture())}
        if self._store.rank == 0:
            parts.update({f"{name}.pt": _packed(value.state_dict()) for name, value in self._objects.items()})
            parts[POSITION] = json.dumps({"step": self.step}).encode()
        return parts

    def _restore(self, restored: Restored) -> None:
        own = restored.shards.get(self._store.rank, {})
        parts = restored.shards.get(0) or self._store.load(restored.checkpoint, ranks=[0]).parts
        absent = [name for name in self._objects if f"{name}.pt" not in parts]
        if absent:
            raise ValueError(f"{', '.join(absent)}: not in the checkpoint, which has {', '.join(sorted(parts))}")
        for name, value in self._objects.items():
            value.load_state_dict(_unpacked(parts[f"{name}.pt"]))
        self.step = json.loads(parts[POSITION])["step"]
        if own:  # a rank that was not there before keeps the generators that it was started with
            random_states.restore(_unpacked(own[f"{RANDOM}.pt"]))
        _log.info("goes on after step %d", self.step)


def _packed(state: Any) -> bytes:
    buffer = io.BytesIO()
    torch.save(state, buffer)
    return buffer.getvalue()


def _unpacked(body: Loaded) -> Any:
    """Load tensors and plain values; anything that would run code is refused."""
    return torch.load(io.BytesIO(body), map_location="cpu", weights_only=True)
