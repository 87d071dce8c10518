"""The run directory: how the agent and the training process on one node talk, through whole-or-absent files.

The agent writes ``notice.json`` and ``agreement.json``; the training process of rank 0 writes ``confirm.json`` and
``progress.json``, and where several ranks train each writes ``ranks/<rank>.json``. No side ever waits for the other
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

RANKS = "ranks"
"""The folder of the ranks' documents."""
READY, ARMED, PROMISED, PASSED = "ready", "armed", "promised", "passed"
"""Stages of a rank: it has made its guard · it has something to save for · it will save at the stop step of this round
and nowhere else · it was beyond that when it read of it, or has waited there for too long."""
SAVING, SAVED, UNSAVED, COVERED = "saving", "saved", "unsaved", "covered"
"""Further ones: its save is under way · the checkpoint of this round is published · its save has failed · (rank 0) the
checkpoint before the notice is recent enough to answer it."""
ARMING, COMMIT, GO, DONE, FAILED = "arming", "commit", "go", "done", "failed"
"""Stages of an agreement: ranks are to arm · armed ranks are asked for their promise · all have promised, the save is
certain · the checkpoint is published · nobody saves."""

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


@dataclass(frozen=True)
class RankState:
    """``ranks/<rank>.json``: where one rank of several stands. Written by that rank, at step boundaries only."""

    VERSION: ClassVar[int] = 1

    rank: int
    world_size: int
    pid: int
    generation: int
    stage: str
    step: int
    """Completed steps at the boundary where this was written; the rank may be beyond it by now."""
    at: float
    round: int = 0
    """The last round that this rank has read of; what its stage is about."""
    stop_step: Optional[int] = None
    """Of that round, for a rank that has promised to save there."""
    notice_id: str = ""
    """What it has something to save for; empty where its save interval is over."""
    leaving: bool = False
    """Whether that notice says that the node will go."""
    steps_per_second: Optional[float] = None
    attempt: int = 0
    """``SPOTKEEPER_ATTEMPT`` of its job: what ranks of an earlier start have left is told apart by it."""
    started: Optional[int] = None
    """When its process was started, in clock ticks since boot: with ``pid``, what names it for good."""
    saved_round: int = 0
    """The last round whose checkpoint this rank knows to be published, whatever its stage has become since."""
    version: int = 1
    extra: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Agreement:
    """``agreement.json``: at which step all ranks save, in two phases. Written by the agent alone.

    A round has one stop step. A rank saves at the first step boundary at or beyond it, if it has promised to before it
    was beyond it, and if the agent says ``go``, which it does once all ranks have promised.
    """

    VERSION: ClassVar[int] = 1

    generation: int
    stage: str
    round: int
    """Rises with every new stop step and every end without one, over the whole run of a job."""
    at: float
    stop_step: Optional[int] = None
    notice_id: str = ""
    """What is saved for; empty where the save interval of the ranks is over."""
    leaving: bool = False
    """Whether all ranks stop after this save."""
    reason: str = ""
    """Why it has failed, or what it waits for; for people."""
    attempt: int = 0
    version: int = 1
    extra: Mapping[str, Any] = field(default_factory=dict)


FILES: Mapping[type, str] = {
    LocalNotice: "notice.json",
    Confirmation: "confirm.json",
    LocalProgress: "progress.json",
    Agreement: "agreement.json",
}


def write(run_dir: Union[str, Path], document: Any) -> None:
    """Put ``document`` in its file: a reader sees the old one or the new one, never half of one.

    Raises ``OSError`` if it cannot be written; the folder ``ranks`` is made by :func:`clear_ranks`.
    """
    name = f"{RANKS}/{document.rank}.json" if isinstance(document, RankState) else FILES[type(document)]
    path = Path(run_dir) / name
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


def clear_ranks(run_dir: Union[str, Path]) -> None:
    """Forget ranks and agreements of an earlier start of the job, and make the place where the next ones meet."""
    remove(run_dir, Agreement)
    folder = Path(run_dir) / RANKS
    folder.mkdir(parents=True, exist_ok=True)
    for path in folder.iterdir():
        path.unlink(missing_ok=True)


def process_started(pid: int) -> Optional[int]:
    """Return when a process was started, in clock ticks since boot; ``None`` where none lives by that number."""
    try:
        facts = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if facts[0] in ("Z", "X") else int(facts[19])


def boot_time() -> float:
    """Return seconds since boot, suspended time included; the wall clock does not move it."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


def boot_id() -> str:
    """Return an id of this boot of the machine (empty where the kernel does not tell one)."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""
