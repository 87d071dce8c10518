from __future__ import annotations

import ctypes
import os
import resource
import threading
from pathlib import Path

import numpy
import pytest
from hypothesis import given
from hypothesis import strategies as some

from spotkeeper_training.copying import copy_spans, share_out, threads_for
from spotkeeper_training.staging import Staging, room_for
from spotkeeper_training.state import from_parts, plan

MIB = 2**20


@given(some.lists(some.integers(0, 50), max_size=8), some.integers(1, 5))
def test_shares_are_even_and_leave_nothing_out(sizes: list[int], shares: int) -> None:
    spans = [(1000 * number, 5000 + 1000 * number, size) for number, size in enumerate(sizes)]
    found = share_out(spans, shares)
    assert len(found) == shares
    copied = [(to + at, source + at) for share in found for to, source, size in share for at in range(size)]
    assert copied == [(to + at, source + at) for to, source, size in spans for at in range(size)]
    loads = [sum(size for _, _, size in share) for share in found]
    assert max(loads) <= -(-sum(sizes) // shares)


def test_few_bytes_are_worth_no_thread() -> None:
    assert threads_for(0) == threads_for(MIB) == 1
    assert threads_for(10**12) == min(8, len(os.sched_getaffinity(0)))


def test_spans_are_copied() -> None:
    source, target = numpy.arange(50 * MIB, dtype="u1"), numpy.zeros(50 * MIB, dtype="u1")
    halves = [(target.ctypes.data + at, source.ctypes.data + at, 25 * MIB) for at in (0, 25 * MIB)]
    copy_spans(halves)
    assert (source == target).all()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_process_that_was_forked_copies_with_threads_of_its_own() -> None:
    source, target = numpy.arange(20 * MIB, dtype="u1"), numpy.zeros(20 * MIB, dtype="u1")
    copy_spans([(target.ctypes.data, source.ctypes.data, len(source))])
    child = os.fork()
    if not child:
        target[:] = 0
        copy_spans([(target.ctypes.data, source.ctypes.data, len(source))])
        os._exit(int(not (source == target).all()))
    assert os.waitpid(child, 0)[1] == 0


def test_what_was_taken_stays_when_the_state_changes() -> None:
    state = {"m": {"w": numpy.arange(1000.0), "t": numpy.ones((30, 40)).T}, "n": 0}
    staging, planned = Staging(), plan(state)
    taken = staging.take(planned)
    state["m"]["w"][:] = -1  # type: ignore[index]
    state["m"]["t"][:] = -1  # type: ignore[index]
    found = from_parts({**taken, **planned.text()})["m"]
    assert (found["w"] == numpy.arange(1000.0)).all()
    assert (found["t"] == 1).all()
    assert taken["m.safetensors"].readonly


def test_the_same_memory_serves_every_save() -> None:
    state = {"m": {"w": numpy.zeros(100_000)}, "n": 0}
    staging = Staging(room_for(plan(state)))
    addresses = {address(staging.take(plan(state))["m.safetensors"]) for _ in range(3)}
    assert len(addresses) == 1


def address(view: memoryview) -> int:
    return numpy.frombuffer(view, dtype="u1").ctypes.data


def faults() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt


def test_memory_is_touched_when_it_is_taken_and_not_by_the_first_copy() -> None:
    state = {"m": {"w": numpy.ones(64 * MIB // 8)}, "n": 0}
    planned = plan(state)
    staging = Staging(room_for(planned))
    before = faults()
    staging.take(planned)
    assert faults() - before < 500  # of 16,384 pages


def resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def test_one_copy_is_all_it_takes_also_when_it_grows() -> None:
    small, large = ({"m": {"w": numpy.ones(size * MIB // 8)}, "n": 0} for size in (64, 128))
    staging = Staging(room_for(plan(small)))
    staging.take(plan(small))
    peaks: list[int] = []
    ended = threading.Event()

    def watch() -> None:
        while not ended.wait(0.0005):
            peaks.append(resident())

    before = resident()
    watcher = threading.Thread(target=watch)
    watcher.start()
    for _ in range(3):
        staging.take(plan(large))
    ended.set()
    watcher.join()
    peaks.append(resident())
    assert max(peaks) - before < 80 * MIB  # 128 less the 64 that were given back first
    assert staging.size < 129 * MIB


def test_bytes_that_nobody_can_change_are_not_copied() -> None:
    assert room_for(plan({"weights.npz": b"w" * MIB})) == 0


def test_a_forked_process_has_none_of_it() -> None:
    staging = Staging(MIB)
    where = address(staging.take(plan({"a.bin": bytearray(b"x" * 100)}))["a.bin"])
    child = os.fork()
    if not child:
        mapped = any(
            int(line.split("-")[0], 16) <= where < int(line.split("-")[1].split()[0], 16)
            for line in Path("/proc/self/maps").read_text().splitlines()
        )
        os._exit(1 if mapped else 0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert ctypes.string_at(where, 1) == b"x"
