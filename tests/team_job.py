"""A job of several nodes with the standard library only: they meet at the master and make every step together.

Rank 0 collects one line of each other rank per step and answers all of them; so nobody is ever a step ahead, and all
stop when one is gone. Rank 0 alone publishes, for all. Everything else is as any job with a guard does it.
"""

from __future__ import annotations

import json
import os
import socket
import sys
import time
from pathlib import Path
from typing import BinaryIO, cast

from spotkeeper_ledger import run_dir
from spotkeeper_training import EXIT_STOPPED_FOR_NOTICE, CheckpointGuard, CheckpointStore

TOTAL = int(os.environ.get("TEAM_JOB_TOTAL", "100000"))
SAVE_SECONDS = float(os.environ.get("TEAM_JOB_SAVE_SECONDS", "0.5"))
CRASH_AT = int(os.environ.get("TEAM_JOB_CRASH_AT", "0"))
RANK, WORLD = int(os.environ["PET_NODE_RANK"]), int(os.environ["PET_NNODES"])


def say(event: str, **facts: object) -> None:
    told = {"event": event, "at": time.time(), "node": os.environ[run_dir.NODE], "rank": RANK, **facts}
    told["generation"] = int(os.environ[run_dir.GENERATION])
    with (Path(os.environ[run_dir.RUN_DIR]).parent / "runs.jsonl").open("a") as file:
        file.write(json.dumps(told) + "\n")


class Ring:
    """All ranks, at the master."""

    def __init__(self) -> None:
        address = os.environ["PET_MASTER_ADDR"], int(os.environ["PET_MASTER_PORT"])
        if RANK == 0:
            with socket.create_server(address) as server:
                server.settimeout(10)
                self.others = [cast(BinaryIO, server.accept()[0].makefile("rwb")) for _ in range(WORLD - 1)]
        else:
            self.others = [cast(BinaryIO, _call(address).makefile("rwb"))]

    def exchange(self, mine: dict[str, bool]) -> dict[str, bool]:
        """Say something to all, and return what any of them has said."""
        if RANK != 0:
            self._send(self.others[0], mine)
            return self._receive(self.others[0])
        said = [mine, *(self._receive(other) for other in self.others)]
        answer = {name: any(each[name] for each in said) for name in mine}
        for other in self.others:
            self._send(other, answer)
        return answer

    def _send(self, file: BinaryIO, words: dict[str, bool]) -> None:
        file.write(json.dumps(words).encode() + b"\n")
        file.flush()

    def _receive(self, file: BinaryIO) -> dict[str, bool]:
        line = file.readline()
        if not line:
            raise ConnectionError("a rank is gone")
        said: dict[str, bool] = json.loads(line)
        return said


def _call(address: tuple[str, int]) -> socket.socket:
    give_up_at = time.monotonic() + 10
    while True:
        try:
            return socket.create_connection(address, timeout=10)
        except OSError:
            if time.monotonic() > give_up_at:
                raise
            time.sleep(0.02)


def main() -> int:
    pet = {name: value for name, value in os.environ.items() if name.startswith("PET_")}
    say("start", pet=pet, members=os.environ[run_dir.MEMBERS])
    # The ranks save one after the other's word here, not in shards: the store is rank 0's alone.
    store = CheckpointStore(rank=0, world_size=1) if _knows_ranks() else CheckpointStore()
    if RANK == 0:
        store.begin()
    ring = Ring()
    ring.exchange({"begun": True})
    latest = store.latest()
    step = int(store.load(latest).parts["count"]) if latest else 0
    say("met", step=step, world=WORLD)
    guard = CheckpointGuard(store, save_interval_seconds=SAVE_SECONDS)
    while step < TOTAL:
        step += 1
        time.sleep(0.01)
        if (
            step == CRASH_AT
            and RANK == WORLD - 1
            and not (Path(os.environ[run_dir.RUN_DIR]).parent / "crashed").exists()
        ):
            (Path(os.environ[run_dir.RUN_DIR]).parent / "crashed").touch()
            return 3
        notice = guard.notice
        told = ring.exchange(
            {"save": RANK == 0 and guard.should_save(step), "stop": notice is not None and notice.leaving}
        )
        if RANK == 0:
            guard.report(step, TOTAL)
            if told["save"] or told["stop"]:
                guard.save(step, {"count": str(step).encode()})
        if told["stop"]:
            ring.exchange({"saved": True})
            say("stopped", step=step, notice=notice.notice_id if notice else None)
            return EXIT_STOPPED_FOR_NOTICE
    say("finished", step=step)
    return 0


def _knows_ranks() -> bool:
    return "world_size" in CheckpointStore.__init__.__code__.co_varnames


if __name__ == "__main__":
    sys.exit(main())
