"""Checkpoints of a folder, for jobs that are no Python: ``python -m spotkeeper_training save out/``."""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path
from typing import List, Optional

from spotkeeper_ledger import BoardError, run_dir
from spotkeeper_training import CheckpointGuard, CheckpointStore, NoWholeCheckpoint
from spotkeeper_training.adapters import folders

OK, FAILED, USAGE = 0, 1, 2


def main(arguments: Optional[List[str]] = None) -> int:
    """Run one command; returns its exit code."""
    options = _parser().parse_args(arguments)
    try:
        store = CheckpointStore(options.checkpoint)
    except ValueError as error:
        return _complain(str(error), USAGE)
    try:
        store.begin()
        code: int = options.do(store, options)
    except (BoardError, NoWholeCheckpoint, OSError) as error:
        return _complain(f"{type(error).__name__}: {error}", FAILED)
    return code


def _save(store: CheckpointStore, options: argparse.Namespace) -> int:
    if not options.folder.is_dir():
        return _complain(f"{options.folder}: is not there, expected the folder to save", USAGE)
    step = options.step if options.step is not None else int(time.time())
    guard = CheckpointGuard(store)
    saved = guard.save(step, folders.to_parts(options.folder, lambda _: True))
    return OK if saved else FAILED


def _load(store: CheckpointStore, options: argparse.Namespace) -> int:
    latest = store.latest()
    if latest is None:
        sys.stderr.write("nothing was saved yet\n")
        return OK
    restored = store.load(latest)
    folder = Path(os.path.abspath(options.folder))  # noqa: PTH100 - a link to another disk stays where it leads
    folder.parent.mkdir(parents=True, exist_ok=True)
    folders.write(folder, restored.shards)
    sys.stdout.write(f"{restored.step}\n")
    return OK


def _complain(problem: str, code: int) -> int:
    sys.stderr.write(f"{problem}\n")
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m spotkeeper_training",
        description="Save a folder as a checkpoint that is whole or invisible, and load the latest one.",
        epilog="exit codes: 0 done; 1 the store does not answer, or no checkpoint is whole; 2 the command line cannot"
        " be used; 76 a later generation runs the job, nothing was published",
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    save = commands.add_parser("save", help="publish the files of FOLDER, and confirm it to this node's agent")
    save.add_argument("--step", type=int, metavar="N", help="completed steps (default: Unix seconds)")
    save.set_defaults(do=_save)
    load = commands.add_parser("load", help="replace FOLDER by the latest checkpoint, and print its step")
    load.set_defaults(do=_load)
    for command in (save, load):
        command.add_argument("folder", type=Path, metavar="FOLDER")
        command.add_argument(
            "--checkpoint",
            metavar="URI",
            help=f"s3://…, gs://… or file:///… (default: ${run_dir.CHECKPOINT_URI}, as the agent sets it)",
        )
    return parser


if __name__ == "__main__":
    sys.exit(main())
