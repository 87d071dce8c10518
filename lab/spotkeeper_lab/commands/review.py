"""``spotkeeper review``: what a deploy would do to running jobs, for a comment on a pull request."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import replace
from pathlib import Path

from spotkeeper_lab.commands import BROKEN, OK, Refused
from spotkeeper_lab.review import (
    DANGER,
    INTERRUPTS,
    LEVELS,
    Figures,
    PlanError,
    PreviewError,
    markdown,
    read_plan,
    read_preview,
    review,
)

DESCRIPTION = """\
Reads what `pulumi preview --json` prints and says in Markdown what the deploy would do to running jobs: which fleets
are touched, who is drained, restarted or replaced, and what is dangerous. It asks neither cloud nor ledger.
"""
_EPILOG = """\
examples:
  pulumi preview --json --show-sames -s aws-training > preview.json; spotkeeper review preview.json --preview-exit $?
  pulumi preview --json --show-sames | spotkeeper review --fail-on never

Without --show-sames Pulumi tells nothing of what stays the same, and so neither which fleets are left without a
responder that is deleted.

exit codes: 0 nothing as grave as --fail-on; 1 something is, or the preview itself failed (the review is printed all
the same); 2 wrong input
"""
NEVER = "never"
GATES = {DANGER: DANGER, "interruption": INTERRUPTS}


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``review``."""
    parser.epilog = _EPILOG
    add = parser.add_argument
    add(
        "preview",
        nargs="?",
        type=Path,
        metavar="FILE",
        help="what `pulumi preview --json` has printed (default: stdin)",
    )
    add("--preview-exit", type=int, default=0, metavar="CODE", help="exit code of that preview (default 0)")
    add("--stack", metavar="NAME", help="what the stack is called in the heading (default: what the preview says)")
    add(
        "--plan",
        type=Path,
        metavar="FILE",
        help="what `spotkeeper plan … --json` has printed, for a fleet with a deadline",
    )
    add(
        "--fail-on",
        choices=(*GATES, NEVER),
        default=DANGER,
        help="exit with 1 if a change loses work or leaves fleets to themselves (danger, the default), or if it only "
        "interrupts a job in order (interruption)",
    )
    add("--json", action="store_true", help="for programs")


def run(options: argparse.Namespace) -> int:
    """Print the review; fail if something is too grave."""
    try:
        preview = read_preview(_text(options.preview), failed=options.preview_exit != 0)
    except PreviewError as error:
        raise Refused(str(error)) from None
    found = review(preview, _plan(options.plan))
    if options.stack:
        found = replace(found, stack=options.stack)
    sys.stdout.write(json.dumps(found.plain(), indent=2) + "\n" if options.json else markdown(found))
    if found.problems:
        return BROKEN
    gate = GATES.get(options.fail_on)
    return BROKEN if gate and LEVELS.index(found.level) >= LEVELS.index(gate) else OK


def _text(path: Path | None) -> str:
    if path is None:
        if sys.stdin.isatty():
            raise Refused("the preview: was not given, expected a FILE, or what is piped into this command")
        return sys.stdin.read()
    try:
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise Refused(f"the preview: {path}: {error}") from None


def _plan(path: Path | None) -> Figures | None:
    if path is None:
        return None
    try:
        return read_plan(json.loads(path.read_text("utf-8")))
    except (OSError, ValueError) as error:
        message = str(error) if isinstance(error, PlanError) else f"the plan: {path}: {error}"
        raise Refused(message) from None
