"""Real trainers as real processes, interrupted as the agent does it, and what they have left behind."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from spotkeeper_ledger import run_dir
from spotkeeper_ledger.run_dir import Confirmation, LocalNotice, LocalProgress
from spotkeeper_training import CheckpointStore

HERE = Path(__file__).parent
DIARY, RESULT, MEETING = "FRAMEWORKS_DIARY", "FRAMEWORKS_RESULT", "FRAMEWORKS_MEETING"
TORCHRUN = ("-m", "torch.distributed.run")
SECONDS = 300.0
"""How long anything may take: many times what it takes on a machine with nothing else to do."""


@dataclass
class Runs:
    """Starts one trainer again and again on the same checkpoints, each time as the next generation."""

    folder: Path
    job: str
    options: Sequence[str] = ()
    ranks: int = 1
    torchrun: bool = False
    """Whether torchrun starts the ranks, as frameworks expect it."""
    env: dict[str, str] = field(default_factory=dict)
    attempt: int = -1
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.run_dir.mkdir(parents=True, exist_ok=True)

    @property
    def run_dir(self) -> Path:
        return self.folder / "run"

    @property
    def checkpoints(self) -> str:
        return (self.folder / "checkpoints").as_uri()

    def start(self, *options: str, ranks: int | None = None) -> None:
        self.attempt += 1
        for kind in (LocalNotice, Confirmation, LocalProgress):
            run_dir.remove(self.run_dir, kind)
        env = {
            **os.environ,
            "HF_HUB_OFFLINE": "1",
            "OMP_NUM_THREADS": "1",
            "PYTHONPATH": os.pathsep.join([str(HERE), *sys.path]),
            run_dir.RUN_DIR: str(self.run_dir),
            run_dir.CHECKPOINT_URI: self.checkpoints,
            run_dir.GENERATION: str(self.attempt + 1),
            run_dir.ATTEMPT: str(self.attempt),
            DIARY: str(self.folder / f"diary-{self.attempt}"),
            RESULT: str(self.folder / "result"),
            **({} if self.torchrun else {MEETING: (self.folder / f"meeting-{self.attempt}").as_uri()}),
            **self.env,
        }
        ranks = ranks or self.ranks
        command = [str(HERE / self.job), *self.options, *options]
        if self.torchrun:
            command = [*TORCHRUN, "--standalone", f"--nproc-per-node={ranks}", *command]
        with self.log.open("ab") as log:
            self.processes = [
                subprocess.Popen(
                    [sys.executable, *command],
                    env=env if self.torchrun else {**env, "RANK": str(rank), "WORLD_SIZE": str(ranks)},
                    cwd=self.folder,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                )
                for rank in range(1 if self.torchrun else ranks)
            ]

    @property
    def log(self) -> Path:
        return self.folder / "log"

    def diary(self, attempt: int | None = None) -> list[dict[str, object]]:
        """The lines of all ranks of one attempt."""
        attempt = self.attempt if attempt is None else attempt
        return lines_of(self.folder, f"diary-{attempt}*")

    def step(self) -> int:
        """The step that the present attempt has begun last."""
        return max((int(str(line["step"])) for line in self.diary()), default=-1)

    def wait(self) -> set[int]:
        """The exit codes of all ranks."""
        return {process.wait(SECONDS) for process in self.processes}

    def finish(self, code: int = 0) -> None:
        """Let the present attempt end by itself, all ranks with ``code``."""
        codes = self.wait()
        assert codes == {code}, (codes, self.log.read_text()[-3000:])

    def interrupt_after(self, step: int) -> int:
        """Write a notice as the agent does once ``step`` is reached, and return the step of the whole checkpoint."""
        self.reach(step)
        at = time.time()
        notice = LocalNotice(f"notice-{self.attempt}", "interruption", leaving=True, at=at, deadline=at + SECONDS)
        run_dir.write(self.run_dir, notice)
        self.finish(75)
        confirmed = run_dir.read(self.run_dir, Confirmation)
        assert confirmed is not None
        assert confirmed.notice_id == notice.notice_id
        assert confirmed.step == self.saved_step()
        return confirmed.step

    def kill_after(self, step: int) -> None:
        """Kill all ranks once they have reached ``step`` and something has been saved."""
        self.reach(step)
        self.until(lambda: self.saved_step() > 0, "a checkpoint")
        self.end()

    def reach(self, step: int) -> None:
        self.until(lambda: self.step() >= step, f"step {step}")

    def until(self, ask: Callable[[], bool], what: str) -> None:
        give_up_at = time.monotonic() + SECONDS
        while not ask():
            codes = [process.poll() for process in self.processes]
            assert codes == [None] * len(codes), f"{codes} before {what}: {self.log.read_text()[-3000:]}"
            assert time.monotonic() < give_up_at, f"no {what}: {self.log.read_text()[-3000:]}"
            time.sleep(0.01)

    def saved_step(self) -> int:
        """The step of the latest checkpoint, every byte of which is verified; 0 where there is none."""
        store = CheckpointStore(self.checkpoints, generation=10_000)
        latest = store.latest()
        return store.load(latest, ranks=range(self.ranks)).step if latest else 0

    def result(self) -> dict[str, object]:
        found: dict[str, object] = json.loads((self.folder / "result").read_text())
        return found

    def end(self) -> None:
        """Kill what runs."""
        for process in self.processes:
            process.kill()
            process.wait()


class Diary:
    """What a trainer writes down after each step, for the checker."""

    def __init__(self) -> None:
        self._rank = int(os.environ.get("RANK", "0"))
        self._attempt = int(os.environ[run_dir.GENERATION]) - 1
        path = Path(f"{os.environ[DIARY]}-r{self._rank}")
        self._file = path.open("a", buffering=1)

    def add(self, **facts: object) -> None:
        self._file.write(json.dumps({"attempt": self._attempt, "rank": self._rank, **facts}) + "\n")


def lines_of(folder: Path, pattern: str) -> list[dict[str, object]]:
    """The lines of all diaries of that name that are whole."""
    texts = [path.read_text() for path in sorted(folder.glob(pattern))]
    return [json.loads(line) for text in texts for line in text.splitlines() if line.endswith("}")]


def write_result(**facts: object) -> None:
    Path(os.environ[RESULT]).write_text(json.dumps(facts))
