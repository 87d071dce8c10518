from __future__ import annotations

import json
import socket
import stat
from pathlib import Path
from typing import Any

import pytest

from spotkeeper_agent.server import SOCKET, NoAgent, Server, ask


def answer(request: dict[str, Any]) -> dict[str, Any]:
    if "bad" in request:
        raise ValueError("bad: was there, expected nothing of the kind")
    return {"echo": request}


@pytest.fixture(params=["short", "long"])
def run_dir(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    folder = tmp_path / ("x" if request.param == "short" else "a-folder-deeper-than-any-socket-address-may-be/" * 5)
    folder.mkdir(parents=True)
    return folder


def test_a_request_is_answered(run_dir: Path) -> None:
    Server(run_dir, answer).start()
    assert ask(run_dir, {"request": "status"}) == {"ok": True, "echo": {"request": "status"}}
    assert ask(run_dir, {"bad": 1}) == {"ok": False, "error": "bad: was there, expected nothing of the kind"}
    assert stat.S_IMODE((run_dir / SOCKET).stat().st_mode) == 0o600


def test_a_socket_that_was_left_behind_is_replaced(tmp_path: Path) -> None:
    Server(tmp_path, answer)
    Server(tmp_path, answer).start()
    assert ask(tmp_path, {})["ok"]


@pytest.mark.parametrize("line", [b"not json\n", b"[1, 2]\n", b"[" * 100_000 + b"\n", b"\n", b'{"open": 1'])
def test_rubbish_is_refused_and_the_next_one_is_served(tmp_path: Path, line: bytes) -> None:
    Server(tmp_path, answer).start()
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        client.connect(str(tmp_path / SOCKET))
        client.sendall(line[: 64 * 1024])
        client.shutdown(socket.SHUT_WR)
        reply = json.loads(client.makefile().readline())
    assert reply["ok"] is False
    assert ask(tmp_path, {"request": "status"})["ok"]


def test_a_client_that_goes_away_harms_nobody(tmp_path: Path) -> None:
    Server(tmp_path, answer).start()
    for _ in range(3):
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
            client.connect(str(tmp_path / SOCKET))
    assert ask(tmp_path, {})["ok"]


def test_nobody_there_is_said_with_the_place(tmp_path: Path) -> None:
    with pytest.raises(NoAgent, match=r"agent\.sock"):
        ask(tmp_path, {})
    with pytest.raises(NoAgent, match="nowhere"):
        ask(tmp_path / "nowhere", {})
    Server(tmp_path, answer)._socket.close()
    with pytest.raises(NoAgent, match="refused"):
        ask(tmp_path, {})
