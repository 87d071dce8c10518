"""Checkpoints that are whole or invisible, and that only the newest generation of a job can publish.

Parts are written first, then a manifest that lists them with sizes and checksums, then ``head.json`` by
compare-and-swap. What is latest is what the head says, never a listing. A generation raises the head's number before it
loads anything; from then on no older one can publish.
"""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass, replace
from typing import Callable, List, Mapping, Optional, TypeVar

from spotkeeper_ledger import (
    ABSENT,
    Board,
    BoardError,
    Conflict,
    Head,
    MalformedDocument,
    Unavailable,
    dump,
    load,
    open_board,
    run_dir,
)
from spotkeeper_training.errors import NoWholeCheckpoint, StaleGeneration
from spotkeeper_training.objects import MANIFESTS, Objects
from spotkeeper_training.patience import patiently
from spotkeeper_training.retention import expendable

HEAD = "head.json"
DOCUMENT_SECONDS = 10.0
"""How long one request for a head or a manifest may take."""
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
    parts: Mapping[str, bytes]

    @property
    def step(self) -> int:
        """The step to go on from."""
        return self.checkpoint.step


@dataclass(frozen=True)
class _Held:
    """The head as last read or written."""

    head: Head
    version: str


class CheckpointStore:
    """The checkpoints of one job.

    Args:
        uri: ``s3://bucket/prefix`` or ``file:///folder``; default ``SPOTKEEPER_CHECKPOINT_URI``.
        generation: the job's, against which no older one can publish; default ``SPOTKEEPER_GENERATION``, 0 where there
            is no agent.
        keep: checkpoints that are kept, at least 2; older ones are deleted after a publish.
        transfer_seconds: how long one part may take to be written or read. On S3 a part is one request, and so at most
            5 GB.

    Raises ``ValueError`` for a URI or a setting that cannot be used.
    """

    def __init__(
        self,
        uri: Optional[str] = None,
        *,
        generation: Optional[int] = None,
        keep: int = 2,
        transfer_seconds: float = 300.0,
    ) -> None:
        place = uri or os.environ.get(run_dir.CHECKPOINT_URI)
        if not place:
            raise ValueError(f"uri: was empty, expected s3://… or file:///… (or {run_dir.CHECKPOINT_URI} in its place)")
        if keep < 2:
            raise ValueError(f"keep: was {keep}, expected at least 2: the latest and the one to fall back to")
        self.generation = int(os.environ.get(run_dir.GENERATION, "0")) if generation is None else generation
        self._keep = keep
        self._board: Board = patiently(lambda: open_board(place, timeout=DOCUMENT_SECONDS))
        self._objects = Objects(self._board, patiently(lambda: open_board(place, timeout=transfer_seconds)))
        self._held: Optional[_Held] = None
        self._last: Optional[Checkpoint] = None

    @property
    def last(self) -> Optional[Checkpoint]:
        """The checkpoint that this process has loaded or published last."""
        return self._last

    def begin(self) -> None:
        """Raise the head to this generation: no older one can publish any more. Call it before anything is loaded.

        Raises:
            StaleGeneration: a later generation has begun.
            Unavailable: the store has not answered for 10 minutes.
        """
        self._held = patiently(self._raise_head)

    def latest(self) -> Optional[Checkpoint]:
        """Return the latest checkpoint whose manifest can be read, or ``None`` where nothing was ever published.

        Raises:
            NoWholeCheckpoint: something was, but no manifest can be read.
            Unavailable: the store has not answered for 10 minutes.
        """
        return patiently(self._latest)

    def load(self, checkpoint: Checkpoint) -> Restored:
        """Return the parts of ``checkpoint``, every byte verified; those of the one before it where they are damaged.

        Raises:
            NoWholeCheckpoint: neither is whole.
            Unavailable: the store has not answered for 10 minutes.
        """
        restored = patiently(lambda: self._load(checkpoint))
        self._last = restored.checkpoint
        return restored

    def publish(self, step: int, parts: Mapping[str, bytes]) -> Checkpoint:
        """Make ``parts`` the latest checkpoint: it is when this returns, and whole or invisible if this raises.

        Args:
            step: completed steps.
            parts: name to bytes. A name is letters, digits, dots, hyphens and underscores.

        Raises:
            StaleGeneration: a later generation has begun.
            Unavailable: the store does not answer; it is worth another try.
            Denied: it may not be written.
            RuntimeError: :meth:`begin` was not called.
        """
        if self._held is None:
            raise RuntimeError("publish: begin() has to be called first, it fences off older generations")
        key = self._objects.write(self.generation, step, parts)
        self._held = self._advance(self._held, key, step)
        self._last = Checkpoint(step, self.generation, key)
        self._retire(self._held.head)
        return self._last

    def _raise_head(self) -> _Held:
        while True:
            found = self._read_head()
            if found is not None and self._is_ours(found):
                return found
            head = Head(self.generation) if found is None else found.head
            raised = self._swap(found, replace(head, generation=self.generation))
            if raised is not None:
                return raised

    def _advance(self, held: _Held, manifest: str, step: int) -> _Held:
        previous = self._last.manifest if self._last else held.head.manifest
        mine = Head(self.generation, step=step, manifest=manifest, previous=previous)
        while True:
            written = self._swap(held, replace(mine, revision=held.head.revision, extra=held.head.extra))
            if written is not None:
                return written
            found = self._read_head()
            if found is None:
                raise Unavailable(f"{HEAD}: is gone, somebody empties this store")
            if self._is_ours(found) and found.head.manifest == manifest:
                return found  # an earlier try was written, only its answer was lost
            held = found

    def _swap(self, held: Optional[_Held], head: Head) -> Optional[_Held]:
        """Write ``head`` over ``held``; ``None`` if somebody else was first."""
        head = replace(head, revision=head.revision + 1)
        try:
            return _Held(head, self._board.write(HEAD, dump(head), expect=held.version if held else ABSENT))
        except Conflict:
            return None

    def _is_ours(self, held: _Held) -> bool:
        """Whether the head is at this generation already; raises if it is beyond it."""
        if held.head.generation > self.generation:
            error = StaleGeneration(self.generation, held.head.generation)
            _log.error("%s", error)
            raise error
        return held.head.generation == self.generation

    def _read_head(self) -> Optional[_Held]:
        found = self._board.read(HEAD)
        return None if found is None else _Held(load(Head, found.body), found.version)

    def _latest(self) -> Optional[Checkpoint]:
        found = self._read_head()
        if found is None or found.head.manifest is None:
            return None
        return _first_whole([found.head.manifest, found.head.previous], self._checkpoint)

    def _load(self, checkpoint: Checkpoint) -> Restored:
        found = self._read_head()
        before = found.head.previous if found and found.head.manifest == checkpoint.manifest else None
        return _first_whole([checkpoint.manifest, before], self._restored)

    def _checkpoint(self, key: str) -> Checkpoint:
        manifest = self._objects.manifest(key)
        return Checkpoint(manifest.step, manifest.generation, key)

    def _restored(self, key: str) -> Restored:
        manifest = self._objects.manifest(key)
        return Restored(Checkpoint(manifest.step, manifest.generation, key), self._objects.parts(manifest))

    def _retire(self, head: Head) -> None:
        try:
            for key in expendable(self._board.list(MANIFESTS), head, self._keep):
                self._objects.delete(key)
        except BoardError as error:
            _log.warning("old checkpoints were not deleted (%s); the next publish tries again", error)


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
