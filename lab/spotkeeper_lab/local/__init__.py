"""What all local clouds do alike: what is due later, what has happened, who calls what, and processes for machines."""

from spotkeeper_lab.local.calls import UNKNOWN, CallCounter
from spotkeeper_lab.local.moments import EventLog, Moment
from spotkeeper_lab.local.timers import Timer, Timers

__all__ = ["UNKNOWN", "CallCounter", "EventLog", "Moment", "Timer", "Timers"]
