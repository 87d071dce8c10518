"""Checkpoints that are whole or invisible, and that only the newest generation of a job can publish.

Parts are written first, then a manifest that lists them with sizes and checksums, then ``head.json`` by
compare-and-swap. What is latest is what the head says, never a listing. A generation raises the head's number before it
loads anything; from then on no older one can publish. Several ranks write a shard each, and rank 0 publishes what all
of them have written for one step.
"""

from __future__ import annotations

import logging
import os
import secrets
import time
from dataclasses import dataclass, field
from typing import Callable, List, Mapping, Optional, Sequence, Set, Tuple, TypeVar, Union

from spotkeeper_ledger import MalformedDocument, run_dir
from spotkeeper_ledger.checkpoints import Manifest
from spotkeeper_training.custodian import Custodian
from spotkeeper_training.errors import NoWholeCheckpoint
from spotkeeper_training.fence import Fence, Held
from spotkeeper_training.meeting import Meeting
from spotkeeper_training.objects import PARTS, Objects
from spotkeeper_training.open_bulk import open_bulk
from spotkeeper_training.patience import PATIENCE_SECONDS, patiently
from spotkeeper_training.pieces import Loaded, Parts, check
from spotkeeper_training.places import open_documents
from spotkeeper_training.retention import Retention, retention_of

DOCUMENT_SECONDS = 10.0
"""How long one request for a head or a manifest may take."""
RANK, WORLD_SIZE = "RANK", "WORLD_SIZE"
_log = logging.getLogger("spotkeeper.training")

Result = TypeVar("Result")


@dataclass(frozen=True)
class Checkpoint:
    """A published checkpoint."""

    step: int
    """Completed steps."""
    generation: int
    """The generation that published it."""
    manifest: str
    """Key of its manifest, relative to the store's URI."""


@dataclass(frozen=True)
class Restored:
    """What was loaded: the checkpoint that was asked for, or the whole one before it."""

    checkpoint: Checkpoint
    parts: Mapping[str, Loaded]
    """This rank's; where the number of ranks has changed, those of rank 0. A part of up to 1 MiB is ``bytes``, a larger
    one a ``bytearray``, over which tensors can be made without a copy."""
    shards: Mapping[int, Mapping[str, Loaded]] = field(default_factory=dict)
    """All that was loaded, by the rank that wrote it."""
    world_size: int = 1
    """How many ranks wrote it."""

    @property
    def step(self) -> int:
        """The step to go on from."""
        return self.checkpoint.step


class CheckpointStore:
    """The checkpoints of one job.

    Args:
        uri: ``s3://bucket/prefix``, ``gs://bucket/prefix`` or ``file:///folder``; default
            ``SPOTKEEPER_CHECKPOINT_URI``.
        generation: the job's, against which no older one can publish; default ``SPOTKEEPER_GENERATION``, 0 where there
            is no agent.
        rank: this process's; default ``RANK``, else 0.
        world_size: how many ranks save together; default ``WORLD_SIZE``, else 1.
        keep: the checkpoints that are kept, at least 2, or a
            :class:`~spotkeeper_training.retention.Retention`; older ones are deleted after a publish.
        transfer_seconds: how long one object of at most 64 MiB may take to be written or read, and how long ranks wait
            for each other's shards.

    Raises ``ValueError`` for a URI or a setting that cannot be used.
    """

    def __init__(
        self,
        uri: Optional[str] = None,
        *,
        generation: Optional[int] = None,
        rank: Optional[int] = None,
        world_size: Optional[int] = None,
        keep: Union[int, Retention] = 2,
        transfer_seconds: float = 300.0,
    ) -> None:
        place = uri or os.environ.get(run_dir.CHECKPOINT_URI)
        if not place:
            raise ValueError(
                f"uri: was empty, expected s3://…, gs://… or file:///… (or {run_dir.CHECKPOINT_URI} in its place)"
            )
        retention = retention_of(keep)
        self.generation = _number(run_dir.GENERATION, 0) if generation is None else generation
        self.rank = _number(RANK, 0) if rank is None else rank
        self.world_size = _number(WORLD_SIZE, 1) if world_size is None else world_size
        if not 0 <= self.rank < self.world_size:
            raise ValueError(f"rank: was {self.rank} of {self.world_size}, expected 0 to {self.world_size - 1}")
        self._transfer_seconds = transfer_seconds
        process = secrets.token_hex(4)
        board = self._documents = patiently(lambda: open_documents(place, seconds=DOCUMENT_SECONDS))
        bulk = patiently(lambda: open_bulk(place, seconds=transfer_seconds))
        self._objects = Objects(board, bulk, transfer_seconds)
        self._fence = Fence(board, self.generation, process if self.world_size > 1 and not self.rank else "")
        self._meeting = Meeting(
            board,
            self._fence,
            self._objects,
            generation=self.generation,
            rank=self.rank,
            world_size=self.world_size,
            process=process,
        )
        self._custodian = Custodian(board, self._objects, retention)
        self._held: Optional[Held] = None
        self._last: Optional[Checkpoint] = None
        self.near: Optional[Callable[[str], Optional[Mapping[str, Loaded]]]] = None
        """Asked for this rank's parts of a manifest, by its key, before they are read from the store: a local disk."""

    @property
    def last(self) -> Optional[Checkpoint]:
        """The checkpoint that this process has loaded or published last."""
        return self._last

    def begin(self) -> None:
        """Raise the head to this generation: no older one can publish any more. Call it before anything is loaded.

        Every rank calls it; a second call changes nothing.

        Raises:
            StaleGeneration: a later generation has begun.
            Unavailable: the store has not answered for 10 minutes.
        """
        self._held = patiently(self._fence.begin)

    def latest(self) -> Optional[Checkpoint]:
        """Return the latest checkpoint that is there with all its objects, ``None`` where nothing was ever published.

        Reads the head, the manifest and the sizes of the objects, not the objects.

        Raises:
            NoWholeCheckpoint: something was published, but neither it nor the one before is there.
            Unavailable: the store has not answered for 10 minutes.
        """
        return patiently(self._latest)

    def load(self, checkpoint: Checkpoint, *, ranks: Optional[Sequence[int]] = None) -> Restored:
        """Return the parts of ``checkpoint``, every byte verified; those of the one before it where they are damaged.

        With several ranks all of them call this, and all return the same checkpoint: one that any of them finds damaged
        is loaded by none.

        Args:
            checkpoint: as :meth:`latest` returned it.
            ranks: whose parts to load, asking no other rank whether all is whole. Default: this rank's, where the
                checkpoint was written by as many ranks as there are now, else those of all.

        Raises:
            NoWholeCheckpoint: neither is whole.
            Unavailable: the store has not answered for 10 minutes, or another rank has not.
            MissingExtra: it was written with a checksum whose library is not installed here.
        """
        before = patiently(lambda: self._before(checkpoint))
        restored = _first_whole([checkpoint.manifest, before], lambda key: self._restored(key, ranks))
        self._last = restored.checkpoint
        return restored

    def publish(self, step: int, parts: Parts, *, deadline_seconds: Optional[float] = None) -> Checkpoint:
        """Make ``parts`` the latest checkpoint: it is when this returns, and whole or invisible if this raises.

        With several ranks all of them call this with the same step and parts of their own. Rank 0 publishes when all
        parts are there; the others return when it has.

        Args:
            step: completed steps.
            parts: name to bytes, or to several buffers that follow each other. A name is letters, digits, dots, hyphens
                and underscores. The buffers must not change until this returns.
            deadline_seconds: how long all of it may take. Default: ``transfer_seconds`` for each object, and for the
                other ranks. With a deadline old checkpoints are not deleted, which the next publish without one does.

        Raises:
            StaleGeneration: a later generation has begun.
            Unavailable: the store or another rank does not answer; it is worth another try.
            Denied: it may not be written.
            RuntimeError: :meth:`begin` was not called.
        """
        if self._held is None:
            raise RuntimeError("publish: begin() has to be called first, it fences off older generations")
        check(step, parts)
        deadline = None if deadline_seconds is None else time.monotonic() + deadline_seconds
        with self._documents.until(deadline):
            self._last, self._held = self._publish(self._held, step, parts, deadline)
        if not self.rank and deadline is None:
            self._custodian.tidy(self._held.head, self._meeting.shards(step) if self.world_size > 1 else "")
        return self._last

    def pin(self, checkpoint: Checkpoint) -> None:
        """Keep a checkpoint, whatever is published after it.

        Raises:
            NoWholeCheckpoint: it has been deleted already.
            Unavailable: the store does not answer.
        """
        if not self._custodian.pin(checkpoint.manifest):
            raise NoWholeCheckpoint(f"{checkpoint.manifest}: is not there any more, and cannot be kept")

    def unpin(self, checkpoint: Checkpoint) -> None:
        """Take a pin away: the checkpoint goes when its time comes. Raises :class:`Unavailable`."""
        self._custodian.unpin(checkpoint.manifest)

    def _publish(self, held: Held, step: int, parts: Parts, deadline: Optional[float]) -> Tuple[Checkpoint, Held]:
        name, writer = f"g{self.generation}-s{step}", secrets.token_hex(4)
        written = self._objects.write_parts(f"{PARTS}{name}-r{self.rank}-{writer}", self.rank, parts, deadline)
        until = time.monotonic() + self._transfer_seconds if deadline is None else deadline
        if self.rank:
            return Checkpoint(step, self.generation, self._meeting.deliver(step, written, until)), held
        if self.world_size > 1:
            written += self._meeting.gather(step, until)
        manifest = Manifest(self.generation, step, time.time(), written, world_size=self.world_size)
        key = self._objects.write_manifest(f"{name}-{writer}", manifest)
        previous = self._last.manifest if self._last else held.head.manifest
        return Checkpoint(step, self.generation, key), self._fence.advance(held, step, key, previous)

    def _latest(self) -> Optional[Checkpoint]:
        found = self._fence.read()
        if found is None or found.head.manifest is None:
            return None
        return _first_whole([found.head.manifest, found.head.previous], self._checkpoint)

    def _checkpoint(self, key: str) -> Checkpoint:
        manifest = self._objects.manifest(key)
        self._objects.check_sizes(manifest)
        return Checkpoint(manifest.step, manifest.generation, key)

    def _before(self, checkpoint: Checkpoint) -> Optional[str]:
        found = self._fence.read()
        return found.head.previous if found and found.head.manifest == checkpoint.manifest else None

    def _restored(self, key: str, ranks: Optional[Sequence[int]]) -> Restored:
        together = ranks is None and self.world_size > 1
        restored, problem = None, ""
        try:
            restored = patiently(lambda: self._read(key, ranks))
        except MalformedDocument as error:
            problem = str(error)
            if not together:
                raise
        if together:
            problem = self._meeting.agree(key, problem, time.monotonic() + PATIENCE_SECONDS)
        if restored is None or problem:
            raise MalformedDocument(problem or f"{key}: is not whole")
        return restored

    def _read(self, key: str, ranks: Optional[Sequence[int]]) -> Restored:
        manifest = self._objects.manifest(key)
        wanted: Optional[Set[int]] = None
        if ranks is not None:
            wanted = set(ranks)
        elif manifest.world_size == self.world_size:
            wanted = {self.rank}
        near = self.near(key) if self.near is not None and wanted == {self.rank} else None
        shards = self._objects.read(manifest, wanted) if near is None else {self.rank: near}
        own = self.rank if manifest.world_size == self.world_size else 0
        parts = shards.get(own) or next(iter(shards.values()), {})
        return Restored(Checkpoint(manifest.step, manifest.generation, key), parts, shards, manifest.world_size)


def _first_whole(keys: List[Optional[str]], read: Callable[[str], Result]) -> Result:
    problems: List[str] = []
    for key in filter(None, keys):
        found = _try(read, key, problems)
        if found is not None:
            if problems:
                _log.warning("the latest checkpoint is not whole (%s); going on from %s", "; ".join(problems), key)
            return found
    raise NoWholeCheckpoint("; ".join(problems))


def _try(read: Callable[[str], Result], key: str, problems: List[str]) -> Optional[Result]:
    try:
        return read(key)
    except MalformedDocument as error:
        problems.append(str(error))
        return None


def _number(variable: str, default: int) -> int:
    return int(os.environ.get(variable) or default)
