from __future__ import annotations

import logging
from pathlib import Path

import pytest

from checkpoint_support import begun
from saver_support import gated
from spotkeeper_training import CheckpointStore, Restored
from spotkeeper_training.saver import Saver
from spotkeeper_training.tier import Tier

PARTS = {"a.bin": bytearray(b"a" * 3000), "b.bin": b"", "c.bin": [memoryview(b"c"), memoryview(b"d")]}
BODIES = {"a.bin": b"a" * 3000, "b.bin": b"", "c.bin": b"cd"}


def place(folder: Path) -> str:
    return f"file://{folder / 'store'}"


def saved(folder: Path, step: int = 1) -> Saver:
    saver = Saver(begun(place(folder)), local_tier=folder / "near")
    saver.save(step, PARTS)
    saver.flush()
    return saver


def restarted(folder: Path, **options: int) -> CheckpointStore:
    store = begun(place(folder), 2)
    Saver(store, local_tier=folder / "near")
    return store


def load(store: CheckpointStore) -> Restored:
    latest = store.latest()
    assert latest is not None
    return store.load(latest)


def far_away(folder: Path) -> None:
    """Damage all that is in the store: only what is near can be loaded now."""
    for part in (folder / "store" / "parts").rglob("*"):
        if part.is_file() and part.stat().st_size:
            part.write_bytes(b"\0" * part.stat().st_size)


def test_a_restart_on_the_same_node_loads_from_its_disk(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    saved(tmp_path)
    far_away(tmp_path)
    with caplog.at_level(logging.INFO):
        found = load(restarted(tmp_path))
    assert {name: bytes(body) for name, body in found.parts.items()} == BODIES
    assert found.step == 1
    assert "loaded from" in caplog.text


def test_what_another_node_has_published_since_is_loaded_instead(tmp_path: Path) -> None:
    saved(tmp_path)
    other = begun(place(tmp_path), 2)
    other.publish(2, {"a.bin": b"newer"})
    assert load(restarted(tmp_path)).parts == {"a.bin": b"newer"}


@pytest.mark.parametrize("damage", ["flipped", "short", "gone", "index"])
def test_a_damaged_copy_is_not_loaded(tmp_path: Path, damage: str) -> None:
    saved(tmp_path)
    (copy,) = (tmp_path / "near" / "r0").iterdir()
    part = copy / ("copy.json" if damage == "index" else "a.bin")
    if damage == "gone":
        part.unlink()
    else:
        part.write_bytes({"flipped": b"b" + b"a" * 2999, "short": b"a" * 2999, "index": b"{"}[damage])
    assert {name: bytes(body) for name, body in load(restarted(tmp_path)).parts.items()} == BODIES


def test_copies_of_another_world_are_of_no_use(tmp_path: Path) -> None:
    near = Tier(tmp_path, 0, 2).write(1, PARTS)
    checkpoint = begun(place(tmp_path)).publish(1, {"x": b""})
    near.published(checkpoint)
    assert Tier(tmp_path, 0, 1).parts(checkpoint.manifest) is None
    assert Tier(tmp_path, 1, 2).parts(checkpoint.manifest) is None
    assert Tier(tmp_path, 0, 2).parts(checkpoint.manifest) is not None


def test_one_copy_stays(tmp_path: Path) -> None:
    saver = saved(tmp_path)
    for step in (2, 3):
        saver.save(step, PARTS)
        saver.flush()
    assert [copy.name.split("-")[0] for copy in (tmp_path / "near" / "r0").iterdir()] == ["s3"]


def test_memory_is_free_for_the_next_save_while_the_upload_goes_on(tmp_path: Path) -> None:
    store, gate = gated(tmp_path / "store")
    saver = Saver(store, local_tier=tmp_path / "near")
    gate.shut()
    first = saver.save(1, {"a.bin": bytearray(b"1" * 1000)})
    second = saver.save(2, {"a.bin": bytearray(b"2" * 1000)})
    assert not first.done
    gate.open.set()
    assert first.result(30).step == 1
    assert second.result(30).step == 2
    assert bytes(load(store).parts["a.bin"]) == b"2" * 1000


def test_a_full_disk_is_no_reason_not_to_save(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "near").write_text("not a folder")
    saved(tmp_path)
    assert "no copy on the local disk" in caplog.text
    assert {name: bytes(body) for name, body in load(begun(place(tmp_path), 2)).parts.items()} == BODIES
