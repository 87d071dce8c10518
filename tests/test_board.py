"""What every board promises, run against each of them: S3 as moto serves it, Cloud Storage as we do, and a folder."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

import boto3
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test
from moto.server import ThreadedMotoServer

from gcs_support import BUCKET, Storage, serving_storage
from spotkeeper_ledger import ABSENT, ANY, Board, Conflict, open_board


@pytest.fixture(scope="module")
def s3_uri() -> Iterator[str]:
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
        patch.setenv("AWS_ACCESS_KEY_ID", "AKIATEST")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
        patch.setenv("AWS_REGION", "us-east-1")
        boto3.client("s3", region_name="us-east-1").create_bucket(Bucket="ledger-of-tests")
        yield "s3://ledger-of-tests"
    server.stop()


@pytest.fixture(scope="module")
def gs_uri() -> Iterator[str]:
    with serving_storage(Storage(page=2)) as url, pytest.MonkeyPatch.context() as patch:
        patch.setenv("STORAGE_EMULATOR_HOST", url)
        yield f"gs://{BUCKET}"


@pytest.fixture(params=["s3", "gs", "folder"])
def new_board(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], Board]:
    def make() -> Board:
        if request.param != "folder":
            return open_board(f"{request.getfixturevalue(f'{request.param}_uri')}/{uuid4().hex}", timeout=20)
        return open_board((tmp_path / uuid4().hex).as_uri())

    return make


@pytest.fixture
def board(new_board: Callable[[], Board]) -> Board:
    return new_board()


def test_absent(board: Board) -> None:
    assert board.read("a/b.json") is None
    gone = board.write("gone", b"", expect=ANY)
    board.delete("gone")
    assert board.read_changed("a/b.json", gone) is None
    assert list(board.list("")) == []
    assert list(board.list_folders("a/")) == []
    board.delete("a/b.json")


def test_write_read_change(board: Board) -> None:
    first = board.write("k", b"1", expect=ABSENT)
    assert board.read_changed("k", first) is None
    second = board.write("k", b"2", expect=first)
    found = board.read_changed("k", first)
    assert found is not None
    assert (found.body, found.version) == (b"2", second)


@pytest.mark.parametrize("stale", [ABSENT, "old"])
def test_a_write_decided_on_another_version_is_lost(board: Board, stale: str | None) -> None:
    old = board.write("k", b"1", expect=ABSENT)
    now = board.write("k", b"22", expect=ANY)
    with pytest.raises(Conflict, match="k"):
        board.write("k", b"333", expect=old if stale else ABSENT)
    found = board.read("k")
    assert found is not None
    assert (found.body, found.version) == (b"22", now)


def test_a_version_of_something_deleted_is_lost(board: Board) -> None:
    version = board.write("k", b"1", expect=ABSENT)
    board.delete("k")
    with pytest.raises(Conflict):
        board.write("k", b"2", expect=version)
    assert board.read("k") is None


def test_keys_of_all_kinds(board: Board) -> None:
    keys = ["fleets/a/nodes/AROA1:i-0abc/report.json", "fleets/a b/é+%.json", "fleets/a/spec.json"]
    versions = {key: board.write(key, key.encode(), expect=ABSENT) for key in keys}
    listed = list(board.list("fleets/a/"))
    assert [entry.key for entry in listed] == [keys[0], keys[2]]
    assert all(entry.version == versions[entry.key] and entry.bytes == len(entry.key) for entry in listed)
    assert set(board.list_folders("fleets/")) == {"a", "a b"}
    assert list(board.list_folders("fleets/a/nodes/")) == ["AROA1:i-0abc"]
    assert [board.read(key).body.decode() for key in keys] == keys  # type: ignore[union-attr]  # each was written above


def test_of_many_writers_at_once_exactly_one_wins_each_round(board: Board) -> None:
    version: str | None = ABSENT
    for turn in range(3):
        won = race(board, [f"{turn}-{n}".encode() for n in range(8)], version)
        found = board.read("k")
        assert found is not None
        assert won == [found.version]
        version = found.version


def race(board: Board, bodies: list[bytes], expect: str | None) -> list[str]:
    """Write all ``bodies`` at once, each by a thread of its own, and return the versions that were won."""
    won: list[str] = []
    gate = threading.Barrier(len(bodies))

    def write(body: bytes) -> None:
        gate.wait(10)
        with suppress(Conflict):
            won.append(board.write("k", body, expect=expect))

    threads = [threading.Thread(target=write, args=(body,)) for body in bodies]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return won


def test_any_sequence_of_calls_is_that_of_a_dictionary(new_board: Callable[[], Board]) -> None:
    names = st.sampled_from(["a", "b/c", "b/d:e"])

    class Calls(RuleBasedStateMachine):
        def __init__(self) -> None:
            super().__init__()
            self.board = new_board()
            self.model: dict[str, tuple[str, bytes]] = {}
            self.old: set[str] = set()

        @rule(key=names, body=st.binary(max_size=9))
        def write(self, key: str, body: bytes) -> None:
            version = self.board.write(key, body, expect=self.model[key][0] if key in self.model else ABSENT)
            self.model[key] = (version, body)

        @rule(key=names)
        def delete(self, key: str) -> None:
            self.board.delete(key)
            self.model.pop(key, None)

        @rule(key=names)
        def read(self, key: str) -> None:
            found = self.board.read(key)
            assert (found and (found.version, found.body)) == self.model.get(key)

        @rule(prefix=st.sampled_from(["", "a", "b/", "b/d"]))
        def list(self, prefix: str) -> None:
            expected = {key: version for key, (version, _) in self.model.items() if key.startswith(prefix)}
            assert {entry.key: entry.version for entry in self.board.list(prefix)} == expected

    checks = [HealthCheck.too_slow, HealthCheck.data_too_large]
    run_state_machine_as_test(
        Calls, settings=settings(max_examples=25, stateful_step_count=15, deadline=None, suppress_health_check=checks)
    )
