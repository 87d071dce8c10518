import http.client
import json
import socket
import threading
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from local_gcp_support import GROUPS, TEMPLATES, group, template
from spotkeeper_lab.local_gcp import LocalGcp, Timing
from spotkeeper_lab.local_gcp.server import Server
from spotkeeper_lab.local_gcp.web import Reply, Request

QUICK = Timing(
    boot_seconds=0.01, shutdown_seconds=0.01, status_lag_seconds=0, repair_delay_seconds=0, operation_seconds=0.01
)


class Client:
    """One connection, which is kept."""

    def __init__(self, endpoint: str) -> None:
        self.connection = http.client.HTTPConnection(urlsplit(endpoint).netloc, timeout=60)

    def ask(self, verb: str, path: str, body: Any = None, **headers: str) -> tuple[int, Any]:
        content = None if body is None else json.dumps(body).encode()
        self.connection.request(verb, path, content, headers)
        answer = self.connection.getresponse()
        return answer.status, json.loads(answer.read())

    def done(self, verb: str, path: str, body: Any = None) -> Any:
        """A change, and the operation that it has become."""
        status, operation = self.ask(verb, path, body)
        assert status == 200, operation
        where = operation["selfLink"].removeprefix("https://www.googleapis.com")
        return self.ask("POST", f"{where}/wait")[1]


def test_connections_are_kept_and_changes_waited_for(tmp_path: Path) -> None:
    with LocalGcp(tmp_path, QUICK) as cloud:
        client = Client(cloud.endpoint)
        client.connection.connect()
        mine = client.connection.sock.getsockname()
        assert client.done("POST", TEMPLATES, template())["status"] == "DONE"
        assert client.done("POST", GROUPS, group(size=1))["status"] == "DONE"
        status, refused = client.ask("GET", f"{GROUPS}/nobody", Authorization="Bearer token-of-responder")
        assert (status, refused["error"]["errors"][0]["reason"]) == (404, "notFound")
        assert client.ask("GET", f"{GROUPS}/fleet")[1]["targetSize"] == 1
        assert client.connection.sock.getsockname() == mine
        counted = cloud.calls.snapshot()
        assert counted["responder"] == {"compute.regionInstanceGroupManagers.get": 1}
        assert counted["unknown"]["compute.regionOperations.wait"] == 2
        assert not [moment for moment in cloud.events.moments() if moment.what == "local-cloud-failed"]


def test_others_are_answered_while_one_waits_and_closing_lets_it_go(tmp_path: Path) -> None:
    cloud = LocalGcp(tmp_path, Timing(operation_seconds=3600, wait_seconds=3600))
    answers: list[Any] = []
    _, operation = Client(cloud.endpoint).ask("POST", TEMPLATES, template())
    where = operation["selfLink"].removeprefix("https://www.googleapis.com")
    waiting = threading.Thread(target=lambda: answers.append(Client(cloud.endpoint).ask("POST", f"{where}/wait")))
    waiting.start()
    other = Client(cloud.endpoint)
    while "compute.regionOperations.wait" not in cloud.calls.snapshot()["unknown"]:
        other.ask("GET", where)
    assert other.ask("GET", where)[1]["status"] == "PENDING"
    cloud.close()
    waiting.join(60)
    ((status, answer),) = answers
    assert (status, answer["status"]) == (200, "PENDING")
    with pytest.raises((http.client.HTTPException, OSError)):
        other.ask("GET", where)


def test_waiting_ends_after_the_longest_wait_with_the_operation_as_it_is(tmp_path: Path) -> None:
    with LocalGcp(tmp_path, Timing(operation_seconds=3600, wait_seconds=0.01)) as cloud:
        assert Client(cloud.endpoint).done("POST", TEMPLATES, template())["status"] == "PENDING"


def test_what_fails_is_told_and_answered() -> None:
    told: list[str] = []

    def lose(_: Request) -> Reply:
        raise RuntimeError("lost")

    server = Server(lose, told.append)
    try:
        status, answer = Client(server.endpoint).ask("GET", "/")
        assert (status, "lost" in answer["error"]["message"]) == (500, True)
        assert "RuntimeError: lost" in told[0]
    finally:
        server.close()


def test_it_is_reached_from_this_machine_only(tmp_path: Path) -> None:
    with LocalGcp(tmp_path, QUICK) as cloud:
        host, port = urlsplit(cloud.endpoint).hostname, urlsplit(cloud.endpoint).port
        assert host == "127.0.0.1"
        with pytest.raises(OSError):
            socket.create_connection(("127.0.0.2", int(port or 0)), timeout=5)
