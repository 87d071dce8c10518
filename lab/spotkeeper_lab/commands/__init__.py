"""The commands of ``spotkeeper``, one module each, which is imported only when it is the one that was asked for.

Each module has ``DESCRIPTION``, ``configure`` (its arguments) and ``run`` (which returns the exit code).
"""

from __future__ import annotations

import argparse
import importlib
from collections.abc import Mapping
from typing import Protocol, cast

OK, BROKEN, REFUSED, INTERRUPTED = 0, 1, 2, 130
"""Exit codes: done, or proved; a promise was broken, or not all was done; wrong input, or refused; Ctrl-C."""

COMMANDS: Mapping[str, str] = {
    "rehearse": "interrupt a real training on this machine, without a cloud account, and watch it recover",
    "simulate": "show what a job costs on spot under several policies, on real traces or drawn markets",
    "plan": "say which policy, how much on-demand, which zones and how often to save, and what that costs",
    "review": "say what a deploy would do to running jobs, from `pulumi preview --json`",
    "status": "show how fleets are",
    "pause": "let a fleet save and go to nothing, or keep hands off it",
    "resume": "let a paused fleet go on",
    "agent-zipapp": "write the agent as one file, for nodes that no program of Pulumi's describes",
    "redrive": "put what could not be handled back to where the responder gets its events",
}
"""Each command in a few words."""


class Refused(Exception):
    """What was asked for cannot be done; the message says why in one line."""


class Command(Protocol):
    """What a command's module holds."""

    DESCRIPTION: str

    def configure(self, parser: argparse.ArgumentParser) -> None:
        """Add the command's arguments, and an epilog."""

    def run(self, options: argparse.Namespace) -> int:
        """Do it and return the exit code.

        Raises:
            Refused: it cannot be done.
        """


def load(name: str) -> Command:
    """Return the module of a command of :data:`COMMANDS`."""
    return cast("Command", importlib.import_module(f"{__name__}.{name.replace('-', '_')}"))
