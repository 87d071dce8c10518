"""The function as it is deployed: its archive, run by Google's own framework, in a local cloud."""

from __future__ import annotations

import base64
import io
import json
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from agent_support import wait_until
from gcp_account import FAST, FLEET, REGION, Account, fleet
from spotkeeper.archives import function_sources
from spotkeeper_lab.local_gcp import Function, LocalGcp
from spotkeeper_lab.local_gcp.function import Deployed
from spotkeeper_lab.local_gcp.logs import preempted
from spotkeeper_lab.local_gcp.storage_json import StorageJson
from spotkeeper_lab.local_gcp.web import Reply
from spotkeeper_ledger import FleetLedger, FleetSpec, NodeNotice, SignalBoard, dump, keys, load, notice_id
from spotkeeper_responder import SPOT

BUCKET = "ledger-of-tests"


@dataclass
class World:
    """The function, and what it is about."""

    account: Account
    function: Function

    def push(self, attributes: dict[str, str], data: bytes = b"", message: str = "1") -> int:
        """Deliver a message as a push subscription does; returns the status."""
        told = {"attributes": attributes, "data": base64.b64encode(data).decode(), "messageId": message}
        body = {"message": told, "subscription": "projects/shop/subscriptions/spotkeeper"}
        return self.function.request(json.dumps(body).encode(), {"Content-Type": "application/json"}, 60.0)

    def preempted(self, node: str, message: str) -> int:
        name, _, number = node.partition(".")
        entry = preempted("shop", f"{REGION}-a", name, number, 0.0)
        return self.push({}, json.dumps(entry).encode(), message)

    def put(self, key: str, document: Any) -> None:
        self.account.local.buckets.write(BUCKET, key, dump(document), {})

    def document(self, kind: type[Any], key: str) -> Any:
        found = self.account.local.objects(BUCKET, key).get(key)
        return None if found is None else load(kind, found)

    def said(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.function.output() if line.startswith("{")]


@pytest.fixture
def function(tmp_path: Path) -> Iterator[World]:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as packed:
        for name, text in function_sources("gcp").items():
            packed.writestr(name, text)
    with LocalGcp(tmp_path / "cloud", FAST) as local:
        local.buckets.add(BUCKET)
        settings = {
            "THREADS": "80",
            "SPOTKEEPER_LEDGER": f"gs://{BUCKET}",
            "SPOTKEEPER_PROJECT": local.project,
            "SPOTKEEPER_REGION": REGION,
        }
        deployed = Deployed("responder", "http://responder", "on_message", archive.getvalue(), settings, 60.0, 80)
        running = Function(deployed, tmp_path / "function", local.environment("responder"))
        try:
            running.warm_up()
            yield World(Account(local, fleet(target=3, base=0, maximum=3)), running)
        finally:
            running.close()


@pytest.fixture
def account(function: World) -> Account:
    """A fleet at strength that the function has seen."""
    function.account.make({"spot": 3, "backup": 0})
    function.put(keys.spec(FLEET), function.account.spec)
    function.account.nodes(SPOT, 3)
    assert function.push({"spotkeeper": "tick"}) == 200
    assert function.document(FleetLedger, keys.ledger(FLEET)) is not None, function.function.output()
    return function.account


def test_a_preemption_is_signalled_and_bought_for(function: World, account: Account) -> None:
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


def test_a_nodes_own_word_is_read_from_the_ledger(function: World, account: Account) -> None:
    lost = account.nodes(SPOT, 3)[1]
    notice = NodeNotice(
        FLEET, account.spec.incarnation, lost, notice_id(lost, "interruption"), "interruption", heard_at=1000.0
    )
    function.put(keys.notice(FLEET, lost), notice)
    assert function.push({"spotkeeper": "notice", "fleet": FLEET, "folder": lost}, message="3") == 200
    assert lost in function.document(FleetLedger, keys.ledger(FLEET)).notices


def test_many_at_once_are_few_decisions(function: World, account: Account) -> None:
    lost = account.nodes(SPOT, 3)[2]
    before = function.document(FleetLedger, keys.ledger(FLEET)).revision
    with ThreadPoolExecutor(40) as pool:
        asked = [pool.submit(function.preempted, lost, f"m{number}") for number in range(120)]
        assert {each.result() for each in asked} == {200}
    assert function.document(FleetLedger, keys.ledger(FLEET)).revision - before < 12


def test_what_cannot_be_read_is_taken_as_done_and_logged_once(function: World) -> None:
    assert function.push({"spotkeeper": "tock"}, message="bad") == 200
    assert function.push({}, b"{", message="worse") == 200

    def told() -> list[tuple[str, str]]:
        malformed = [entry for entry in function.said() if entry["message"] == "malformed event"]
        return [(entry["severity"], entry["message_id"]) for entry in malformed]

    wait_until(lambda: len(told()) >= 2)  # what it prints is read by a thread, which may be behind its answer
    assert told() == [("ERROR", "bad"), ("ERROR", "worse")]


def test_a_message_comes_again_while_the_ledger_is_away(
    function: Function, account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    lost = account.nodes(SPOT, 3)[0]
    with monkeypatch.context() as away:
        away.setattr(StorageJson, "answer", lambda *_: Reply(503))
        assert function.preempted(lost, "4") == 500
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
