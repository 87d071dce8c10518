"""What a new node on Google Cloud runs first, and last: against a bucket, a metadata server and a real shell."""

from __future__ import annotations

import base64
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gcp_support import GcpMetadata, serving_gcp
from gcs_support import BUCKET, Storage, serving_storage
from spotkeeper.archives import agent_archive
from spotkeeper.fleet import plan_fleet
from spotkeeper.gcp.node_software import SCRIPT_BYTES, shutdown_script
from spotkeeper.node.gs import SUFFIX
from spotkeeper.user_data import render
from spotkeeper_lab.local_gcp.metadata import PREEMPTED

pytestmark = pytest.mark.xdist_group("pulumi_gcp")  # the provider takes seconds to load: one process does it

COMMAND = "cd /opt && exec python3 train.py --note 'it is $HOME `id`'\nSPOTKEEPER_END\necho done"
CONFIG: dict[str, Any] = {
    "fleet": "p-s-f",
    "region": "europe-west4",
    "ledger": f"gs://{BUCKET}",
    "run_dir": "/run/spotkeeper",
    "command": COMMAND,
    "notice_seconds": 120.0,
}


@pytest.fixture
def metadata() -> Iterator[GcpMetadata]:
    with serving_gcp() as served:
        served.give_token("token-of-node")
        yield served


@pytest.fixture
def storage() -> Iterator[Storage]:
    held = Storage()
    with serving_storage(held):
        yield held


def put_agent(storage: Storage, digest: str, body: bytes) -> None:
    text = base64.b64encode(body)
    storage.answer(
        "POST", f"/upload/storage/v1/b/{BUCKET}/o?uploadType=media&name=agent/{digest}.pyz{SUFFIX}", {}, text
    )


def run(script: str, root: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a script as a node would, in a root of its own and with a systemctl that writes down what it is told."""
    tools = root / "tools"
    tools.mkdir(parents=True)
    (tools / "systemctl").write_text(f'#!/bin/sh\necho "$*" >>{root}/systemctl.log\n')
    (tools / "systemctl").chmod(0o755)
    (tools / "python3").symlink_to(sys.executable)
    path = f"{tools}:{os.environ['PATH']}"
    given = {"PATH": path, "SPOTKEEPER_ROOT": str(root), **environment}
    return subprocess.run(["bash"], input=script, capture_output=True, text=True, env=given, check=False)


def test_a_node_installs_and_starts_the_agent(tmp_path: Path, storage: Storage, metadata: GcpMetadata) -> None:
    archive = agent_archive()
    put_agent(storage, archive.sha256, archive.body)
    script = render(CONFIG, archive.sha256, SCRIPT_BYTES)
    assert "sigv4" not in script
    done = run(script, tmp_path, STORAGE_EMULATOR_HOST=storage.url, GCE_METADATA_HOST=metadata.host)
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "opt/spotkeeper/agent.pyz").read_bytes() == archive.body
    config = json.loads((tmp_path / "etc/spotkeeper/agent.json").read_text())
    assert config == {**CONFIG, "run_dir": f"{tmp_path}/run/spotkeeper"}
    started = (tmp_path / "systemctl.log").read_text().splitlines()
    assert started == ["daemon-reload", "enable --now spotkeeper-agent.service"]
    # A machine that is started again runs its script again.
    again = tmp_path / "again"
    assert run(script, again, STORAGE_EMULATOR_HOST=storage.url, GCE_METADATA_HOST=metadata.host).returncode == 0


def test_another_agent_than_the_one_that_was_named_is_refused(
    tmp_path: Path, storage: Storage, metadata: GcpMetadata
) -> None:
    put_agent(storage, "0" * 64, b"print('not what was asked for')")
    script = render(CONFIG, "0" * 64, SCRIPT_BYTES)
    done = run(script, tmp_path, STORAGE_EMULATOR_HOST=storage.url, GCE_METADATA_HOST=metadata.host)
    assert done.returncode != 0
    assert f"expected {'0' * 64}; nothing was installed" in done.stderr
    assert not (tmp_path / "opt").exists()


@pytest.mark.parametrize(("preempted", "told"), [("TRUE", True), ("FALSE", False)])
def test_a_shutdown_tells_the_agent_only_of_a_preemption(
    tmp_path: Path, metadata: GcpMetadata, preempted: str, told: bool
) -> None:
    metadata.values[PREEMPTED] = preempted
    agent = tmp_path / "spotkeeper-agent"
    agent.write_text(f'#!/bin/sh\necho "$*" >{tmp_path}/told\n')
    agent.chmod(0o755)
    plan = plan_fleet({"nodes": 1, "timings": {"notice_seconds": 12.5}})
    script = shutdown_script(plan, "p-s-f").replace("/usr/local/bin/", f"{tmp_path}/")
    began = time.time()
    done = subprocess.run(
        ["sh"], input=script.replace("169.254.169.254", metadata.host), capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "told").exists() is told
    if told:
        found = re.fullmatch(
            r"notice --fleet p-s-f --kind interruption --deadline (\d+)\n", (tmp_path / "told").read_text()
        )
        assert found
        assert int(began) + 12 <= int(found[1]) <= time.time() + 12


def test_a_shutdown_without_a_metadata_server_is_quiet(tmp_path: Path) -> None:
    script = shutdown_script(plan_fleet({"nodes": 1}), "p-s-f").replace("169.254.169.254", "127.0.0.1:9")
    done = subprocess.run(["sh"], input=script, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_shutdown_has_no_longer_than_compute_engine_gives() -> None:
    assert "+ 30)" in shutdown_script(plan_fleet({"nodes": 1}), "f")
