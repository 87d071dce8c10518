"""Checkpoints on a local disk and on S3 as moto serves it: whole or invisible, and fenced."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

import boto3
import pytest
from moto.server import ThreadedMotoServer

from agent_support import FaultyBoard
from checkpoint_support import PARTS, begun, head, parts_of, put_behind, resumed
from spotkeeper_ledger import open_board
from spotkeeper_training import Checkpoint, CheckpointStore, StaleGeneration


@pytest.fixture(scope="module")
def bucket() -> Iterator[str]:
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
        patch.setenv("AWS_ACCESS_KEY_ID", "AKIATEST")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
        patch.setenv("AWS_REGION", "us-east-1")
        boto3.client("s3", region_name="us-east-1").create_bucket(Bucket="checkpoints-of-tests")
        yield "s3://checkpoints-of-tests"
    server.stop()


@pytest.fixture(params=["folder", "s3"])
def uri(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "folder":
        return (tmp_path / "checkpoints").as_uri()
    return f"{request.getfixturevalue('bucket')}/{uuid4().hex}"


@pytest.fixture
def folder(tmp_path: Path) -> str:
    return (tmp_path / "checkpoints").as_uri()


def test_what_was_published_is_loaded_by_the_next_generation(uri: str) -> None:
    assert resumed(uri, 1) is None
    published = begun(uri, 1).publish(40, PARTS)
    assert published == Checkpoint(40, 1, published.manifest)
    restored = resumed(uri, 2)
    assert restored is not None
    assert restored.parts == PARTS
    assert (restored.step, restored.checkpoint) == (40, published)
    assert head(uri).generation == 2
    assert head(uri).step == 40


def test_parts_go_first_then_the_manifest_then_the_head(folder: str) -> None:
    written: list[str] = []

    class Recording(FaultyBoard):
        def write(self, key, body, *, expect):  # type: ignore[no-untyped-def]
            written.append(key)
            return super().write(key, body, expect=expect)

    store = begun(folder)
    board = Recording(open_board(folder))
    put_behind(store, board)
    published = store.publish(1, PARTS)
    assert written == [*parts_of(folder, published), published.manifest, "head.json"]


def test_parts_are_never_overwritten(uri: str) -> None:
    store = begun(uri)
    first, second = store.publish(7, PARTS), store.publish(7, {"weights.npz": b"other"})
    assert first.manifest != second.manifest
    assert not set(parts_of(uri, first)) & set(parts_of(uri, second))
    assert store.load(first).parts == PARTS


def test_an_older_generation_can_neither_publish_nor_begin(uri: str) -> None:
    old = begun(uri, 1)
    old.publish(10, PARTS)
    new = begun(uri, 2)
    with pytest.raises(StaleGeneration) as refused:
        old.publish(20, PARTS)
    assert refused.value.code == 76
    assert str(refused.value) == "generation 1: generation 2 runs the job by now, nothing was published"
    with pytest.raises(StaleGeneration):
        begun(uri, 1)
    assert head(uri).step == 10
    new.publish(15, PARTS)
    with pytest.raises(StaleGeneration):
        old.publish(30, PARTS)
    assert (head(uri).step, head(uri).generation) == (15, 2)


def test_a_stale_process_ends_with_76_whatever_its_loop_catches(folder: str) -> None:
    begun(folder, 2)
    program = f"""
from spotkeeper_training import CheckpointStore
while True:
    try:
        CheckpointStore({folder!r}, generation=1).begin()
    except Exception:
        pass
"""
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=30, check=False)
    assert ended.returncode == 76
    assert "generation 2 runs the job by now" in ended.stderr


def test_a_job_that_is_started_again_in_its_generation_goes_on(uri: str) -> None:
    begun(uri, 3).publish(10, PARTS)
    again = begun(uri, 3)
    again.publish(20, PARTS)
    assert head(uri).step == 20


@pytest.mark.parametrize(("keep", "left"), [(2, 2), (4, 4)])
def test_old_checkpoints_are_deleted_with_their_parts(uri: str, keep: int, left: int) -> None:
    store = begun(uri, keep=keep)
    published = [store.publish(step, PARTS) for step in range(1, 7)]
    board = open_board(uri)
    manifests = [entry.key for entry in board.list("manifests/")]
    assert sorted(manifests) == sorted(checkpoint.manifest for checkpoint in published[-left:])
    assert len(list(board.list("parts/"))) == left * len(PARTS)
    assert store.load(published[-1]).parts == PARTS


def test_a_store_that_cannot_delete_publishes_all_the_same(folder: str, caplog: pytest.LogCaptureFixture) -> None:
    class Undeletable(FaultyBoard):
        def delete(self, key: str) -> None:
            self.away = True
            super().delete(key)

    store = begun(folder)
    board = Undeletable(open_board(folder))
    put_behind(store, board)
    for step in (1, 2, 3):
        store.publish(step, PARTS)
        board.away = False
    assert head(folder).step == 3
    assert "were not deleted" in caplog.text


def test_a_head_whose_answer_was_lost_is_not_taken_for_another_writer(folder: str) -> None:
    store = begun(folder)
    board = FaultyBoard(open_board(folder))
    store._fence._board = board
    board.answers_are_lost = True
    with pytest.raises(Exception, match="the answer was lost"):
        store.publish(10, PARTS)
    board.answers_are_lost = False
    store.publish(11, PARTS)
    assert head(folder).step == 11
    restored = resumed(folder, 2)
    assert restored is not None
    assert restored.step == 11


def test_a_start_waits_for_a_store_that_is_away(folder: str, caplog: pytest.LogCaptureFixture) -> None:
    begun(folder).publish(10, PARTS)
    store = CheckpointStore(folder, generation=2)
    board = FaultyBoard(open_board(folder))
    put_behind(store, board)
    board.away = True
    threading.Timer(0.2, lambda: setattr(board, "away", False)).start()
    store.begin()
    assert head(folder).generation == 2
    assert "asking again" in caplog.text


def test_of_writers_at_once_the_latest_generation_stands(uri: str) -> None:
    generations = [1, 2, 3, 4]

    def work(generation: int) -> None:
        with suppress(SystemExit):
            store = begun(uri, generation)
            for step in range(1, 6):
                store.publish(100 * generation + step, {"who": f"{generation}:{step}".encode()})

    threads = [threading.Thread(target=work, args=(generation,)) for generation in generations]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (head(uri).generation, head(uri).step) == (4, 405)
    restored = resumed(uri, 5)
    assert restored is not None
    assert restored.parts == {"who": b"4:5"}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"uri": ""}, "uri: was empty, expected s3://"),
        ({"uri": "gopher://x"}, "uri: was 'gopher://x'"),
        ({"keep": 1}, "keep: was 1, expected at least 2"),
    ],
)
def test_settings_that_cannot_be_used_are_named(
    changes: dict[str, object], said: str, folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SPOTKEEPER_CHECKPOINT_URI", raising=False)
    with pytest.raises(ValueError, match="was") as refused:
        CheckpointStore(**{"uri": folder, **changes})  # type: ignore[arg-type]
    assert said in str(refused.value)


@pytest.mark.parametrize(
    ("step", "parts", "said"),
    [
        (-1, PARTS, "step: was -1"),
        (1, {}, "parts: was empty"),
        (1, {"../weights": b""}, "parts: was '../weights'"),
        (1, {"a/b": b""}, "parts: was 'a/b'"),
        (1, {".hidden": b""}, "parts: was '.hidden'"),
    ],
)
def test_what_is_no_checkpoint_is_refused(folder: str, step: int, parts: dict[str, bytes], said: str) -> None:
    store = begun(folder)
    with pytest.raises(ValueError, match="was") as refused:
        store.publish(step, parts)
    assert said in str(refused.value)
    assert store.latest() is None


def test_publishing_without_the_fence_is_a_mistake(folder: str) -> None:
    with pytest.raises(RuntimeError, match="begin"):
        CheckpointStore(folder).publish(1, PARTS)


def test_uri_and_generation_come_from_the_agent(folder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPOTKEEPER_CHECKPOINT_URI", folder)
    monkeypatch.setenv("SPOTKEEPER_GENERATION", "9")
    CheckpointStore().begin()
    assert head(folder).generation == 9
    del os.environ["SPOTKEEPER_GENERATION"]
    assert CheckpointStore().generation == 0
