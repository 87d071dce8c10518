"""What a training loop needs on spot capacity: checkpoints that are whole or invisible, and word when to save.

Standard library only (the extra ``training`` brings faster sums and ``gs://``), Python 3.9 or newer; works without an
agent as well. A part of a checkpoint is bytes, or buffers that follow each other; several ranks write a shard each.

    store = CheckpointStore(); store.begin()     # fence off older generations, then store.latest() and store.load()
    guard = CheckpointGuard(store)
    for step in ...: train(); guard.report(step, total); guard.save(step, parts()) if guard.should_save(step) else None

After each step, leave with ``sys.exit(EXIT_STOPPED_FOR_NOTICE)`` if ``guard.should_stop``: another node goes on.
"""

from spotkeeper_ledger.run_dir import EXIT_FENCED, EXIT_STOPPED_FOR_NOTICE, LocalNotice
from spotkeeper_training.errors import MissingExtra, NoWholeCheckpoint, StaleGeneration
from spotkeeper_training.guard import CheckpointGuard
from spotkeeper_training.interval import save_interval
from spotkeeper_training.pieces import Body, Loaded, Parts
from spotkeeper_training.retention import Retention
from spotkeeper_training.saver import DoesNotFit, Pending, Saver
from spotkeeper_training.state import from_parts, to_parts
from spotkeeper_training.store import Checkpoint, CheckpointStore, Restored

__all__ = [
    "EXIT_FENCED",
    "EXIT_STOPPED_FOR_NOTICE",
    "Body",
    "Checkpoint",
    "CheckpointGuard",
    "CheckpointStore",
    "DoesNotFit",
    "Loaded",
    "LocalNotice",
    "MissingExtra",
    "NoWholeCheckpoint",
    "Parts",
    "Pending",
    "Restored",
    "Retention",
    "Saver",
    "StaleGeneration",
    "from_parts",
    "save_interval",
    "to_parts",
]
