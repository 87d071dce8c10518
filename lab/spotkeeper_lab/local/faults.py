"""What goes wrong with calls to the local cloud when a scenario says so: refused, unanswered, or a process's last.

The server asks before it does what a call wants, so a call that meets a fault never takes effect, not even later. Fates
are thrown by number: the nth call of a caller to an operation fares the same in every run, whatever others do.

Not done: answers that are lost after the call took effect, answers that are slow but come, connections that break, and
faults of what is no call: instance metadata, and events and messages on their way to the function.
"""

from __future__ import annotations

import itertools
import random
import threading
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Generic, Protocol, TypeVar

from spotkeeper_lab.local.moments import EventLog
from spotkeeper_lab.local.timers import Timers

PRODUCT = frozenset({"responder", "agents"})
"""Callers that meet faults: what is rehearsed, not those who watch and stage it."""
THROTTLED, BROKEN = "throttled", "broken"
"""How a service says no: too many requests, or an internal error."""
_OK = 200
A = TypeVar("A")
"""What a cloud answers a call with."""


@dataclass(frozen=True)
class Call:
    """A request to the cloud."""

    caller: str
    service: str
    """As the cloud calls it, for example ``s3``."""
    operation: str
    path: str
    """Of the URL; of a call about an object it is ``/bucket/key``."""
    body: bytes = b""
    method: str = "GET"


Refuse = Callable[[Call, str], A]
"""Returns how a service refuses a call: :data:`THROTTLED` or :data:`BROKEN`."""


T_co = TypeVar("T_co", covariant=True)


class Fault(Protocol[T_co]):
    """Something that goes wrong while it lasts. Any thread may ask it."""

    kind: str
    over: bool
    """Whether it has ended by itself."""

    def meet(self, call: Call) -> T_co | None:
        """Return what a call is answered instead of being done, ``None`` for one that passes. May take its time."""

    def answered(self, call: Call, status: int) -> None:
        """Learn how a call that passed was answered."""

    def end(self) -> Mapping[str, Any]:
        """Keep no call waiting any more; return what has come of it."""


class CallFaults(Generic[A]):
    """The faults that last at present. Any thread may use it.

    Args:
        refuse: how a call is refused.
        services: whose calls may be throttled.
        events: where the beginning (``fault-began``) and the end (``fault-ended``) of each are written down.
        timers: end them.
    """

    def __init__(self, refuse: Refuse[A], services: Collection[str], events: EventLog, timers: Timers) -> None:
        self._refuse = refuse
        self._services = services
        self._events = events
        self._timers = timers
        self._numbers = itertools.count(1)
        self._lasting: dict[int, Fault[A]] = {}
        self._lock = threading.Lock()

    def throttle(self, share: float, seconds: float) -> None:
        """Refuse a share (0 to 1) of all calls of the product for a while: throttled, or with an internal error."""
        self._begin(_Throttle(share, self._refuse, self._services), seconds, share=share)

    def darken(self, bucket: str, seconds: float) -> None:
        """Let a bucket be away for the product for a while: about half of the calls hang, the others are refused."""
        self._begin(_Darkness(bucket, self._refuse), seconds, bucket=bucket)

    def crash(self, after: Callable[[Call], Collection[str]], kill: Callable[[], None]) -> None:
        """Let the function die between two of its calls, once.

        Args:
            after: returns what a call has settled, as names: the first call that settled any is the last to be done.
            kill: ends the function's process, and returns when it is gone.
        """
        self._begin(_Crash(after, kill, self._refuse), None)

    def meet(self, call: Call) -> A | None:
        """Return what a call is answered instead of being done; ``None`` for one that passes."""
        for number, fault in self._met_by(call):
            answer = fault.meet(call)
            if fault.over:
                self._end(number)
            if answer is not None:
                return answer
        return None

    def answered(self, call: Call, status: int) -> None:
        """Learn how a call that passed was answered."""
        for _, fault in self._met_by(call):
            fault.answered(call, status)

    def close(self) -> None:
        """End all that last, so that no call waits any more."""
        for number, _ in self._now():
            self._end(number)

    def _begin(self, fault: Fault[A], seconds: float | None, **detail: Any) -> None:
        number = next(self._numbers)
        self._events.add("fault-began", fault=number, kind=fault.kind, seconds=seconds, **detail)
        with self._lock:
            self._lasting[number] = fault
        if seconds is not None:
            self._timers.after(seconds, partial(self._end, number))

    def _end(self, number: int) -> None:
        with self._lock:
            fault = self._lasting.pop(number, None)
        if fault is not None:
            self._events.add("fault-ended", fault=number, kind=fault.kind, **fault.end())

    def _met_by(self, call: Call) -> list[tuple[int, Fault[A]]]:
        return self._now() if call.caller in PRODUCT else []

    def _now(self) -> list[tuple[int, Fault[A]]]:
        with self._lock:
            return list(self._lasting.items())


class _Fates:
    """Throws for calls in the order in which a caller makes them to an operation, the same in every run."""

    def __init__(self) -> None:
        self._made: Counter[tuple[str, str]] = Counter()
        self._lock = threading.Lock()

    def throw(self, call: Call) -> tuple[float, float]:
        """Return two numbers from 0 to 1 for the next call of its kind."""
        with self._lock:
            self._made[call.caller, call.operation] += 1
            number = self._made[call.caller, call.operation]
        thrown = random.Random(f"{call.caller} {call.operation} {number}")  # noqa: S311 - fates, not secrets
        return thrown.random(), thrown.random()


class _Tally:
    """How many calls of each caller were met, and how they fared."""

    def __init__(self, *fares: str) -> None:
        self._counts: dict[str, Counter[str]] = {fare: Counter() for fare in fares}
        self._lock = threading.Lock()

    def add(self, call: Call, *fares: str) -> None:
        with self._lock:
            for fare in fares:
                self._counts[fare][call.caller] += 1

    def told(self) -> Mapping[str, Mapping[str, int]]:
        """Return fare to caller to number."""
        with self._lock:
            return {fare: dict(counts) for fare, counts in self._counts.items()}


class _Throttle(Generic[A]):
    """Refuses a share of all calls, half of those as throttled and half with an internal error."""

    kind = "throttle"
    over = False

    def __init__(self, share: float, refuse: Refuse[A], services: Collection[str]) -> None:
        self._refuse = refuse
        self._services = services
        self._share = share
        self._fates = _Fates()
        self._tally = _Tally("calls", "refused")

    def meet(self, call: Call) -> A | None:
        if call.service not in self._services:
            return None
        fate, how = self._fates.throw(call)
        if fate >= self._share:
            self._tally.add(call, "calls")
            return None
        self._tally.add(call, "calls", "refused")
        return self._refuse(call, THROTTLED if how < 0.5 else BROKEN)

    def answered(self, call: Call, status: int) -> None:
        """Nothing is learnt from it."""

    def end(self) -> Mapping[str, Any]:
        return self._tally.told()


class _Darkness(Generic[A]):
    """Keeps about half of the calls to a bucket waiting as long as it lasts; those and all others are refused."""

    kind = "dark"
    over = False

    def __init__(self, bucket: str, refuse: Refuse[A]) -> None:
        self._refuse = refuse
        self._path = f"/{bucket}/"
        self._fates = _Fates()
        self._tally = _Tally("hung", "refused")
        self._light = threading.Event()

    def meet(self, call: Call) -> A | None:
        if not f"{call.path}/".startswith(self._path):
            return None
        fate, _ = self._fates.throw(call)
        if fate < 0.5:
            self._tally.add(call, "hung")
            self._light.wait()
        else:
            self._tally.add(call, "refused")
        return self._refuse(call, THROTTLED)

    def answered(self, call: Call, status: int) -> None:
        """Nothing is learnt from it."""

    def end(self) -> Mapping[str, Any]:
        self._light.set()
        return self._tally.told()


class _Crash(Generic[A]):
    """Kills the function at the first call that it makes after one that has settled something."""

    kind = "crash"

    def __init__(self, after: Callable[[Call], Collection[str]], kill: Callable[[], None], refuse: Refuse[A]) -> None:
        self._refuse = refuse
        self.over = False
        self._after = after
        self._kill = kill
        self._settled: tuple[str, ...] = ()
        self._instead_of = ""
        self._lock = threading.Lock()

    def meet(self, call: Call) -> A | None:
        with self._lock:  # whatever else the same process asks meanwhile waits here until it is gone
            if self.over or not self._settled or call.caller != "responder":
                return None
            self._kill()
            self.over, self._instead_of = True, f"{call.operation} {call.path}"
        return self._refuse(call, BROKEN)  # to nobody

    def answered(self, call: Call, status: int) -> None:
        if call.caller == "responder" and status == _OK and not self._settled:
            self._settled = tuple(self._after(call))

    def end(self) -> Mapping[str, Any]:
        return {"settled": self._settled, "instead_of": self._instead_of} if self.over else {}
