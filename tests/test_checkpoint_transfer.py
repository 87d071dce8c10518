"""Saving to and loading from places that fail: connections that are cut, buckets that refuse or wait, full disks."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from bucket_support import CUT, CUT_AFTER, DENY, HALF, REFUSE, Asked, Bucket, a_bucket
from checkpoint_support import begun, head
from spotkeeper_ledger import BoardError, Denied, Unavailable
from spotkeeper_training import CheckpointStore, Restored

BODY = bytes(range(256)) * 6000
"""1.5 MB: moved by several threads."""


@pytest.fixture
def bucket() -> Iterator[Bucket]:
    with a_bucket() as served:
        yield served


def opened(uri: str, generation: int = 1, seconds: float = 5.0) -> CheckpointStore:
    store = CheckpointStore(uri, generation=generation, transfer_seconds=seconds)
    store._objects._piece_bytes = 400_000
    return store


def ready(uri: str, generation: int = 1, seconds: float = 5.0) -> CheckpointStore:
    store = opened(uri, generation, seconds)
    store.begin()
    return store


def parts(step: int) -> dict[str, bytes]:
    return {"weights": BODY + str(step).encode(), "position": str(step).encode()}


def resumed(uri: str, generation: int) -> Restored:
    store = ready(uri, generation)
    latest = store.latest()
    assert latest is not None
    restored = store.load(latest)
    assert restored.checkpoint == latest, "it was not whole"
    assert restored.parts == parts(restored.step)
    return restored


@pytest.mark.parametrize("fate", [CUT, CUT_AFTER, HALF])
def test_a_connection_cut_at_any_request_of_a_save(bucket: Bucket, fate: str) -> None:
    store = ready(bucket.uri)
    for step in (1, 2, 3):
        bucket.reset()
        store.publish(step, parts(step))
    requests = len(bucket.asked)
    assert requests >= 15, "the third deletes the first"
    for step, number in enumerate(range(requests), start=4):
        bucket.reset(lambda asked, number=number: fate if asked.number == number else "")  # type: ignore[misc]
        store.publish(step, parts(step))  # asked again, at once
    bucket.reset()
    assert resumed(bucket.uri, 2).step == step


def test_a_bucket_that_hangs_up_from_some_request_on(bucket: Bucket) -> None:
    store = ready(bucket.uri)
    store.publish(1, parts(1))
    told = 1
    for step, number in enumerate(range(12), start=2):
        bucket.reset(lambda asked, number=number: CUT_AFTER if asked.number >= number else "")  # type: ignore[misc]
        try:
            store.publish(step, parts(step), deadline_seconds=0.3)
            told = step
        except BoardError:
            pass
        bucket.reset()
        found = resumed(bucket.uri, 1).step
        assert found in (told, step)
        told = found
    store.publish(100, parts(100))
    assert resumed(bucket.uri, 2).step == 100


@pytest.mark.parametrize("fate", [CUT, HALF])
def test_a_connection_cut_at_any_request_of_a_load(bucket: Bucket, fate: str) -> None:
    ready(bucket.uri).publish(1, parts(1))
    bucket.reset()
    resumed(bucket.uri, 2)
    for number in range(len(bucket.asked)):
        bucket.reset(lambda asked, number=number: fate if asked.number == number else "")  # type: ignore[misc]
        assert resumed(bucket.uri, 3 + number).step == 1


def test_a_bucket_that_refuses_for_a_while_is_asked_again(bucket: Bucket) -> None:
    store = ready(bucket.uri)
    bucket.reset(lambda asked: REFUSE if asked.number < 6 else "")
    store.publish(1, parts(1))
    assert resumed(bucket.uri, 2).step == 1


def test_a_bucket_that_refuses_for_good(bucket: Bucket) -> None:
    store = ready(bucket.uri)
    store.publish(1, parts(1))
    bucket.reset(lambda _: REFUSE)
    began = time.monotonic()
    with pytest.raises(Unavailable, match="503"):
        store.publish(2, parts(2), deadline_seconds=0.5)
    assert time.monotonic() - began < 3
    bucket.reset(lambda _: DENY)
    with pytest.raises(Denied):
        store.publish(2, parts(2))
    bucket.reset()
    assert resumed(bucket.uri, 1).step == 1
    store.publish(2, parts(2))


@pytest.mark.parametrize("waits_for", ["parts/", "manifests/"])
def test_a_bucket_that_does_not_answer_is_not_waited_for_beyond_the_deadline(bucket: Bucket, waits_for: str) -> None:
    store = ready(bucket.uri)
    store.publish(1, parts(1))
    done = threading.Event()

    def wait(asked: Asked) -> str:
        if asked.method == "PUT" and waits_for in asked.key:
            done.wait(20)
        return ""

    bucket.reset(wait)
    began = time.monotonic()
    with pytest.raises(Unavailable):
        store.publish(2, parts(2), deadline_seconds=0.5)
    assert time.monotonic() - began < 3
    done.set()
    bucket.reset()
    assert resumed(bucket.uri, 1).step == 1


def test_of_a_missing_object_and_a_right_that_is_missing(bucket: Bucket) -> None:
    store = ready(bucket.uri)
    published = store.publish(1, parts(1))
    bucket.reset(lambda asked: DENY if "parts/" in asked.key and asked.method == "GET" else "")
    with pytest.raises(Denied):
        store.load(published)


PUBLISHER = """
import resource, signal, sys
from spotkeeper_ledger import Unavailable
from spotkeeper_training import CheckpointStore
store = CheckpointStore(sys.argv[1], generation=1)
store.begin()
store.publish(1, {"weights": b"w" * 100_000})
resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, resource.RLIM_INFINITY))
try:
    store.publish(2, {"weights": b"v" * 100_000})
except Unavailable as error:
    print("refused:", error)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
store.publish(3, {"weights": b"x" * 100_000})
"""


def test_a_disk_that_takes_no_more(tmp_path: Path) -> None:
    uri = (tmp_path / "checkpoints").as_uri()
    ended = subprocess.run(
        [sys.executable, "-c", PUBLISHER, uri], capture_output=True, text=True, timeout=60, check=False
    )
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.startswith("refused: parts/g1-s2-")
    assert head(uri).step == 3
    left = [path.name for path in (tmp_path / "checkpoints" / "parts").iterdir() if "-s2-" in path.name]
    assert not any((tmp_path / "checkpoints" / "parts" / name / "weights").exists() for name in left)


def test_a_full_disk(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(disk)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("a file system of one megabyte may not be mounted here")
    try:
        store = begun(disk.as_uri())
        published = store.publish(1, {"weights": b"w" * 400_000})
        with pytest.raises(Unavailable, match="No space left"):
            store.publish(2, {"weights": b"v" * 700_000})
        assert store.load(published).parts == {"weights": b"w" * 400_000}
        store.publish(3, {"weights": b"x" * 400_000})
        assert head(disk.as_uri()).step == 3
    finally:
        subprocess.run(["umount", str(disk)], check=True)


ZOMBIE = """
import os, signal, sys
from spotkeeper_training import CheckpointStore
store = CheckpointStore(sys.argv[1], generation=1)
store.begin()
store.publish(1, {"weights": b"1" * 1000})
written = store._objects.write_manifest if sys.argv[2] == "parts" else store._fence.advance

def stopped(*given, **options):
    print("inside", flush=True)
    os.kill(os.getpid(), signal.SIGSTOP)
    return written(*given, **options)

if sys.argv[2] == "parts":
    store._objects.write_manifest = stopped
else:
    store._fence.advance = stopped
while True:
    try:
        store.publish(2, {"weights": b"2" * 1000})
    except Exception:
        pass
"""


@pytest.mark.parametrize("after", ["parts", "manifest"])
def test_a_process_stopped_in_a_save_is_refused_two_generations_later(tmp_path: Path, after: str) -> None:
    uri = (tmp_path / "checkpoints").as_uri()
    with subprocess.Popen(
        [sys.executable, "-c", ZOMBIE, uri, after], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as zombie:
        assert zombie.stdout is not None
        assert zombie.stderr is not None
        assert zombie.stdout.readline() == "inside\n"
        for generation in (2, 3):
            store = begun(uri, generation)
            latest = store.latest()
            assert latest is not None
            store.load(latest)
            published = store.publish(10 * generation, {"weights": str(generation).encode() * 1000})
        zombie.send_signal(signal.SIGCONT)
        said = zombie.stderr.read()
        assert zombie.wait(30) == 76
    assert "generation 1: generation 3 runs the job by now, nothing was published" in said
    assert (head(uri).generation, head(uri).step, head(uri).manifest) == (3, 30, published.manifest)
    restored = begun(uri, 4).load(published)
    assert (restored.checkpoint, restored.parts) == (published, {"weights": b"3" * 1000})
