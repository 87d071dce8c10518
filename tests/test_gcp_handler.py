"""The function as it is deployed: its archive, run by Google's own framework, between a local cloud and a bucket."""

from __future__ import annotations

import base64
import http.client
import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from agent_support import wait_until
from gcp_account import FAST, FLEET, REGION, Account, fleet
from gcp_support import GcpMetadata, serving_gcp
from gcs_support import BUCKET, Storage, serving_storage
from spotkeeper.archives import function_sources
from spotkeeper_lab.local_gcp import LocalGcp
from spotkeeper_lab.local_gcp.web import Reply
from spotkeeper_ledger import FleetLedger, FleetSpec, NodeNotice, SignalBoard, dump, keys, load, notice_id
from spotkeeper_responder import SPOT


@dataclass
class Function:
    """The function's process, and what it is about."""

    account: Account
    storage: Storage
    port: int
    log: Path

    def push(self, attributes: dict[str, str], data: bytes = b"", message: str = "1") -> int:
        """Deliver a message as a push subscription does; returns the status."""
        body = {"message": {"attributes": attributes, "data": base64.b64encode(data).decode(), "messageId": message}}
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            headers = {"Content-Type": "application/json"}
            sent = {**body, "subscription": "projects/shop/subscriptions/spotkeeper"}
            connection.request("POST", "/", json.dumps(sent), headers)
            return connection.getresponse().status
        finally:
            connection.close()

    def preempted(self, node: str, message: str) -> int:
        name, _, number = node.partition(".")
        entry = {
            "protoPayload": {
                "methodName": "compute.instances.preempted",
                "resourceName": f"projects/shop/zones/{REGION}-a/instances/{name}",
            },
            "resource": {"type": "gce_instance", "labels": {"instance_id": number}},
            "timestamp": "2026-11-24T05:00:00.5Z",
        }
        return self.push({}, json.dumps(entry).encode(), message)

    def put(self, key: str, document: Any) -> None:
        self.storage.answer("POST", f"/upload/storage/v1/b/{BUCKET}/o?uploadType=media&name={key}", {}, dump(document))

    def document(self, kind: type[Any], key: str) -> Any:
        found = self.storage.objects.get(key)
        return None if found is None else load(kind, found.body)

    def said(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.log.read_text().splitlines() if line.startswith("{")]


@pytest.fixture
def metadata() -> Iterator[GcpMetadata]:
    with serving_gcp() as served:
        served.values["service-accounts/default/token"] = json.dumps({"access_token": "t", "expires_in": 3600})
        yield served


@pytest.fixture
def function(tmp_path: Path, metadata: GcpMetadata) -> Iterator[Function]:
    storage = Storage()
    code = tmp_path / "code"
    for name, text in function_sources("gcp").items():
        (code / name).parent.mkdir(parents=True, exist_ok=True)
        (code / name).write_text(text)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    log = tmp_path / "function.log"
    with LocalGcp(tmp_path / "cloud", FAST) as local, serving_storage(storage) as url, log.open("wb") as output:
        environment = {
            "PATH": os.environ["PATH"],
            "GCE_METADATA_HOST": metadata.host,
            "STORAGE_EMULATOR_HOST": url,
            "CLOUDSDK_API_ENDPOINT_OVERRIDES_COMPUTE": local.endpoint,
            "SPOTKEEPER_LEDGER": f"gs://{BUCKET}",
            "SPOTKEEPER_PROJECT": local.project,
            "SPOTKEEPER_REGION": REGION,
        }
        command = [sys.executable, "-m", "functions_framework", "--target", "on_message", "--source", "main.py"]
        command += ["--host", "127.0.0.1", "--port", str(port)]
        process = subprocess.Popen(command, cwd=code, env=environment, stdout=output, stderr=subprocess.STDOUT)
        try:
            wait_until(lambda: _listens(port) or process.poll() is not None, 60)
            assert process.poll() is None, log.read_text()
            yield Function(Account(local, fleet(target=3, base=0, maximum=3)), storage, port, log)
        finally:
            process.terminate()
            process.wait(30)


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


@pytest.fixture
def account(function: Function) -> Account:
    """A fleet at strength that the function has seen."""
    function.account.make({"spot": 3, "backup": 0})
    function.put(keys.spec(FLEET), function.account.spec)
    function.account.nodes(SPOT, 3)
    assert function.push({"spotkeeper": "tick"}) == 200
    assert function.document(FleetLedger, keys.ledger(FLEET)) is not None, function.log.read_text()
    return function.account


def test_a_preemption_is_signalled_and_bought_for(function: Function, account: Account) -> None:
    lost = account.nodes(SPOT, 3)[0]
    assert function.preempted(lost, "2") == 200
    ledger = function.document(FleetLedger, keys.ledger(FLEET))
    assert ledger.notices[lost].notice_id == notice_id(lost, "interruption")
    signals = function.document(SignalBoard, keys.signals(FLEET))
    assert [(signal.node, signal.kind) for signal in signals.signals] == [(lost, "interruption")]
    wait_until(lambda: account.view().backup.desired == 1)
    assert function.preempted(lost, "2 again") == 200  # which may see nodes that have come or gone, and remember them
    assert function.document(FleetLedger, keys.ledger(FLEET)).notices == ledger.notices, "said twice, one notice"
    assert function.document(SignalBoard, keys.signals(FLEET)) == signals, "said twice, acted on once"
    assert account.view().backup.desired == 1
    assert function.document(FleetSpec, keys.spec(FLEET)) == account.spec


def test_a_nodes_own_word_is_read_from_the_ledger(function: Function, account: Account) -> None:
    lost = account.nodes(SPOT, 3)[1]
    notice = NodeNotice(
        FLEET, account.spec.incarnation, lost, notice_id(lost, "interruption"), "interruption", heard_at=1000.0
    )
    function.put(keys.notice(FLEET, lost), notice)
    assert function.push({"spotkeeper": "notice", "fleet": FLEET, "folder": lost}, message="3") == 200
    assert lost in function.document(FleetLedger, keys.ledger(FLEET)).notices


def test_many_at_once_are_few_decisions(function: Function, account: Account) -> None:
    lost = account.nodes(SPOT, 3)[2]
    before = function.document(FleetLedger, keys.ledger(FLEET)).revision
    with ThreadPoolExecutor(40) as pool:
        asked = [pool.submit(function.preempted, lost, f"m{number}") for number in range(120)]
        assert {each.result() for each in asked} == {200}
    assert function.document(FleetLedger, keys.ledger(FLEET)).revision - before < 12


def test_what_cannot_be_read_is_taken_as_done_and_logged_once(function: Function) -> None:
    assert function.push({"spotkeeper": "tock"}, message="bad") == 200
    assert function.push({}, b"{", message="worse") == 200
    told = [entry for entry in function.said() if entry["message"] == "malformed event"]
    assert [(entry["severity"], entry["message_id"]) for entry in told] == [("ERROR", "bad"), ("ERROR", "worse")]


def test_a_message_comes_again_while_the_ledger_is_away(
    function: Function, account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    lost = account.nodes(SPOT, 3)[0]
    answer = function.storage.answer
    monkeypatch.setattr(function.storage, "answer", lambda *_: Reply(503))
    assert function.preempted(lost, "4") == 500
    monkeypatch.setattr(function.storage, "answer", answer)
    assert function.preempted(lost, "4") == 200
    assert lost in function.document(FleetLedger, keys.ledger(FLEET)).notices


def test_it_needs_nothing_but_the_standard_library(tmp_path: Path) -> None:
    for name, text in function_sources("gcp").items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    loaded = "import sys; print('\\n'.join({name.partition('.')[0] for name in sys.modules}))"
    load = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); import spotkeeper_responder.gcp.handler; {loaded}"
    names = subprocess.run([sys.executable, "-I", "-S", "-c", load], capture_output=True, text=True, check=True).stdout
    assert {*names.split()} - {"spotkeeper_responder", "spotkeeper_ledger", "__main__"} <= {*sys.stdlib_module_names}
