"""Every document of the ledger, each defined here and nowhere else.

Times that end in ``_at`` (and ``deadline``) are Unix seconds in UTC; durations end in ``_seconds``. ``extra`` holds
the fields that a newer version wrote and this one does not know; they are written back untouched.

A *node* is named by its instance id, as its cloud gives it. Its folder under ``nodes/`` is the fleet's ``node_prefix``
followed by that id.
"""

from spotkeeper_ledger.documents.job import Generation, Goodput, Member, Progress
from spotkeeper_ledger.documents.memory import (
    HELD,
    PAUSE_MODES,
    STOPPED,
    Account,
    AnnouncementRecord,
    FailureRecord,
    FleetLedger,
    Members,
    NodeSeen,
    NoticeRecord,
    Pause,
    PlanRecord,
    PriceRecord,
    RestartRecord,
)
from spotkeeper_ledger.documents.notices import (
    DRAIN,
    INTERRUPTION,
    NOTICE_KINDS,
    REBALANCE,
    SCALE_IN,
    NodeNotice,
    NodeReport,
    Signal,
    SignalBoard,
    notice_id,
)
from spotkeeper_ledger.documents.spec import DeadlineSpec, FleetSpec, PolicySpec

__all__ = [
    "DRAIN",
    "HELD",
    "INTERRUPTION",
    "NOTICE_KINDS",
    "PAUSE_MODES",
    "REBALANCE",
    "SCALE_IN",
    "STOPPED",
    "Account",
    "AnnouncementRecord",
    "DeadlineSpec",
    "FailureRecord",
    "FleetLedger",
    "FleetSpec",
    "Generation",
    "Goodput",
    "Member",
    "Members",
    "NodeNotice",
    "NodeReport",
    "NodeSeen",
    "NoticeRecord",
    "Pause",
    "PlanRecord",
    "PolicySpec",
    "PriceRecord",
    "Progress",
    "RestartRecord",
    "Signal",
    "SignalBoard",
    "notice_id",
]
