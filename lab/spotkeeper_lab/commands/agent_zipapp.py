"""``spotkeeper agent-zipapp``: the agent for nodes that are set up by hand, by an image or by another tool."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from spotkeeper.archives import agent_archive
from spotkeeper.node.bootstrap import STOP_MARGIN_SECONDS, UNIT
from spotkeeper_lab.commands import OK, Refused

DESCRIPTION = """\
Writes the agent as one file that any Python from 3.9 on runs, without anything installed, and if asked a unit for
systemd. The file is the same, byte for byte, as the one that the components put on a fleet's nodes.
"""
_EPILOG = """\
On a node:
  python3 agent.pyz run --config /etc/spotkeeper/agent.json -- python train.py
  python3 agent.pyz doctor --config /etc/spotkeeper/agent.json
In a container, mount the run directory (`run_dir`, /run/spotkeeper) into the one that trains, and set
SPOTKEEPER_RUN_DIR there; or let the agent be what the container runs.

examples:
  spotkeeper agent-zipapp --out agent.pyz
  spotkeeper agent-zipapp --out /opt/spotkeeper/agent.pyz --unit /etc/systemd/system/spotkeeper-agent.service

exit codes: 0 done; 2 wrong input, or a file cannot be written
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``agent-zipapp``."""
    parser.epilog = _EPILOG
    parser.add_argument("--out", type=Path, default=Path("agent.pyz"), metavar="FILE", help="default %(default)s")
    parser.add_argument("--unit", type=Path, metavar="FILE", help="a unit for systemd that runs it")
    parser.add_argument(
        "--python", default="/usr/bin/python3", metavar="FILE", help="for the unit: the interpreter (%(default)s)"
    )
    parser.add_argument(
        "--config",
        default="/etc/spotkeeper/agent.json",
        metavar="FILE",
        help="for the unit: the agent's configuration (%(default)s)",
    )
    parser.add_argument(
        "--notice-seconds",
        type=float,
        default=120.0,
        metavar="SECONDS",
        help="for the unit, which gives the agent longer than that to stop (%(default)s)",
    )


def run(options: argparse.Namespace) -> int:
    """Write the files and say where they are."""
    archive = agent_archive()
    _write(options.out, archive.body)
    sys.stdout.write(f"{options.out}: {len(archive.body)} bytes, SHA-256 {archive.sha256}\n")
    if options.unit is not None:
        _write(options.unit, unit(options).encode())
        sys.stdout.write(f"{options.unit}: systemctl enable --now {options.unit.name}\n")
    return OK


def unit(options: argparse.Namespace) -> str:
    """Return the unit."""
    text = UNIT.format(
        python=options.python,
        root="",
        fleet="this node",
        stop_seconds=options.notice_seconds + STOP_MARGIN_SECONDS,
    )
    text = text.replace(" of fleet this node", "")
    text = text.replace("/opt/spotkeeper/agent.pyz", str(options.out.absolute()))
    return text.replace("/etc/spotkeeper/agent.json", options.config)


def _write(path: Path, body: bytes) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(body)
    except OSError as error:
        raise Refused(f"{path}: cannot be written ({error.strerror})") from None
