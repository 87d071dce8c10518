"""Handlers that go one call at a time, and what can become of each call."""

from __future__ import annotations

import enum
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor, Future
from queue import SimpleQueue
from typing import Any, TypeVar

Answer = TypeVar("Answer")


class Fate(enum.Enum):
    """What becomes of a call, and of the handler that makes it."""

    DONE = "done"
    FAILED = "failed before it took effect"
    UNANSWERED = "took effect, and the answer was lost"
    LATE = "no answer, and takes effect later"
    BEATEN = "a conflict, though nobody else has written"
    DEAD_BEFORE = "its handler died before it took effect"
    DEAD_AFTER = "its handler died after it took effect"


class Killed(BaseException):
    """The process of a handler is gone; nothing in it may catch this."""


class Known(Future[Any]):
    """An answer that is there already; without the locks of one that is waited for, which cost more than it does."""

    def __init__(self, answer: Any, error: BaseException | None) -> None:
        self._known = answer, error

    def result(self, timeout: float | None = None) -> Any:
        answer, error = self._known
        if error is not None:
            raise error
        return answer


class Inline(Executor):
    """Makes a call where it is asked for: two handlers have a worker each, and which is which matters to nobody."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        try:
            return Known(fn(*args, **kwargs), None)
        except BaseException as error:  # noqa: BLE001 - it is raised where the answer is waited for
            return Known(None, error)


class Gate:
    """Through which every call of one handler goes.

    Args:
        afterwards: takes what is to happen later.
        next_fate: returns what becomes of a call; may take as long as it likes.
    """

    def __init__(
        self,
        afterwards: Callable[[Callable[[], object]], None] = lambda _: None,
        next_fate: Callable[[], Fate] = lambda: Fate.DONE,
    ) -> None:
        self.asked: list[str] = []
        """What was asked for so far, in order."""
        self.coming = ""
        """What is to be asked for next, or was last."""
        self._afterwards = afterwards
        self._next_fate = next_fate

    def call(self, what: str, effect: Callable[[], Answer], failure: Exception, beaten: Exception) -> Answer:
        """Make a call of what ``effect`` does, and let it meet its fate."""
        self.coming = what
        fate = self._next_fate()
        self.asked.append(what)
        match fate:
            case Fate.DONE:
                return effect()
            case Fate.DEAD_BEFORE:
                raise Killed
            case Fate.FAILED:
                raise failure
            case Fate.BEATEN:
                raise beaten
            case Fate.LATE:
                self._afterwards(effect)
                raise failure
        _whatever_comes_of(effect)
        raise Killed if fate is Fate.DEAD_AFTER else failure


class Worker:
    """A thread that does one thing after the other: tens of thousands of handlers need not start one each."""

    def __init__(self) -> None:
        self.work: SimpleQueue[Callable[[], None]] = SimpleQueue()
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        while True:
            self.work.get()()
            _idle.append(self)


_idle: list[Worker] = []


class Handler:
    """One handler at work on one batch, in a thread that goes only as far as it is told.

    Args:
        work: the whole of it; its calls go through the gate that it is given.
        afterwards: takes effects that come late.
    """

    def __init__(self, work: Callable[[Gate], set[str]], afterwards: Callable[[Callable[[], object]], None]) -> None:
        self.gate = Gate(afterwards, self._next)
        self.ended = False
        self.failed: set[str] | None = None
        """The messages that have to come again; ``None`` while it works, and for one that has died."""
        self.error: BaseException | None = None
        """What it has raised, other than by dying."""
        self._work = work
        self._fates: deque[Fate] = deque()
        self._rest: Fate | None = None
        self._orders: SimpleQueue[None] = SimpleQueue()
        self._stops: SimpleQueue[None] = SimpleQueue()
        (_idle.pop() if _idle else Worker()).work.put(self._run)
        self._stops.get()

    def go(self, calls: int, fate: Fate = Fate.DONE) -> None:
        """Let it make ``calls`` calls, and one more if that is to meet another fate than to be done."""
        self._fates += [Fate.DONE] * calls + ([] if fate is Fate.DONE else [fate])
        if self._fates and not self.ended:
            self._orders.put(None)
            self._stops.get()

    def finish(self, fate: Fate = Fate.DONE) -> None:
        """Let all further calls meet ``fate``."""
        self._rest = fate
        if not self.ended:
            self._orders.put(None)
            self._stops.get()

    def _next(self) -> Fate:
        if not self._fates and self._rest is None:
            self._stops.put(None)
            self._orders.get()
        return self._fates.popleft() if self._fates else self._rest or Fate.DONE

    def _run(self) -> None:
        try:
            self.failed = self._work(self.gate)
        except Killed:
            pass
        except BaseException as error:  # noqa: BLE001 - it is raised by who looks after the handler
            self.error = error
        self.ended = True
        self._stops.put(None)


def _whatever_comes_of(effect: Callable[[], object]) -> None:
    try:
        effect()
    except Exception:  # noqa: BLE001 - there is nobody to be told
        return
