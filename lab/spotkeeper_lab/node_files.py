"""What lies in nodes' run directories: what a node knows and never could tell the ledger is known from here."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from spotkeeper_lab import trainer_log
from spotkeeper_ledger.run_dir import Confirmation, LocalNotice, LocalProgress, read


def heard(run_dirs: Iterable[Path]) -> dict[str, float]:
    """Return notice id to when the node's agent heard it: the newest notice of each node."""
    notices = [notice for folder in run_dirs if (notice := read(folder, LocalNotice))]
    return {notice.notice_id: notice.at for notice in notices}


def confirmed(run_dirs: Iterable[Path]) -> dict[str, tuple[float, int | None]]:
    """Return notice id to when its training confirmed a whole checkpoint, and at which step."""
    found = [confirmation for folder in run_dirs if (confirmation := read(folder, Confirmation))]
    return {each.notice_id: (each.at, each.step) for each in found if each.notice_id}


def trainer_logs(run_dirs: Mapping[str, Path]) -> dict[str, list[dict[str, Any]]]:
    """Return what training processes wrote about themselves, by node."""
    logs = {}
    for node, folder in run_dirs.items():
        with contextlib.suppress(OSError):
            logs[node] = trainer_log.parse((folder / trainer_log.FILE).read_text("utf-8"))
    return logs


def refused_at(run_dirs: Mapping[str, Path]) -> dict[str, float]:
    """Return when which node was refused to publish a checkpoint."""
    refused = {node: trainer_log.refused_at(log) for node, log in trainer_logs(run_dirs).items()}
    return {node: at for node, at in refused.items() if at is not None}


def last_steps(run_dirs: Iterable[Path], logs: Iterable[list[dict[str, Any]]]) -> dict[int, int]:
    """Return the last step of each generation; of one whose process was killed, from the node's own progress file."""
    steps = trainer_log.last_steps(logs)
    for local in (read(folder, LocalProgress) for folder in run_dirs):
        if local and local.generation is not None:
            steps[local.generation] = max(local.step, steps.get(local.generation, 0))
    return steps
