"""A node's ``systemctl``: starts the service of a unit below ``SPOTKEEPER_ROOT``, in the environment it was called in.

What supervises a service ends its main process when it is sent :data:`STOP`, as systemd does when it shuts down.

Commands: ``daemon-reload``, ``enable [--now]`` and ``start``. Settings of a unit that count: ``ExecStart``,
``Environment``, ``WorkingDirectory``, ``Restart`` (``no``, ``on-failure`` or ``always``) and ``RestartSec`` (plain
seconds). What a service prints goes to ``var/log/<unit>.log``.

This file is a program. Only the standard library is used, because it runs without any other.
"""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

STOP = signal.SIGUSR1
"""Sent to what supervises a service: its main process is told to end (``SIGTERM``), and not started again."""
_SUPERVISE = "--supervise"
_PIDS = "run/systemd"


@dataclass
class Unit:
    """What a unit file says about its service."""

    command: list[str] = field(default_factory=list)
    environment: dict[str, str] = field(default_factory=dict)
    directory: str | None = None
    restart: str = "no"
    restart_seconds: float = 0.1
    """As in systemd, which waits 100 ms unless told otherwise."""


def parse(text: str) -> Unit:
    """Return what a unit file says.

    Raises:
        ValueError: It has no ``ExecStart``.
    """
    unit = Unit()
    for line in text.replace("\\\n", " ").splitlines():
        name, _, value = line.partition("=")
        if name == "ExecStart":
            unit.command = shlex.split(value)
        elif name == "Environment":
            for entry in shlex.split(value):
                key, _, setting = entry.partition("=")
                unit.environment[key] = setting
        elif name == "WorkingDirectory":
            unit.directory = value
        elif name == "Restart":
            unit.restart = value
        elif name == "RestartSec":
            unit.restart_seconds = float(value.removesuffix("s"))
    if not unit.command:
        raise ValueError("no ExecStart= in the unit")
    return unit


def again(unit: Unit, code: int) -> bool:
    """Return whether a service that ended with exit code ``code`` is started again."""
    return unit.restart == "always" or (unit.restart == "on-failure" and code != 0)


def supervise(unit: Unit) -> int:
    """Run a service, again for as long as its unit wants that; return its last exit code."""
    environment = {**os.environ, **unit.environment}
    stopped, main = False, None

    def stop(_: int, __: FrameType | None) -> None:
        nonlocal stopped
        stopped = True
        if main is not None:
            main.terminate()

    signal.signal(STOP, stop)
    while True:
        main = subprocess.Popen(unit.command, env=environment, cwd=unit.directory)  # noqa: S603 - the unit's own
        if stopped:
            main.terminate()  # it was told to while it started
        code = main.wait()
        if stopped or not again(unit, code):
            return code
        time.sleep(unit.restart_seconds)


def supervisors(root: Path) -> list[int]:
    """Return the processes that supervise services of the node with this root directory, those that are left."""
    found = []
    for path in (root / _PIDS).glob("*.pid"):
        pid = int(path.read_text() or "0")
        try:
            command = Path(f"/proc/{pid}/cmdline").read_bytes()
        except OSError:
            continue
        if _SUPERVISE.encode() in command.split(b"\0"):
            found.append(pid)
    return found


def main(arguments: Sequence[str]) -> int:
    """Do what is asked; return the exit code."""
    root = Path(os.environ["SPOTKEEPER_ROOT"])
    if arguments[:1] == [_SUPERVISE]:
        pids = root / _PIDS
        pids.mkdir(parents=True, exist_ok=True)
        (pids / f"{arguments[1]}.pid").write_text(str(os.getpid()))
        return supervise(parse(_file(root, arguments[1]).read_text()))
    words = [argument for argument in arguments if not argument.startswith("--")]
    options = [argument for argument in arguments if argument.startswith("--")]
    if words == ["daemon-reload"]:
        return 0
    if len(words) != 2 or words[0] not in ("enable", "start") or any(option != "--now" for option in options):
        sys.stderr.write(f"systemctl: was {shlex.join(arguments)!r}, expected daemon-reload, enable [--now] or start\n")
        return 1
    path = _file(root, words[1])
    parse(path.read_text())
    if words[0] == "start" or options:
        log = root / "var" / "log" / f"{path.name}.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as output:
            again_self = [sys.executable, "-I", "-S", __file__, _SUPERVISE, path.name]
            subprocess.Popen(again_self, stdin=subprocess.DEVNULL, stdout=output, stderr=output, cwd=root)  # noqa: S603
    return 0


def _file(root: Path, name: str) -> Path:
    return root / "etc" / "systemd" / "system" / (name if name.endswith(".service") else f"{name}.service")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
