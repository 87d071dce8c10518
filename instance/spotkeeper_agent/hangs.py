"""What is done about a job that hangs: its ranks are asked where they are, then it is killed."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Dict, List, Optional

from spotkeeper_agent import watchdog
from spotkeeper_agent.job import Job
from spotkeeper_agent.logs import log
from spotkeeper_agent.notices import Moment, Notice
from spotkeeper_agent.watchdog import Pace
from spotkeeper_ledger import run_dir
from spotkeeper_ledger.run_dir import LocalProgress

STACKS_SECONDS = 2.0
"""How long the ranks may take to write down where they are."""
REPORTED_CHARACTERS = 8000
"""How much of all stacks the node's report holds; the rest is in the node's log."""
MOST_CHARACTERS = 64 * 1024
"""How much is read of the stacks of one process."""
_CURRENT = "Current thread"


class HangWatch:
    """Watches one start of the command after the other.

    Args:
        folder: the run directory.
        least_seconds: see :func:`spotkeeper_agent.watchdog.hangs`.
    """

    def __init__(self, folder: Path, least_seconds: float) -> None:
        self._folder, self._least_seconds = folder, least_seconds
        self._pace = Pace()
        self._looked_at: Optional[float] = None
        self._asked_at: Optional[float] = None
        self.found = False
        """Whether the present start of the command was found hanging."""
        self.stacks: Dict[str, str] = {}
        """Where its ranks were when it was last found hanging, by the name of the file."""

    def start(self) -> None:
        """A command starts: nothing is known of it yet."""
        self._pace, self._looked_at, self._asked_at, self.found = Pace(), None, None, False
        for old in (self._folder / run_dir.STACKS).glob("*.txt"):
            with contextlib.suppress(OSError):
                old.unlink()

    @property
    def quiet_seconds(self) -> float:
        """How long the command has shown no sign of life."""
        return self._pace.quiet_seconds

    def turn(self, job: Job, progress: Optional[LocalProgress], notice: Optional[Notice], now: Moment) -> None:
        """Look once, and do what is due."""
        seconds = 0.0 if self._looked_at is None else now.boot - self._looked_at
        self._looked_at = now.boot
        if self._asked_at is not None:
            if now.boot >= self._asked_at + STACKS_SECONDS:
                self.stacks = _read(self._folder / run_dir.STACKS)
                job.kill()
            return
        self._pace = watchdog.look(self._pace, progress, seconds)
        if (notice is not None and notice.leaving) or self._agrees():
            self._pace = watchdog.excused(self._pace)  # the deadline ends that, or the agreement's own
        elif watchdog.hangs(self._pace, self._least_seconds):
            self.found, self._asked_at = True, now.boot
            log(
                "job-hangs",
                step=self._pace.step,
                quiet_seconds=round(self._pace.quiet_seconds, 1),
                asked=job.tell(run_dir.STACKS_SIGNAL, forks=True),
            )

    def _agrees(self) -> bool:
        """Whether ranks may be waiting at a step boundary for a common save."""
        try:
            said = json.loads((self._folder / "agreement.json").read_bytes())
            return said["stage"] in ("arming", "commit")
        except (OSError, ValueError, LookupError, TypeError):
            return False


def summary(stacks: Dict[str, str], most: int = REPORTED_CHARACTERS) -> str:
    """Return the stacks of all ranks in ``most`` characters, each with the thread first that training runs in."""
    if not stacks:
        return ""
    share = max(1, most // len(stacks) - 40)
    shown = [f"--- {name}\n{_main_first(text)[:share]}" for name, text in sorted(stacks.items())]
    return "\n".join(shown)[:most]


def _main_first(text: str) -> str:
    blocks: List[str] = text.strip().split("\n\n")
    return "\n\n".join(sorted(blocks, key=lambda block: not block.startswith(_CURRENT)))


def _read(folder: Path) -> Dict[str, str]:
    found = {}
    for path in sorted(folder.glob("*.txt")):
        with contextlib.suppress(OSError), path.open(errors="replace") as file:
            found[path.stem] = file.read(MOST_CHARACTERS)
    return {name: text for name, text in found.items() if text.strip()}
