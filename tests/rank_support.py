"""What the tests of one rank's part share: a run directory, in which the test speaks for the agent, and a clock."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from spotkeeper_ledger import load, run_dir
from spotkeeper_ledger.run_dir import Agreement, LocalNotice, RankState

GENERATION = 3
LEAVING = LocalNotice("i-1:leaving", "interruption", leaving=True, at=1000.0)
REBALANCE = LocalNotice("i-1:rebalance", "rebalance", leaving=False, at=900.0)


class RunDir:
    """A run directory as the agent leaves it when it starts the job."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        run_dir.clear_ranks(folder)

    def say(self, stage: str, round_: int = 1, notice: LocalNotice | None = None, **facts: Any) -> Agreement:
        """Write what the agent says; returns that."""
        subject = {"notice_id": notice.notice_id, "leaving": notice.leaving} if notice else {}
        agreement = Agreement(
            **{"generation": GENERATION, "stage": stage, "round": round_, "at": 0.0, **subject, **facts}
        )
        run_dir.write(self.folder, agreement)
        return agreement

    def state(self, rank: int = 1) -> RankState:
        return load(RankState, (self.folder / "ranks" / f"{rank}.json").read_bytes())

    def told(self, rank: int = 1) -> tuple[str, int]:
        """Stage and round of a rank."""
        state = self.state(rank)
        return state.stage, state.round


class Clock:
    """Seconds that pass each time somebody looks: one who waits does not wait, and yet the time runs out."""

    def __init__(self, tick: float = 0.5) -> None:
        self.now, self.tick, self.looks = 0.0, tick, 0
        self.acts: dict[int, Callable[[], object]] = {}
        """What happens at the so-maniest look."""

    def __call__(self) -> float:
        self.now += self.tick
        self.looks += 1
        act = self.acts.get(self.looks)
        if act is not None:
            act()
        return self.now

    def after(self, looks: int, act: Callable[[], object]) -> None:
        """Have something happen so many looks from now."""
        self.acts[self.looks + looks] = act
