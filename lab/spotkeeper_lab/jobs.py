"""The jobs that a rehearsal runs on its fleet: the command of the fleet, and the same job without any interruption."""

from __future__ import annotations

import contextlib
import json
import math
import os
import shlex
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spotkeeper_lab import trainer_log
from spotkeeper_lab.scenario import Trainer
from spotkeeper_ledger import run_dir

GO_ON_SECONDS = 60.0
"""How long a run that goes on from checkpoints may take."""
ARITHMETIC = ("OPENBLAS_", "MKL_", "OMP_", "BLIS_")
"""How the variables begin that tell libraries which kernels to compute with."""
TRAINERS = {
    "digits": "real training of a small network on scikit-learn's digits (one rank; other nodes are spares, unless the "
    "fleet is elastic)",
    "none": "nodes hold the job and train nothing: notices, sizes and the take-over are proved, checkpoints are not",
}


@dataclass(frozen=True)
class Job:
    """What the fleet runs."""

    command: str
    """For ``/bin/sh -c`` on the node."""
    finish_file: Path
    """The job ends, as fast as it can, once this file exists."""
    result_file: Path | None = None
    """Where a training writes its result."""

    @property
    def trains(self) -> bool:
        """Whether it is a training."""
        return self.result_file is not None


def job(trainer: str, settings: Trainer, step_seconds: float, work_dir: Path, *, elastic: bool = False) -> Job:
    """Return the job that ``trainer`` (one of :data:`TRAINERS`) names, for all nodes together if they are elastic."""
    finish_file = work_dir / "finish"
    if trainer == "none":
        return Job(f"while [ ! -e {shlex.quote(str(finish_file))} ]; do sleep 0.2; done", finish_file)
    result_file = work_dir / "result.json"
    pace = [
        "--pace",
        f"{step_seconds:g}",
        "--full-speed-when",
        str(finish_file),
        "--save-every",
        f"{settings.save_every:g}",
    ]
    command = [*_digits(settings, elastic=elastic), *pace, "--result", str(result_file)]
    return Job("exec " + shlex.join([*_same_arithmetic(), *command]), finish_file, result_file)


def steps_unsaved(settings: Trainer, step_seconds: float) -> int:
    """Return the most steps that fit between two checkpoints that nobody asked for, while training is held back."""
    return math.ceil(settings.save_every / step_seconds) + 1


def start_uninterrupted(settings: Trainer, work_dir: Path, *, elastic: bool = False) -> subprocess.Popen[bytes]:
    """Start the same training with nobody to interrupt it, at full speed, in one process of its own.

    Its result is ``uninterrupted.json``.
    """
    folder = work_dir / "uninterrupted"
    folder.mkdir()
    command = [
        *_digits(settings, elastic=elastic),
        "--pace",
        "0",
        "--save-every",
        "3600",
        "--checkpoint",
        f"{folder.as_uri()}/checkpoint",
    ]
    with (folder / "output.log").open("wb") as output:
        return subprocess.Popen(  # noqa: S603 - our own program
            [*command, "--result", str(work_dir / "uninterrupted.json")],
            stdout=output,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
        )


@dataclass(frozen=True)
class GoneOn:
    """A run that went on from nothing but checkpoints."""

    resume_step: int | None = None
    """``None``: there was no checkpoint, or it could not be used."""
    digest: str | None = None
    """Of the final weights; ``None`` if it did not come to its end."""


def go_on(
    settings: Trainer,
    checkpoints: str,
    generation: int,
    work_dir: Path,
    environment: Mapping[str, str],
    *,
    elastic: bool = False,
) -> GoneOn:
    """Run the training from its checkpoints to its end at full speed, outside of any fleet.

    Args:
        settings: of the training that left them.
        checkpoints: where they are.
        generation: its own; later than any that has run.
        work_dir: the rehearsal's folder.
        environment: what it needs to reach them.
        elastic: whether it was one of several ranks; here it has one.
    """
    folder, written = work_dir / "gone-on", work_dir / "gone-on.json"
    folder.mkdir()
    own = {run_dir.RUN_DIR: str(folder), run_dir.GENERATION: str(generation)}
    with (folder / "output.log").open("wb") as output, contextlib.suppress(subprocess.TimeoutExpired):
        subprocess.run(  # noqa: S603 - our own program
            [
                *_digits(settings, elastic=elastic),
                *("--pace", "0", "--checkpoint", checkpoints, "--result", str(written)),
            ],
            env={**os.environ, **environment, **own},
            stdout=output,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            timeout=GO_ON_SECONDS,
            check=False,
        )
    diary = folder / trainer_log.FILE
    starts = trainer_log.resume_steps([trainer_log.parse(diary.read_text("utf-8"))]) if diary.exists() else {}
    return GoneOn(starts.get(generation) or None, result(written).get("digest"))


def result(path: Path | None) -> dict[str, Any]:
    """Return the result that a training wrote, empty where it wrote none."""
    if path is None or not path.exists():
        return {}
    written = json.loads(path.read_text("utf-8"))
    return written if isinstance(written, dict) else {}


def _same_arithmetic() -> list[str]:
    """Return what starts a command with the kernels that are chosen here.

    Nodes do not inherit the environment. With another kernel the last bits of a sum are others, and weights could not
    be compared with those of the run without interruptions.
    """
    chosen = sorted(f"{name}={value}" for name, value in os.environ.items() if name.startswith(ARITHMETIC))
    return ["env", *chosen] if chosen else []


def _digits(settings: Trainer, *, elastic: bool) -> list[str]:
    arguments = {"--epochs": settings.epochs, "--batch": settings.batch, "--seed": settings.seed}
    return [
        sys.executable,
        "-m",
        "spotkeeper_lab.trainers.digits_ranks" if elastic else "spotkeeper_lab.trainers.digits",
        *(str(each) for pair in arguments.items() for each in pair),
    ]
