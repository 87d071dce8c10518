import fcntl
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from spotkeeper_ledger import ABSENT, ANY, Unavailable, open_board


def test_equal_bodies_have_different_versions(tmp_path: Path) -> None:
    board = open_board(tmp_path.as_uri())
    assert len({board.write("k", b"same", expect=ANY) for _ in range(20)}) == 20


@pytest.mark.parametrize("key", ["/etc/passwd", "../outside", "a/../../outside"])
def test_no_key_leads_outside(tmp_path: Path, key: str) -> None:
    board = open_board((tmp_path / "in").as_uri())
    with pytest.raises(ValueError, match="key: was"):
        board.write(key, b"", expect=ANY)
    with pytest.raises(ValueError, match="key: was"):
        board.read(key)


def test_a_writer_that_is_killed_leaves_a_whole_object_and_no_lock(tmp_path: Path) -> None:
    program = (
        "import sys; from spotkeeper_ledger import open_board, ANY\n"
        f"board = open_board({tmp_path.as_uri()!r})\n"
        "for n in range(10**9):\n"
        "    board.write('k', bytes([n % 256]) * 100_000, expect=ANY)\n"
        "    n == 0 and print('written', flush=True)\n"
    )
    board = open_board(tmp_path.as_uri())
    for _ in range(5):
        with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) as writer:
            assert writer.stdout is not None
            assert writer.stdout.readline() == b"written\n"
            writer.send_signal(signal.SIGKILL)
        found = board.read("k")
        assert found is not None
        assert found.body == found.body[:1] * 100_000
        board.write("k", b"free", expect=found.version)
    assert [entry.key for entry in board.list("")] == ["k"]


def test_a_writer_that_was_stopped_in_the_middle_does_not_hang_the_others(tmp_path: Path) -> None:
    board = open_board(tmp_path.as_uri(), timeout=0.1)
    version = board.write("k", b"1", expect=ANY)
    with (tmp_path / ".spotkeeper-lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(Unavailable, match="another writer"):
            board.write("k", b"2", expect=version)
        found = board.read("k")
        assert found is not None
        assert found.body == b"1"
    board.write("k", b"2", expect=version)
    assert [path.name for path in tmp_path.iterdir() if "part" in path.name] == []


def test_absent_means_that_nobody_was_before(tmp_path: Path) -> None:
    board = open_board(tmp_path.as_uri())
    board.write("a/b", b"", expect=ABSENT)
    assert board.read("a") is None
    assert board.read("a/b/c") is None
