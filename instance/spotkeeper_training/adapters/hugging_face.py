"""The ``Trainer`` of transformers: its own checkpoints, whole or invisible, and saved in time.

    spot = SpotkeeperCallback(training_args.output_dir)
    trainer = Trainer(..., args=training_args, callbacks=[spot])
    trainer.train(resume_from_checkpoint=spot.resume_from())

On the first run an existing ``output_dir`` is adopted: training goes on with its newest checkpoint that is whole.
"""

from __future__ import annotations

import logging
import os
import shutil
import time
from pathlib import Path
from typing import Any, Dict, List, Optional, Sequence, Union

from spotkeeper_ledger import BoardError, run_dir
from spotkeeper_training import CheckpointStore
from spotkeeper_training.adapters import folders
from spotkeeper_training.adapters.extras import missing
from spotkeeper_training.adapters.watch import Watch
from spotkeeper_training.leaves import imported
from spotkeeper_training.saver import Saver

try:
    from transformers import TrainerCallback
except ModuleNotFoundError:
    raise missing("transformers", "huggingface") from None

NEIGHBOUR_SECONDS = 1800.0
"""How long a rank waits for the one beside it to fetch the checkpoint."""
_log = logging.getLogger("spotkeeper.training")


class SpotkeeperCallback(TrainerCallback):
    """Has the Trainer save when it is time, and publishes what it has written.

    Args:
        output_dir: the Trainer's: there its checkpoints are written before they are published.
        store: where checkpoints go; default: where the agent says.
        saver: how they get there; default: behind training's back, from a copy of the files in memory.
        save_interval_seconds: between checkpoints that nobody asked for.
        save_interval_steps: the same in steps, instead. Several ranks need no agent for it.
        mean_spell_seconds: how long a node stays on the average: the interval then follows from that and from how long
            saves take, see :class:`~spotkeeper_training.CheckpointGuard`.
    """

    def __init__(
        self,
        output_dir: Union[str, Path],
        *,
        store: Optional[CheckpointStore] = None,
        saver: Optional[Saver] = None,
        save_interval_seconds: float = 600.0,
        save_interval_steps: Optional[int] = None,
        mean_spell_seconds: Optional[float] = None,
    ) -> None:
        self._output_dir = Path(output_dir)
        self._watch = Watch(
            store,
            saver,
            save_interval_seconds=save_interval_seconds,
            save_interval_steps=save_interval_steps,
            mean_spell_seconds=mean_spell_seconds,
        )
        self._store = self._watch.store
        self._asked = False
        self._own: Optional[Path] = None

    def resume_from(self) -> Optional[str]:
        """Return what to pass to ``trainer.train(resume_from_checkpoint=…)``: the folder of the latest checkpoint.

        Where nothing has been saved yet it is the newest whole one in ``output_dir``, if any, which is published at
        once on a job of one rank.

        Raises ``ValueError`` where ranks would begin with different ones.
        """
        restored = self._watch.load()
        if restored is None:
            return self._adopt()
        folder = self._output_dir / f"checkpoint-{restored.step}"
        if int(os.environ.get("LOCAL_RANK", "0")) == 0:
            missing_ranks = [rank for rank in range(restored.world_size) if rank not in restored.shards]
            others = self._store.load(restored.checkpoint, ranks=missing_ranks).shards if missing_ranks else {}
            self._output_dir.mkdir(parents=True, exist_ok=True)
            folders.write(folder, {**restored.shards, **others})
            self._marker(folder).touch()
        else:
            self._await(self._marker(folder))
        return str(folder)

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Begin to watch. Raises ``ValueError`` for ranks that do not know each other."""
        self._watch.expect(args.process_index, args.world_size)
        self._watch.begin(state.global_step, state.max_steps)

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Ask the Trainer for a checkpoint if it is time, and after the last step."""
        if self._watch.should_save(state.global_step, state.max_steps) or state.global_step == state.max_steps:
            self._asked = control.should_save = True

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Publish what the Trainer has just saved, and leave if the node will go."""
        if not self._asked:
            return
        self._asked = False
        folder = self._output_dir / f"checkpoint-{state.global_step}"
        if not self._watch.save(state.global_step, self._parts(folder, args)):
            return
        if args.local_process_index == 0 and self._own not in (None, folder) and not _is_due(self._own, args):
            shutil.rmtree(self._own, ignore_errors=True)
        self._own = folder
        if state.global_step != state.max_steps:
            self._watch.leave_if_told()

    def on_train_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Publish the last step, however long the store is away."""
        folder = self._output_dir / f"checkpoint-{state.global_step}"
        if folder.exists():
            self._watch.finish(state.global_step, lambda: self._parts(folder, args))

    def _parts(self, folder: Path, args: Any) -> Dict[str, Any]:
        """The files of this rank: its random states, and all that ranks share on rank 0."""
        own = f"rng_state_{args.process_index}.pth"

        def wanted(path: Path) -> bool:
            return path.name == own or (self._store.rank == 0 and not path.name.startswith("rng_state_"))

        return folders.to_parts(folder, wanted)

    def _adopt(self) -> Optional[str]:
        folder = folders.newest_whole(self._output_dir)
        torch = imported("torch")
        if torch is not None and torch.distributed.is_available() and torch.distributed.is_initialized():
            of_ranks: List[Optional[str]] = [None] * torch.distributed.get_world_size()
            torch.distributed.all_gather_object(of_ranks, folder.name if folder else None)
            check_same(of_ranks)
        if folder is None:
            return None
        step = int(folder.name.rpartition("-")[2])
        if self._store.world_size == 1:
            try:
                self._store.publish(step, folders.to_parts(folder, lambda _: True))
            except BoardError as error:
                _log.warning("%s: could not be published yet (%s); training goes on from it", folder, error)
        _log.info("%s: adopted", folder)
        return str(folder)

    def _marker(self, folder: Path) -> Path:
        attempt = os.environ.get(run_dir.ATTEMPT, "0")
        return folder / f".fetched-by-generation-{self._store.generation}-attempt-{attempt}"

    @staticmethod
    def _await(path: Path) -> None:
        give_up_at = time.monotonic() + NEIGHBOUR_SECONDS
        while not path.exists():
            if time.monotonic() > give_up_at:
                raise TimeoutError(f"{path.parent}: was not fetched by local rank 0 within {NEIGHBOUR_SECONDS:g} s")
            time.sleep(0.1)


def check_same(of_ranks: Sequence[Optional[str]]) -> None:
    """Refuse ranks that would begin with different checkpoints: they would train different models.

    Args:
        of_ranks: what each has found in its ``output_dir``, ``None`` for nothing.

    Raises ``ValueError``.
    """
    if len(set(of_ranks)) > 1:
        found = ", ".join(f"{name or 'none'} on rank {rank}" for rank, name in enumerate(of_ranks))
        raise ValueError(
            f"output_dir: its newest whole checkpoint was {found}, expected the same on all: let nodes share it,"
            " copy that checkpoint to each, or begin with an empty folder on each"
        )


def _is_due(folder: Optional[Path], args: Any) -> bool:
    """Whether the Trainer would have saved this one by itself, so that it is not ours to delete."""
    steps = args.save_steps if str(getattr(args.save_strategy, "value", args.save_strategy)) == "steps" else 0
    return bool(folder and steps and int(folder.name.rpartition("-")[2]) % int(steps) == 0)
