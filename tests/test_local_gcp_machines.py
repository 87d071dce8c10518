"""Nodes of the local Google Cloud: what boots on them, what they are told, and how they end."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from agent_support import wait_until
from local_gcp_support import GROUPS, SPOT, TEMPLATES, group, template
from spotkeeper_agent.gcp import Preemption, identify
from spotkeeper_lab.local import Moment, processes
from spotkeeper_lab.local_gcp import LocalGcp, Timing
from spotkeeper_ledger.gce import MetadataServer
from spotkeeper_ledger.google_token import TokenSource
from test_local_gcp_server import Client

TIMING = Timing(
    notice_seconds=0.3, shutdown_seconds=60, boot_seconds=0.02, status_lag_seconds=0.3, repair_delay_seconds=0.02,
    operation_seconds=0.01, audit_seconds=0.05,
)  # fmt: skip
NOTICE = {**SPOT, "preemptionNoticeDuration": {"seconds": "120"}}
SERVICE = """
cat >"$SPOTKEEPER_ROOT/service.sh" <<'END'
trap 'echo bye >bye; exit 0' TERM
echo up >up
while true; do sleep 0.02; done
END
mkdir -p "$SPOTKEEPER_ROOT/etc/systemd/system"
printf '[Service]\\nExecStart=/bin/bash %s/service.sh\\nRestart=always\\n' "$SPOTKEEPER_ROOT" \
  >"$SPOTKEEPER_ROOT/etc/systemd/system/polite.service"
systemctl enable --now polite.service
"""
TELL = 'echo "$GCE_METADATA_HOST" >"$SPOTKEEPER_ROOT/metadata"\n'
ACCOUNT = "nodes@local-project.iam.gserviceaccount.com"


class Cloud:
    """A local cloud with one group."""

    def __init__(self, local: LocalGcp) -> None:
        self.local = local
        self._client = Client(local.endpoint)

    def until(self, what: str, **facts: Any) -> Moment:
        def holds(moment: Moment) -> bool:
            assert moment.what not in ("local-cloud-failed", "node-failed"), moment.detail
            return moment.what == what and all(getattr(moment, name) == value for name, value in facts.items())

        return self.local.events.wait(holds, 30)

    def boot(self, startup: str, *, shutdown: str = "", scheduling: Any = NOTICE) -> str:
        """Make a group of one; return its node once the script has run."""
        items = [{"key": "startup-script", "value": startup}]
        items += [{"key": "shutdown-script", "value": shutdown}] if shutdown else []
        labels = {"spotkeeper-group": "spot", "spotkeeper-fleet": "shop"}
        given = {"metadata": {"items": items}, "labels": labels, "serviceAccounts": [{"email": ACCOUNT}]}
        self._client.done("POST", TEMPLATES, template(scheduling=scheduling, **given))
        self._client.done("POST", GROUPS, group(size=1))
        return str(self.until("node-started").node)

    def managed(self) -> dict[str, Any]:
        _, answer = self._client.ask("POST", f"{GROUPS}/fleet/listManagedInstances")
        (one,) = answer["managedInstances"]
        return dict(one)

    def root(self, node: str) -> Path:
        return self.local.nodes.node(node).dir


@pytest.fixture
def cloud_of(tmp_path: Path) -> Iterator[Callable[..., Cloud]]:
    opened: list[LocalGcp] = []

    def make(**timing: float) -> Cloud:
        opened.append(LocalGcp(tmp_path / "cloud", Timing(**{**vars(TIMING), **timing})))
        return Cloud(opened[-1])

    yield make
    for local in opened:
        with local:
            """Closed, and whatever went wrong in it is told."""


def test_a_node_is_told_who_it_is_and_that_it_is_taken_back(cloud_of: Callable[..., Cloud]) -> None:
    cloud = cloud_of(notice_seconds=60)
    node = cloud.boot(TELL)
    known = cloud.local.nodes.node(node)
    assert (known.id, known.group, known.fleet) == (node, "spot", "shop")
    host = (known.dir / "metadata").read_text().strip()
    assert host.startswith("127.0.0.2:")
    server = MetadataServer(host)
    me = identify(server)
    assert (me.name, me.on_demand, me.address, me.zone) == (node, False, "127.0.0.2", "europe-west4-a")
    assert TokenSource(server).get() == f"token-of-node-{node}"
    attribute = server.read("instance/attributes/startup-script")
    assert attribute is not None and attribute.text == TELL.strip()
    source = Preemption(server, 1.0)
    assert source.poll() == ()
    heard: list[Any] = []
    waiting = threading.Thread(target=lambda: heard.extend(source.poll()))
    waiting.start()
    cloud.local.interrupt(node, warn=False)
    waiting.join(30)
    assert [word.kind for word in heard] == ["interruption"]
    launched = cloud.until("instance-launched").detail
    assert (launched["group"], launched["lifecycle"], launched["version"]) == ("spot", "spot", "spot")


def test_a_preempted_node_shuts_down_in_order_and_its_group_replaces_it(cloud_of: Callable[..., Cloud]) -> None:
    cloud = cloud_of()
    asked = "http://169.254.169.254/computeMetadata/v1/instance/preempted"
    say = f'curl -s -H "Metadata-Flavor: Google" {asked}; echo; echo /usr/local/bin/agent'
    node = cloud.boot(SERVICE, shutdown=f'({say}) >"$SPOTKEEPER_ROOT/last-words"')
    root = cloud.root(node)
    wait_until((root / "up").exists)
    cloud.local.interrupt(node)
    notice = cloud.until("notice-injected", node=node)
    assert not (root / "bye").exists()
    gone = cloud.until("reclaimed", node=node)
    assert gone.at - notice.at >= 0.29, "not before its notice is over"
    assert (root / "bye").read_text() == "bye\n", "the service's main process was asked to end, and not started again"
    assert (root / "last-words").read_text() == f"TRUE\n{root}/usr/local/bin/agent\n"
    wait_until(lambda: processes.find(f"SPOTKEEPER_ROOT={root}") == [])
    again = cloud.local.events.wait(lambda m: m.what == "node-started" and m.node != node, 30).node
    assert str(again).partition(".")[0] == node.partition(".")[0]
    assert cloud.local.nodes.node(str(again)).dir != root
    assert [each.id for each in cloud.local.nodes.running()] == [again]


def test_a_shutdown_that_takes_too_long_is_cut_off(cloud_of: Callable[..., Cloud]) -> None:
    cloud = cloud_of(shutdown_seconds=0.3)
    node = cloud.boot(SERVICE.replace("echo bye >bye; exit 0", "echo no >bye"), scheduling=SPOT)
    root = cloud.root(node)
    wait_until((root / "up").exists)
    cloud.local.interrupt(node)
    soft = cloud.until("soft-off", node=node)
    gone = cloud.until("reclaimed", node=node)
    assert gone.at - soft.at >= 0.29
    assert (root / "bye").read_text() == "no\n"
    wait_until(lambda: processes.find(f"SPOTKEEPER_ROOT={root}") == [])


def test_a_node_that_dies_is_gone_at_once_and_the_api_says_so_later(cloud_of: Callable[..., Cloud]) -> None:
    cloud = cloud_of(status_lag_seconds=60)
    node = cloud.boot(SERVICE)
    root = cloud.root(node)
    wait_until((root / "up").exists)
    cloud.local.kill(node)
    assert processes.find(f"SPOTKEEPER_ROOT={root}") == []
    assert not (root / "bye").exists()
    told = [moment.what for moment in cloud.local.events.moments() if moment.node == node]
    assert told == ["instance-launched", "instance-running", "node-started", "killed"]
    assert cloud.managed()["instanceStatus"] == "RUNNING"
    cloud.local.kill(node)
    assert cloud.local.nodes.running() == []


def test_a_node_that_stands_still_does_not_hear_that_it_is_to_shut_down(cloud_of: Callable[..., Cloud]) -> None:
    cloud = cloud_of(shutdown_seconds=0.5)
    node = cloud.boot(SERVICE, scheduling=SPOT)
    root = cloud.root(node)
    wait_until((root / "up").exists)
    cloud.local.freeze(node)
    cloud.local.interrupt(node)
    cloud.until("reclaimed", node=node)
    assert not (root / "bye").exists()
    wait_until(lambda: processes.find(f"SPOTKEEPER_ROOT={root}") == [])


def test_a_script_that_fails_is_told_with_what_it_said(cloud_of: Callable[..., Cloud]) -> None:
    cloud = cloud_of()
    with pytest.raises(AssertionError, match="no such luck"):
        cloud.boot("echo no such luck; exit 3")
    (failed,) = (moment for moment in cloud.local.events.moments() if moment.what == "node-failed")
    assert (failed.detail["exit_code"], failed.detail["output"]) == (3, "no such luck\n")
