"""What torchrun starts in the tests: data-parallel steps on gloo, saved by rank 0 for all."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

import torch
import torch.distributed as dist

from spotkeeper_ledger import run_dir
from spotkeeper_training import EXIT_STOPPED_FOR_NOTICE, CheckpointGuard, CheckpointStore


def main() -> int:
    dist.init_process_group("gloo")
    rank, world = dist.get_rank(), dist.get_world_size()
    store = CheckpointStore(rank=0, world_size=1)
    if rank == 0:
        store.begin()
    dist.barrier()
    latest = store.latest()
    saved = store.load(latest).parts if latest else {}
    weight = torch.tensor(float(saved.get("weight", b"0")), dtype=torch.float64)
    step = int(saved.get("step", b"0"))
    first = step
    guard = CheckpointGuard(store, save_interval_seconds=0.5)
    while True:
        step += 1
        time.sleep(0.02)
        gradient = torch.tensor(1.0, dtype=torch.float64) / world
        dist.all_reduce(gradient)
        weight += gradient  # one a step, however many ranks there are
        notice = guard.notice
        words = torch.tensor(
            [int(rank == 0 and guard.should_save(step)), int(notice is not None and notice.leaving)], dtype=torch.int32
        )
        dist.all_reduce(words, op=dist.ReduceOp.MAX)
        save, stop = words.tolist()
        if rank == 0:
            guard.report(step)
            if save or stop:
                guard.save(step, {"step": str(step).encode(), "weight": repr(weight.item()).encode()})
        if stop:
            dist.barrier()
            return EXIT_STOPPED_FOR_NOTICE
        if step == first + 3:
            told = {"generation": int(os.environ[run_dir.GENERATION]), "node": os.environ[run_dir.NODE], "rank": rank}
            told |= {"event": "met", "at": time.time(), "world": world, "first": first, "weight": weight.item() - step}
            with (Path(os.environ[run_dir.RUN_DIR]).parent / "runs.jsonl").open("a") as file:
                file.write(json.dumps(told) + "\n")


if __name__ == "__main__":
    sys.exit(main())
