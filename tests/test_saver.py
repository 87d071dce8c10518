from __future__ import annotations

import logging
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy
import pytest

from checkpoint_support import begun, head, resumed
from saver_support import Gate, gated, loaded
from spotkeeper_ledger import Unavailable
from spotkeeper_training import StaleGeneration
from spotkeeper_training.pending import Pace
from spotkeeper_training.saver import DoesNotFit, Replaced, Saver
from spotkeeper_training.state import from_parts

SIZE = 100_000


def state(value: float) -> dict[str, Any]:
    return {"model": {"w": numpy.full(SIZE, value)}, "value": value}


def value_in(parts: dict[str, Any]) -> float:
    found = from_parts(parts)
    assert (found["model"]["w"] == found["value"]).all()
    return float(found["value"])


def test_training_goes_on_while_the_upload_waits_and_what_it_changes_is_not_saved(tmp_path: Path) -> None:
    store, gate = gated(tmp_path)
    saver, training = Saver(store, like=state(0)), state(1)
    gate.shut()
    pending = saver.save(10, training)
    training["model"]["w"][:] = 99
    assert gate.reached.wait(30)
    assert not pending.done
    assert saver.busy
    assert store.latest() is None
    gate.open.set()
    assert pending.result(30).step == 10
    assert value_in(loaded(store)) == 1


def test_a_second_save_waits_for_the_memory_of_the_first(tmp_path: Path) -> None:
    store, gate = gated(tmp_path)
    saver = Saver(store, like=state(0))
    gate.shut()
    first = saver.save(1, state(1))
    assert gate.reached.wait(30)
    threading.Timer(0.2, gate.open.set).start()
    second = saver.save(2, state(2))
    assert first.done
    assert [first.result(30).step, second.result(30).step] == [1, 2]
    assert value_in(loaded(store)) == 2


def test_parts_that_need_no_copy_wait_in_line_while_training_goes_on(tmp_path: Path) -> None:
    store, gate = gated(tmp_path)
    saver = Saver(store)
    gate.shut()
    pending = [saver.save(step, {"a.bin": bytes([step])}) for step in (1, 2)]
    assert not any(one.done for one in pending)
    gate.open.set()
    assert [one.result(30).step for one in pending] == [1, 2]


def test_where_asked_for_a_save_that_waits_gives_way_to_a_later_one(tmp_path: Path) -> None:
    store, gate = gated(tmp_path)
    saver = Saver(store, on_busy="replace")
    gate.shut()
    first, second, third = (saver.save(step, {"a.bin": bytes([step])}) for step in (1, 2, 3))
    with pytest.raises(Replaced, match="step 2"):
        second.result(30)
    gate.open.set()
    assert [first.result(30).step, third.result(30).step] == [1, 3]
    assert saver.flush() == third.result()
    assert loaded(store) == {"a.bin": b"\3"}


def test_an_error_behind_comes_up_at_the_next_call_once(tmp_path: Path) -> None:
    store, gate = gated(tmp_path)
    saver = Saver(store)
    gate.failing = True
    failed = saver.save(1, state(1))
    failed.wait(30)
    assert isinstance(failed.error, Unavailable)
    with pytest.raises(Unavailable, match="the bucket is away"):
        saver.save(2, state(2))
    gate.failing = False
    saver.save(3, state(3))
    checkpoint = saver.flush()
    assert checkpoint is not None
    assert checkpoint.step == 3
    gate.failing = True
    saver.save(4, state(4))
    with pytest.raises(Unavailable):
        saver.flush()
    assert saver.flush() is None
    assert value_in(loaded(store)) == 3


def test_a_later_generation_stops_this_process_whatever_it_catches(tmp_path: Path) -> None:
    store, _ = gated(tmp_path)
    saver = Saver(store)
    begun(f"file://{tmp_path}", generation=2)
    saver.save(1, state(1)).wait(30)
    for _ in range(2):
        with pytest.raises(StaleGeneration) as stopped:
            saver.save(2, state(2))
        assert stopped.value.code == 76
    assert head(f"file://{tmp_path}").manifest is None


def test_flush_returns_when_time_is_up_and_says_so(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    store, gate = gated(tmp_path)
    saver = Saver(store)
    assert saver.flush() is None
    gate.shut()
    saver.save(1, state(1))
    assert saver.flush(0.05) is None
    assert "step 1 was not published within 0.1 s" in caplog.text
    gate.open.set()
    assert saver.flush(30) is not None


def test_a_save_that_does_not_fit_is_not_begun_and_both_figures_are_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store, _ = gated(tmp_path)
    saver = Saver(store)
    saver.save(0, state(0), deadline_seconds=0.5).result(30)  # nothing was measured yet: it is tried
    slow = Pace()
    slow.add(8 * SIZE, 20.0)
    saver._publishing = slow
    caplog.clear()
    with pytest.raises(DoesNotFit) as refused:
        saver.save(1, state(1), deadline_seconds=5)
    assert refused.value.left == 5
    assert refused.value.needed == pytest.approx(20, abs=1)
    assert "step 1 is not saved: it would take 20." in caplog.text
    assert "5.0 s are left" in caplog.text
    assert not saver.busy
    assert value_in(loaded(store)) == 0
    assert saver.save(2, state(2), deadline_seconds=60).result(30).step == 2


def test_what_is_under_way_counts_into_the_time_that_is_needed(tmp_path: Path) -> None:
    store, gate = gated(tmp_path)
    saver = Saver(store)
    saver.save(0, state(0)).result(30)
    slow = Pace()
    slow.add(8 * SIZE, 20.0)
    saver._publishing = slow
    gate.shut()
    pending = saver.save(1, state(1))
    assert gate.reached.wait(30)
    assert saver.seconds_needed(8 * SIZE) == pytest.approx(40, abs=3)
    gate.open.set()
    pending.result(30)


def test_a_deadline_ends_the_wait_for_what_is_under_way(tmp_path: Path) -> None:
    store, gate = gated(tmp_path)
    saver = Saver(store)
    gate.shut()
    pending = saver.save(1, state(1))
    began = time.monotonic()
    with pytest.raises(DoesNotFit):
        saver.save(2, state(2), deadline_seconds=0.1)
    assert time.monotonic() - began < 10
    gate.open.set()
    assert pending.result(30).step == 1


def test_pace_is_a_median_and_more_bytes_take_longer() -> None:
    pace = Pace()
    assert pace.seconds(1) is None
    for seconds in (1.0, 100.0, 2.0):
        pace.add(1000, seconds)
    assert pace.seconds(1000) == 2
    assert pace.seconds(10) == 2
    assert pace.seconds(3000) == 6


def test_where_a_copy_does_not_fit_training_waits_and_is_told_why(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store, _ = gated(tmp_path)
    saver = Saver(store, like=state(0), available=lambda: 500_000)
    assert saver.mode == "sync"
    assert "takes 1 MiB, and 0 MiB can be taken: saving with mode='sync'" in caplog.text
    pending = saver.save(1, state(1))
    assert pending.done
    assert value_in(loaded(store)) == 1
    assert saver._staging.size == 0


def test_it_is_found_not_to_fit_at_the_first_save_as_well(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    store, _ = gated(tmp_path)
    saver = Saver(store, available=lambda: 500_000)
    assert saver.save(1, state(1)).done
    assert saver.mode == "sync"
    assert value_in(loaded(store)) == 1


def test_saving_in_line_raises_at_once(tmp_path: Path) -> None:
    store, gate = gated(tmp_path)
    saver = Saver(store, mode="sync")
    gate.failing = True
    with pytest.raises(Unavailable):
        saver.save(1, state(1))
    gate.failing = False
    saver.save(2, state(2))
    assert value_in(loaded(store)) == 2


@pytest.mark.parametrize(("wrong", "words"), [({"mode": "lazy"}, "mode: was 'lazy'"), ({"on_busy": "x"}, "on_busy")])
def test_settings_that_cannot_be_used(tmp_path: Path, wrong: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Saver(begun(f"file://{tmp_path}"), **wrong)


def test_a_program_that_ends_has_its_last_save_published(tmp_path: Path) -> None:
    program = f"""
from spotkeeper_training import CheckpointStore
from spotkeeper_training.saver import Saver
store = CheckpointStore("file://{tmp_path}", generation=1)
store.begin()
Saver(store).save(7, {{"a.bin": bytearray(b"x" * 5_000_000)}})
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)
    found = resumed(f"file://{tmp_path}", 1)
    assert found is not None
    assert found.step == 7


def test_the_core_needs_neither_torch_nor_numpy(tmp_path: Path) -> None:
    program = f"""
import sys, array
from spotkeeper_training import CheckpointStore
from spotkeeper_training.saver import Saver
from spotkeeper_training.state import from_parts
store = CheckpointStore("file://{tmp_path}", generation=1)
store.begin()
saver = Saver(store)
saver.save(1, {{"model": {{"w": memoryview(array.array("d", [1.0] * 1000))}}, "step": 1}})
saver.flush()
found = from_parts(store.load(store.latest()).parts)
assert found["model"]["w"] == array.array("d", [1.0] * 1000).tobytes(), found
assert not {{"torch", "numpy", "safetensors"}} & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)


def test_nothing_is_said_of_a_save_that_went_well(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    store, _ = gated(tmp_path)
    with caplog.at_level(logging.WARNING):
        saver = Saver(store, like=state(0))
        saver.save(1, state(1))
        saver.flush()
        saver.close()
    assert caplog.text == ""


def test_several_ranks_publish_together_behind_training(tmp_path: Path) -> None:
    from spotkeeper_training import CheckpointStore

    stores = [CheckpointStore(f"file://{tmp_path}", generation=1, rank=rank, world_size=2) for rank in (0, 1)]
    for store in stores:
        store.begin()
    savers = [Saver(store) for store in stores]
    pending = [saver.save(5, state(rank)) for rank, saver in enumerate(savers)]
    assert [one.result(60).step for one in pending] == [5, 5]
    latest = stores[0].latest()
    assert latest is not None
    found = stores[0].load(latest, ranks=(0, 1)).shards
    assert [value_in(dict(found[rank])) for rank in (0, 1)] == [0, 1]


def test_the_gate_is_in_the_way(tmp_path: Path) -> None:
    store, gate = gated(tmp_path)
    assert isinstance(store._objects._bulk, Gate)
    assert gate.open.is_set()
