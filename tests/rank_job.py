"""A job of several ranks in lock step, without torch: each a process, one sum over all ranks per step, over sockets.

A rank's host may run ahead: it hands in its summand for a step, and looks at the sum only some steps later, or when it
saves. What it holds is made of all sums, so a checkpoint whose ranks were at different steps would show.

A rank that finds a file ``hold-<rank>`` in the folder of the job stays in its step until that is gone.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

from spotkeeper_training import EXIT_STOPPED_FOR_NOTICE, CheckpointGuard, CheckpointStore


def main() -> int:
    options = _parser().parse_args()
    options.folder.mkdir(exist_ok=True)
    return _launch(options) if "RANK" not in os.environ else _train(options)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser()
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--ranks", type=int, default=2)
    parser.add_argument("--total", type=int, default=100_000)
    parser.add_argument("--pace", type=float, default=0.004, help="seconds of a step")
    parser.add_argument("--ahead", type=int, nargs="*", default=[], help="steps that each rank's host may be ahead")
    parser.add_argument("--loose", type=int, default=0, help="the same for all of them, while a rank is held")
    parser.add_argument("--save-every", type=float, default=1000.0)
    parser.add_argument("--slow", type=float, default=0.0, help="seconds that rank 1 takes for each step besides")
    return parser


def contribution(rank: int, step: int) -> int:
    return (rank + 1) * (step * 2654435761 % 1000003)


def _launch(options: argparse.Namespace) -> int:
    """Start the ranks, add up what they hand in, and exit as they do."""
    server = socket.create_server(("127.0.0.1", 0))
    port = str(server.getsockname()[1])
    env = {**os.environ, "WORLD_SIZE": str(options.ranks), "RANK_JOB_PORT": port}
    ranks = [
        subprocess.Popen([sys.executable, *sys.argv], env={**env, "RANK": str(rank)}) for rank in range(options.ranks)
    ]
    threading.Thread(target=_add_up, args=(server, options.ranks), daemon=True).start()
    codes = set()
    while ranks:
        for one in [each for each in ranks if each.poll() is not None]:
            ranks.remove(one)
            codes.add(one.returncode)
            if one.returncode not in (0, EXIT_STOPPED_FOR_NOTICE):
                for other in ranks:
                    other.kill()
        time.sleep(0.005)
    return codes.pop() if len(codes) == 1 else 1


def _add_up(server: socket.socket, ranks: int) -> None:
    ends = [server.accept()[0] for _ in range(ranks)]
    readers = [end.makefile("r") for end in ends]
    step = 0
    while True:
        step += 1
        lines = [reader.readline() for reader in readers]
        if not all(lines):
            return
        steps, summands = zip(*(map(int, line.split()) for line in lines), strict=True)
        total = sum(summands)
        assert len(set(steps)) == 1
        for end in ends:
            try:
                end.sendall(f"{total}\n".encode())
            except OSError:
                return


class Sums:
    """This rank's end: hands in a summand per step, and takes the sums in order."""

    def __init__(self, rank: int, ahead: int) -> None:
        self._rank, self._ahead = rank, ahead
        self._end = socket.create_connection(("127.0.0.1", int(os.environ["RANK_JOB_PORT"])))
        self._sums = self._end.makefile("r")
        self._pending = 0

    def hand_in(self, step: int, held: int, loose: int) -> int:
        self._end.sendall(f"{step} {contribution(self._rank, step)}\n".encode())
        self._pending += 1
        return self.take(held, max(self._ahead, loose))

    def take(self, held: int, left: int = 0) -> int:
        """Take sums until at most ``left`` are still to come; returns what is held with them."""
        while self._pending > left:
            held = (held * 31 + int(self._sums.readline())) % (2**61 - 1)
            self._pending -= 1
        return held


def _train(options: argparse.Namespace) -> int:
    store = CheckpointStore()
    rank, ahead = store.rank, dict(enumerate(options.ahead))
    diary = (options.folder / f"rank-{rank}.jsonl").open("a", buffering=1)

    def note(event: str, step: int, held: int = 0) -> None:
        line = {"event": event, "step": step, "held": held, "at": time.time(), "generation": store.generation}
        diary.write(json.dumps(line) + "\n")

    store.begin()
    latest = store.latest()
    step = held = 0
    if latest is not None:
        step, held = map(int, bytes(store.load(latest).parts["state"]).split())
    guard = CheckpointGuard(store, save_interval_seconds=options.save_every)
    sums = Sums(rank, ahead.get(rank, 0))
    note("start", step, held)
    hold = options.folder / f"hold-{rank}"
    while step < options.total:
        step += 1
        time.sleep(options.pace + (options.slow if rank == 1 else 0))
        loose = options.loose if any(options.folder.glob("hold-*")) else 0
        held = sums.hand_in(step, held, loose)
        if hold.exists():
            note("held", step)
            while hold.exists():
                time.sleep(0.005)
        guard.report(step, options.total)
        if guard.should_save(step):
            held = sums.take(held)
            saved = guard.save(step, {"state": f"{step} {held}".encode()})
            note("saved" if saved else "unsaved", step, held)
        if guard.should_stop:
            note("stop", step, held)
            return EXIT_STOPPED_FOR_NOTICE
    note("end", step, sums.take(held))
    return 0


if __name__ == "__main__":
    sys.exit(main())
