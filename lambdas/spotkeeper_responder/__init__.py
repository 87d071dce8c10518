"""The responder: hears that nodes go, tells the job in time, and keeps both groups of every fleet at the right size.

:func:`decide` is the whole of its judgement and pure; a :class:`Responder` carries it out over the protocols
:class:`Cloud` and :class:`~spotkeeper_ledger.Board`::

    responder = Responder("my-ledger", board=open_board("s3://my-ledger"), cloud=cloud, time_left=TimeLeft(lambda: 15))
    failed = responder.respond([Heard("message-1", Tick())])

What is particular to a cloud lives in a package of its own: :mod:`spotkeeper_responder.aws`.
"""

from spotkeeper_responder.deadline import Deadline
from spotkeeper_responder.fallback import Answer, FallbackPolicy, Market, Mirror, Never, Patient, Situation, Work
from spotkeeper_responder.model import (
    BACKUP,
    CAPACITY,
    CONFIGURATION,
    QUOTA,
    SPOT,
    Announcement,
    Completion,
    Decision,
    Event,
    Facts,
    FleetView,
    GroupView,
    Heard,
    Instance,
    JobEnded,
    LaunchFailed,
    NodeGone,
    NodeLaunched,
    NoticeHeard,
    NoticeWritten,
    PriceTold,
    State,
    Termination,
    Tick,
)
from spotkeeper_responder.policies import POLICIES, UnknownPolicy, policy_of
from spotkeeper_responder.ports import Cloud, Log, TimeLeft
from spotkeeper_responder.reconcile import decide, settle
from spotkeeper_responder.respond import Responder

__all__ = [
    "BACKUP",
    "CAPACITY",
    "CONFIGURATION",
    "POLICIES",
    "QUOTA",
    "SPOT",
    "Announcement",
    "Answer",
    "Cloud",
    "Completion",
    "Deadline",
    "Decision",
    "Event",
    "Facts",
    "FallbackPolicy",
    "FleetView",
    "GroupView",
    "Heard",
    "Instance",
    "JobEnded",
    "LaunchFailed",
    "Log",
    "Market",
    "Mirror",
    "Never",
    "NodeGone",
    "NodeLaunched",
    "NoticeHeard",
    "NoticeWritten",
    "Patient",
    "PriceTold",
    "Responder",
    "Situation",
    "State",
    "Termination",
    "Tick",
    "TimeLeft",
    "UnknownPolicy",
    "Work",
    "decide",
    "policy_of",
    "settle",
]
