"""What all parts of Spotkeeper know of each other: the documents, and the board that they lie on.

Standard library only, Python 3.9 or newer: this package travels with the function and with the agent.

    board = open_board("s3://spotkeeper-123456789012-eu-west-1")
    found = board.read(keys.spec("vision-prod-resnet"))
    spec = load(FleetSpec, found.body)
"""

from spotkeeper_ledger import keys
from spotkeeper_ledger.board import (
    ABSENT,
    ANY,
    Board,
    BoardError,
    Conflict,
    Denied,
    Entry,
    Stored,
    Unavailable,
)
from spotkeeper_ledger.codec import MalformedDocument, dump, load
from spotkeeper_ledger.documents import (
    DRAIN,
    HELD,
    INTERRUPTION,
    NOTICE_KINDS,
    PAUSE_MODES,
    REBALANCE,
    SCALE_IN,
    STOPPED,
    AnnouncementRecord,
    FailureRecord,
    FleetLedger,
    FleetSpec,
    Generation,
    Head,
    Manifest,
    Member,
    Members,
    NodeNotice,
    NodeReport,
    NodeSeen,
    NoticeRecord,
    Part,
    Pause,
    PolicySpec,
    Progress,
    Signal,
    SignalBoard,
    notice_id,
)
from spotkeeper_ledger.open import open_board

__all__ = [
    "ABSENT",
    "ANY",
    "DRAIN",
    "HELD",
    "INTERRUPTION",
    "NOTICE_KINDS",
    "PAUSE_MODES",
    "REBALANCE",
    "SCALE_IN",
    "STOPPED",
    "AnnouncementRecord",
    "Board",
    "BoardError",
    "Conflict",
    "Denied",
    "Entry",
    "FailureRecord",
    "FleetLedger",
    "FleetSpec",
    "Generation",
    "Head",
    "MalformedDocument",
    "Manifest",
    "Member",
    "Members",
    "NodeNotice",
    "NodeReport",
    "NodeSeen",
    "NoticeRecord",
    "Part",
    "Pause",
    "PolicySpec",
    "Progress",
    "Signal",
    "SignalBoard",
    "Stored",
    "Unavailable",
    "dump",
    "keys",
    "load",
    "notice_id",
    "open_board",
]
