import json
import socket
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from datetime import datetime

import pytest

from spotkeeper_lab.local_aws.calls import signer
from spotkeeper_lab.local_aws.metadata import Metadata, MetadataServer
from spotkeeper_ledger.imds import InstanceMetadata

FACTS = {"instance-id": "i-1", "placement/region": "us-east-1", "placement/availability-zone": "us-east-1a"}


@pytest.fixture
def server() -> Iterator[MetadataServer]:
    made = MetadataServer("127.0.0.9", Metadata(FACTS, role="node-role"))
    yield made
    made.close()


@pytest.fixture
def agent(server: MetadataServer) -> InstanceMetadata:
    return InstanceMetadata(server.endpoint, timeout=20)


def ask(server: MetadataServer, method: str, path: str, **headers: str) -> tuple[int, str]:
    sent = {f"X-aws-ec2-metadata-{name.replace('_', '-')}": value for name, value in headers.items()}
    request = urllib.request.Request(server.endpoint + path, method=method, headers=sent)
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        error.close()
        return error.code, ""


def test_an_agent_reads_items_and_folders(agent: InstanceMetadata) -> None:
    assert agent.get("instance-id") == "i-1"
    assert agent.get("placement/") == "region\navailability-zone"
    assert agent.get("placement/nothing") is None
    assert str(agent.get("")).split() == ["instance-id", "placement/", "autoscaling/", "iam/"]


@pytest.mark.parametrize("path", ["/latest/meta-data/instance-id", "/latest/meta-data/nothing", "/else"])
def test_without_a_token_nothing_is_told(server: MetadataServer, path: str) -> None:
    assert ask(server, "GET", path) == (401, "")
    assert ask(server, "GET", path, token="made-up") == (401, "")


def test_a_token_holds_for_as_long_as_it_was_asked_for(server: MetadataServer) -> None:
    assert not server.valid(server.token(0))
    status, token = ask(server, "PUT", "/latest/api/token", token_ttl_seconds="60")
    assert status == 200
    assert ask(server, "GET", "/latest/meta-data/instance-id", token=token) == (200, "i-1")
    assert ask(server, "GET", "/latest/nothing", token=token) == (404, "")


@pytest.mark.parametrize("seconds", ["", "0", "21601", "x"])
def test_a_token_of_a_wrong_age_is_refused(server: MetadataServer, seconds: str) -> None:
    assert ask(server, "PUT", "/latest/api/token", token_ttl_seconds=seconds) == (400, "")


def test_notices_are_there_from_when_they_are_given(server: MetadataServer, agent: InstanceMetadata) -> None:
    paths = ("spot/instance-action", "spot/termination-time", "events/recommendations/rebalance")
    assert [agent.get(path) for path in paths] == [None, None, None]
    server.metadata.change(reclaim_at=1_700_000_000.5, rebalance_at=1_700_000_000.0, target_state="Terminated")
    assert json.loads(str(agent.get(paths[0]))) == {"action": "terminate", "time": "2023-11-14T22:13:20Z"}
    assert agent.get(paths[1]) == "2023-11-14T22:13:20Z"
    assert json.loads(str(agent.get(paths[2]))) == {"noticeTime": "2023-11-14T22:13:20Z"}
    assert agent.get("autoscaling/target-lifecycle-state") == "Terminated"


def test_the_roles_keys_are_those_of_agents_and_hold_for_a_while(agent: InstanceMetadata) -> None:
    assert agent.get("iam/security-credentials/") == "node-role"
    keys = json.loads(str(agent.get("iam/security-credentials/node-role")))
    header = f"Credential={keys['AccessKeyId']}/20240101/us-east-1/s3/aws4_request"
    assert signer(header) == ("agents", "s3")
    assert keys["AccessKeyId"].startswith("ASIA")
    assert keys["Token"]
    expires, updated = (datetime.fromisoformat(keys[name]) for name in ("Expiration", "LastUpdated"))
    assert (expires - updated).total_seconds() == 6 * 3600


def test_an_instance_without_a_role_has_no_keys() -> None:
    assert Metadata(FACTS).get("iam/security-credentials/") is None


def test_closing_ends_connections_that_are_kept() -> None:
    before = set(threading.enumerate())
    server = MetadataServer("127.0.0.10", Metadata(FACTS))
    with socket.create_connection(("127.0.0.10", int(server.endpoint.rpartition(":")[2]))) as kept:
        kept.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert kept.recv(1000).startswith(b"HTTP/1.1 401")
        server.close()
        assert kept.recv(1000) == b""
    assert set(threading.enumerate()) == before
