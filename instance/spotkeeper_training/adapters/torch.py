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

from typing import Any, Dict, Iterator, Optional, Tuple

from spotkeeper_training import CheckpointStore, Restored
from spotkeeper_training.adapters import random_states
from spotkeeper_training.adapters.random_states import torch
from spotkeeper_training.adapters.torch_data import StepLoader
from spotkeeper_training.adapters.watch import Watch
from spotkeeper_training.saver import Saver
from spotkeeper_training.state import from_parts

RANDOM, TRAINING = "random", "training"
_RESERVED = (RANDOM, TRAINING)


class Training:
    """All that a run is made of: restored when this is made, saved together.

    With several ranks (DistributedDataParallel) each of them makes one, with objects that are alike on all of them:
    rank 0 saves these, and every rank its random states. For what is sharded there is
    :mod:`spotkeeper_training.adapters.dcp`.

    Args:
        total: steps of the whole job; ``None`` where that is not known.
        store: where checkpoints go; default: where the agent says.
        saver: how they get there; default: behind training's back, from one copy of the state in memory.
        save_interval_seconds: between checkpoints that nobody asked for.
        save_interval_steps: the same in steps, instead. Several ranks need no agent for it.
        mean_spell_seconds: how long a node stays on the average: the interval then follows from that and from how long
            saves take, see :class:`~spotkeeper_training.CheckpointGuard`.
        objects: what has ``state_dict()`` and ``load_state_dict()``: model, optimizer, scheduler, scaler, sampler (or
            :class:`~spotkeeper_training.adapters.torch_data.StepLoader`). Each is saved under its name: tensors as
            safetensors, the rest as JSON. Random states are saved besides.

    Raises:
        ValueError: a name is reserved, the checkpoint has not all that is asked for, or the rank is another than that
            in the process group.
        NoWholeCheckpoint, StaleGeneration, Unavailable: as :class:`~spotkeeper_training.CheckpointStore` does.
    """

    def __init__(
        self,
        *,
        total: Optional[int] = None,
        store: Optional[CheckpointStore] = None,
        saver: Optional[Saver] = None,
        save_interval_seconds: float = 600.0,
        save_interval_steps: Optional[int] = None,
        mean_spell_seconds: Optional[float] = None,
        **objects: Any,
    ) -> None:
        taken = [name for name in objects if name in _RESERVED]
        if taken:
            raise ValueError(f"objects: had {', '.join(taken)}, expected other names than {', '.join(_RESERVED)}")
        self.total = total
        self.step = 0
        self._objects = objects
        self._watch = Watch(
            store,
            saver,
            save_interval_seconds=save_interval_seconds,
            save_interval_steps=save_interval_steps,
            mean_spell_seconds=mean_spell_seconds,
        )
        if torch.distributed.is_available() and torch.distributed.is_initialized():
            self._watch.expect(torch.distributed.get_rank(), torch.distributed.get_world_size())
        restored = self._watch.load()
        self.resumed = restored is not None
        """Whether this run goes on with what an earlier one has saved."""
        if restored is not None:
            self._restore(restored)
        self._watch.saver.prepare(self.state())
        self._watch.begin(self.step, total)

    def step_done(self) -> None:
        """Say that the optimizer has made its step: saves if it is time, and leaves if the node will go.

        Raises ``SystemExit`` with ``EXIT_STOPPED_FOR_NOTICE`` when all is saved and the node will go.
        """
        self.step += 1
        for value in self._objects.values():
            if hasattr(value, "advance"):
                value.advance()
        self._watch.step_done(self.step, self.total, self.state)

    def steps(self, loader: StepLoader) -> Iterator[Iterator[Tuple[Any, float]]]:
        """Yield all steps that are left of ``total``, each as its (micro batch, weight) pairs; saves at the end.

        ``loader`` is one of the objects that this was made with. What follows the ``yield`` counts as done: make the
        optimizer's step in the body of the loop.
        """
        if not any(value is loader for value in self._objects.values()):
            raise ValueError("loader: is not saved, expected one of the objects: Training(…, loader=loader)")
        while self.total is None or self.step < self.total:
            for step in loader.steps():
                yield step
                self.step_done()
                if self.step == self.total:
                    break
        self.finish()

    def save(self) -> bool:
        """Save now, whether it is time or not; with several ranks all of them, after the same step.

        Returns whether it was published or is under way.
        """
        return self._watch.save(self.step, self.state())

    def finish(self) -> None:
        """Save the last step, however long the store is away. :meth:`steps` does it by itself."""
        self._watch.finish(self.step, self.state)

    def state(self) -> Dict[str, Any]:
        """Return what this rank saves now: rank 0 has what all ranks have alike."""
        state: Dict[str, Any] = {RANDOM: random_states.capture(), TRAINING: {"step": self.step}}
        if self._watch.store.rank == 0:
            state.update({name: value.state_dict() for name, value in self._objects.items()})
        return state

    def _restore(self, restored: Restored) -> None:
        own = self._watch.own(restored)
        common = from_parts(self._watch.common(restored))
        absent = [name for name in self._objects if name not in common]
        if absent:
            raise ValueError(f"{', '.join(absent)}: not in the checkpoint, which has {', '.join(sorted(common))}")
        for name, value in self._objects.items():
            value.load_state_dict(common[name])
        self.step = common[TRAINING]["step"]
        if own:  # a rank that was not there before keeps the generators that it was started with
            random_states.restore(from_parts(own)[RANDOM])
