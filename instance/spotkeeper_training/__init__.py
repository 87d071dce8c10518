"""What a training loop needs on spot capacity: checkpoints that are whole or invisible, and word when to save.

Standard library only, Python 3.9 or newer; works without an agent as well. Parts of a checkpoint are bytes.

    store = CheckpointStore(); store.begin()     # fence off older generations, then store.latest() and store.load()
    guard = CheckpointGuard(store)
    for step in ...: train(); guard.report(step, total); guard.save(step, parts()) if guard.should_save(step) else None

After each step, leave with ``sys.exit(EXIT_STOPPED_FOR_NOTICE)`` if ``guard.should_stop``: another node goes on.
"""

from spotkeeper_ledger.run_dir import EXIT_FENCED, EXIT_STOPPED_FOR_NOTICE, LocalNotice
from spotkeeper_training.errors import NoWholeCheckpoint, StaleGeneration
from spotkeeper_training.guard import CheckpointGuard
from spotkeeper_training.store import Checkpoint, CheckpointStore, Restored

__all__ = [
    "EXIT_FENCED",
    "EXIT_STOPPED_FOR_NOTICE",
    "Checkpoint",
    "CheckpointGuard",
    "CheckpointStore",
    "LocalNotice",
    "NoWholeCheckpoint",
    "Restored",
    "StaleGeneration",
]
