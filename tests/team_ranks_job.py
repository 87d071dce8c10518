"""A job of several nodes that save in shards: every rank has a guard of its own and hears of the others by it alone.

The ranks meet at every step, as a collective has them do, so that one that stops alone would leave the others hanging.
"""

from __future__ import annotations

import os
import sys
import time

from spotkeeper_training import EXIT_STOPPED_FOR_NOTICE, CheckpointGuard, CheckpointStore
from team_job import RANK, WORLD, Ring, say


def main() -> int:
    say("start")
    store = CheckpointStore(rank=RANK, world_size=WORLD)
    store.begin()
    ring = Ring()
    ring.exchange({"begun": True})
    latest = store.latest()
    step = 0
    if latest is not None:
        restored = store.load(latest)
        steps = {int(parts["count"]) for parts in (restored.parts, *restored.shards.values())}
        assert len(steps) == 1, steps
        step = steps.pop()
    say("met", step=step, world=WORLD)
    guard = CheckpointGuard(store, save_interval_seconds=float(os.environ.get("TEAM_JOB_SAVE_SECONDS", "0.7")))
    while True:
        step += 1
        time.sleep(0.01)
        ring.exchange({"step": True})
        guard.report(step)
        if guard.should_save(step):
            guard.save(step, {"count": str(step).encode(), "rank": str(RANK).encode()})
        if guard.should_stop:
            say("stopped", step=step)
            return EXIT_STOPPED_FOR_NOTICE


if __name__ == "__main__":
    sys.exit(main())
