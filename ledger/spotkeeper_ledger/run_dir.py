"""The run directory: how the agent and the training process on one node talk, through whole-or-absent files.

The agent writes ``notice.json``; the training process writes ``confirm.json`` and ``progress.json``. No side ever
waits for the other
in a system call, so that either may be stopped, replaced or written in another language.
"""

from __future__ import annotations

import os
import signal
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Mapping, Optional, Type, TypeVar, Union

from spotkeeper_ledger.codec import MalformedDocument, dump, load

RUN_DIR = "SPOTKEEPER_RUN_DIR"
FLEET = "SPOTKEEPER_FLEET"
NODE = "SPOTKEEPER_NODE"
GENERATION = "SPOTKEEPER_GENERATION"
CHECKPOINT_URI = "SPOTKEEPER_CHECKPOINT_URI"
RUN_ID = "SPOTKEEPER_RUN_ID"
"""Stable over all attempts of one job: the fleet's incarnation."""
ATTEMPT = "SPOTKEEPER_ATTEMPT"
"""How many times this node has started the command before."""
SAVE_GAP_SECONDS = "SPOTKEEPER_SAVE_GAP_SECONDS"
MEMBERS = "SPOTKEEPER_MEMBERS"
"""Addresses of the nodes that run the job together, in rank order, with commas between them."""
NODE_RANK = "SPOTKEEPER_NODE_RANK"
"""Which of them this node is, counted from 0."""
MASTER_ADDRESS = "SPOTKEEPER_MASTER_ADDRESS"
MASTER_PORT = "SPOTKEEPER_MASTER_PORT"
"""A port of the first of them that was free when the generation was formed."""

STACKS = "stacks"
"""Folder in the run directory: where each process was that got :data:`STACKS_SIGNAL`, as ``<pid>.txt``."""
STACKS_SIGNAL: int = signal.SIGRTMIN + 7 if hasattr(signal, "SIGRTMIN") else 0
"""Asks a training process for its stacks; nothing else on a node uses this signal. 0 where there is none (macOS)."""

EXIT_STOPPED_FOR_NOTICE = 75
"""The job saved a whole checkpoint for a notice and stopped; another node goes on (``EX_TEMPFAIL``)."""
EXIT_FENCED = 76
"""The job found that a later generation runs; it published nothing and must not be restarted here."""

Document = TypeVar("Document")


@dataclass(frozen=True)
class LocalNotice:
    """``notice.json``: the newest notice of this node. Gone again when a rebalance recommendation has expired."""

    VERSION: ClassVar[int] = 1

    notice_id: str
    kind: str
    leaving: bool
    """Whether the node will go, so that the job has to stop after its save."""
    at: float
    deadline: Optional[float] = None
    """Unix seconds; ``None`` where nothing says when."""
    deadline_boottime: Optional[float] = None
    """The same moment on ``CLOCK_BOOTTIME`` of the boot ``boot_id``: immune to changes of the wall clock."""
    boot_id: str = ""
    drill: bool = False
    version: int = 1
    extra: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Confirmation:
    """``confirm.json``: a whole checkpoint has been published, for ``notice_id`` where one was pending."""

    VERSION: ClassVar[int] = 1

    step: Optional[int]
    """The step of the checkpoint; ``None`` where what has saved it did not say."""
    at: float
    notice_id: str = ""
    generation: Optional[int] = None
    version: int = 1
    extra: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class LocalProgress:
    """``progress.json``: how far the job is."""

    VERSION: ClassVar[int] = 1

    step: int
    at: float
    total: Optional[int] = None
    generation: Optional[int] = None
    steps_per_second: Optional[float] = None
    published_step: Optional[int] = None
    published_at: Optional[float] = None
    save_seconds_p95: Optional[float] = None
    saving_seconds: Optional[float] = None
    """How long saving has held up the steps of this process in all."""
    busy: str = ""
    """What keeps it from making steps just now, such as ``saving``; empty while it makes them."""
    version: int = 1
    extra: Mapping[str, Any] = field(default_factory=dict)


FILES: Mapping[type, str] = {LocalNotice: "notice.json", Confirmation: "confirm.json", LocalProgress: "progress.json"}


def write(run_dir: Union[str, Path], document: Any) -> None:
    """Put ``document`` in its file: a reader sees the old one or the new one, never half of one."""
    path = Path(run_dir) / FILES[type(document)]
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    partial.write_bytes(dump(document))
    partial.replace(path)


def read(run_dir: Union[str, Path], kind: Type[Document]) -> Optional[Document]:
    """Return the document, or ``None`` where there is none (a foreign or damaged file counts as none)."""
    try:
        return load(kind, (Path(run_dir) / FILES[kind]).read_bytes())
    except (OSError, MalformedDocument):
        return None


def remove(run_dir: Union[str, Path], kind: type) -> None:
    """Remove the document's file if it is there."""
    (Path(run_dir) / FILES[kind]).unlink(missing_ok=True)


def boot_time() -> float:
    """Return seconds since boot, suspended time included; the wall clock does not move it."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


def boot_id() -> str:
    """Return an id of this boot of the machine (empty where the kernel does not tell one)."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""
