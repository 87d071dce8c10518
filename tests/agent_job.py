"""The least job that uses checkpoints and a guard: counts, and stops when it is told to. Runs on Python 3.9."""

from __future__ import annotations

import sys
import time

from spotkeeper_training import EXIT_STOPPED_FOR_NOTICE, CheckpointGuard, CheckpointStore

TOTAL = 100_000


def main() -> int:
    store = CheckpointStore()
    store.begin()
    latest = store.latest()
    step = int(store.load(latest).parts["count"]) if latest else 0
    guard = CheckpointGuard(store, save_interval_seconds=0.3)
    while step < TOTAL:
        step += 1
        time.sleep(0.01)
        guard.report(step, TOTAL)
        if guard.should_save(step):
            guard.save(step, {"count": str(step).encode()})
        if guard.should_stop:
            return EXIT_STOPPED_FOR_NOTICE
    return 0


if __name__ == "__main__":
    sys.exit(main())
