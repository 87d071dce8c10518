"""What can go wrong with checkpoints that no retry mends."""

from __future__ import annotations

from spotkeeper_ledger.run_dir import EXIT_FENCED


class StaleGeneration(SystemExit):
    """A later generation runs the job: nothing was published, and this process must stop.

    A ``SystemExit`` with code 76, so that a loop's ``except Exception`` cannot keep a fenced-off process alive.
    """

    def __init__(self, own: int, found: int) -> None:
        super().__init__(EXIT_FENCED)
        self.own, self.found = own, found

    def __str__(self) -> str:
        """Say which generation is too old, and which one is there."""
        if self.own == self.found:
            return f"generation {self.own}: another process of rank 0 runs it by now, nothing was published"
        return f"generation {self.own}: generation {self.found} runs the job by now, nothing was published"


class NoWholeCheckpoint(Exception):
    """There are checkpoints, but none that can be loaded: starting anew would lose them silently."""


class MissingExtra(ImportError):
    """Something is needed that only an extra installs."""

    def __init__(self, package: str) -> None:
        super().__init__(f"{package}: is not installed, expected with `pip install 'spotkeeper[training]'`")
