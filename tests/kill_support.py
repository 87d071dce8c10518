"""Kills a process in the middle of a save and looks at what is left: what tests and the benchmark share."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from bucket_support import Bucket
from kill_child import STATE, body
from spotkeeper_training import CheckpointStore

SAVES = 2
"""Saves of a process that nobody kills: the first also clears up after the one before, the second deletes as well."""
BEFORE, SAVED, BROKEN = "the one before", "the one being saved", "BROKEN"
MISSED = "came to its end"
"""A run with fewer boundaries than the one that was recorded: how many checkpoints it deletes depends on those before
it."""


class Victim:
    """A process that saves into one place, generation after generation; a context manager."""

    def __init__(self, uri: str, folder: Path, bucket: Bucket | None = None) -> None:
        self.uri, self.bucket, self.folder = uri, bucket, folder
        self.generation = 0
        self.step = 0
        self.killed = self.inside = 0
        self._state = folder / "state"
        self._state.write_bytes(STATE.pack(0, 0, 0, 0))
        self._process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("kill_child.py"))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(30)

    def boundaries(self) -> list[str]:
        """Return what lies before and after each system call of a whole run of saves."""
        record = self.folder / "record"
        for _ in range(2):  # the second finds checkpoints to delete
            assert self._run({"record": str(record)}) == 0
            self._resume()
        return [str(name) for name in json.loads(record.read_text())]

    def requests(self) -> int:
        """Return how many requests a whole run of saves makes of the bucket."""
        assert self.bucket is not None
        for _ in range(2):
            self.bucket.reset()
            assert self._run({"count": False}) == 0
            asked = len(self.bucket.asked)
            self._resume()
        return asked

    def seconds(self) -> float:
        """Return how long a whole run of saves takes."""
        began = time.monotonic()
        assert self._run({"count": False}) == 0
        took = time.monotonic() - began
        self._resume()
        return took

    def killed_at(self, boundary: int) -> str:
        """Return what is left of a run that is killed at a boundary between system calls, counted from 1."""
        return self._outcome(self._run({"kill_at": boundary}))

    def killed_in_request(self, number: int, *, done: bool) -> str:
        """Return what is left of a run that is killed in a request, before it has its effect or when it is done."""
        assert self.bucket is not None

        def kill(asked: object) -> str:
            if getattr(asked, "number", -1) == number:
                self._kill()
                return "" if done else "cut"
            return ""

        self.bucket.reset()
        if done:
            self.bucket.after = kill
        else:
            self.bucket.rule = kill
        status = self._run({"count": False})
        self.bucket.after, self.bucket.rule = (lambda _: None), (lambda _: "")
        return self._outcome(status)

    def killed_after(self, seconds: float) -> str:
        """Return what is left of a run that is killed some time after its first save has begun."""
        return self._outcome(self._run({"count": False, "after_seconds": seconds, "saves": 1000}))

    def _kill(self) -> None:
        process = STATE.unpack(self._state.read_bytes())[0]
        assert process > 1, "it has not begun, and 0 would be everybody here"
        os.kill(process, signal.SIGKILL)

    def _run(self, order: Mapping[str, Any]) -> int:
        """Let a process save as told; return what it ended with, as :func:`os.waitpid` says it."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self.generation += 1
        self._state.write_bytes(STATE.pack(0, 0, self.step, 0))
        given = {
            "uri": self.uri,
            "state": str(self._state),
            "generation": self.generation,
            "saves": SAVES,
            "step": self.step,
            **order,
        }
        self._process.stdin.write(json.dumps(given) + "\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())

    def _outcome(self, status: int) -> str:
        _, inside, told, _ = STATE.unpack(self._state.read_bytes())
        was_killed = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
        assert was_killed or status == 0, f"status {status}: it failed by itself"
        if was_killed:
            self.killed += 1
            self.inside += inside
        before = max(told, self.step)
        problem = self._resume()
        if problem or self.step not in (before, before + 1):
            return f"{BROKEN}: {problem or f'step {self.step} after {before}'}"
        if not was_killed:
            return MISSED
        return BEFORE if self.step == before else SAVED

    def _resume(self) -> str:
        """Let the next generation load what is there; return what is wrong with it."""
        self.generation += 1
        store = CheckpointStore(self.uri, generation=self.generation)
        try:
            store.begin()
            latest = store.latest()
            if latest is None:
                return "" if not self.step else "nothing is there"
            restored = store.load(latest)
        except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever it is, this resume is broken
            return f"{type(error).__name__}: {error}"
        if restored.checkpoint != latest:
            return f"{latest} was not whole"
        self.step = restored.step
        expected = {name: _joined(each) for name, each in body(self.step).items()}
        return "" if restored.parts == expected else f"the bytes of step {self.step} are others"


def _joined(each: Any) -> bytes:
    return b"".join(each) if isinstance(each, list) else bytes(each)
