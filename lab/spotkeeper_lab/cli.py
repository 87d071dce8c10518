"""The command line: ``spotkeeper rehearse | simulate | plan | review | status | pause | resume | redrive``."""

from __future__ import annotations

import argparse
import atexit
import gc
import signal
import sys
from collections.abc import Sequence

from spotkeeper_lab.commands import COMMANDS, INTERRUPTED, REFUSED, Refused, load


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    if arguments is None:
        atexit.register(gc.freeze)  # or leaving would take seconds: it looks for garbage in all that was imported
    given = list(sys.argv[1:] if arguments is None else arguments)
    options = _parser(given).parse_args(given)
    before = signal.signal(signal.SIGTERM, _as_interrupt)
    try:
        return load(options.command).run(options)
    except Refused as error:
        sys.stderr.write(f"spotkeeper {options.command}: {error}\n")
        return REFUSED
    except KeyboardInterrupt as stopped:
        sys.stderr.write(f"{stopped or 'Stopped.'}\n")
        return INTERRUPTED
    finally:
        signal.signal(signal.SIGTERM, before)


def _as_interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def _parser(given: Sequence[str]) -> argparse.ArgumentParser:
    """Return the parser. Of the commands only the one that ``given`` names is imported: help has to be quick."""
    parser = argparse.ArgumentParser(
        prog="spotkeeper", description="Keeps machine-learning training running on spot capacity."
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, text in COMMANDS.items():
        command = commands.add_parser(name, help=text, formatter_class=argparse.RawDescriptionHelpFormatter)
        if name == next((word for word in given if not word.startswith("-")), None):
            module = load(name)
            command.description = module.DESCRIPTION
            module.configure(command)
    return parser
