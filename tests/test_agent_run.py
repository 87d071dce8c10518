from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent_process_support import Nodes, alive
from agent_support import FLEET, serving_metadata, wait_until, write_config
from spotkeeper.archives import agent_archive
from spotkeeper_agent.config import load_config
from spotkeeper_agent.run import checkpoint_generation
from spotkeeper_ledger import keys
from spotkeeper_training import CheckpointStore

ROOT = Path(__file__).parent.parent
SLEEP = "exec sleep 600"


@pytest.fixture
def nodes(tmp_path: Path) -> Iterator[Nodes]:
    with Nodes(tmp_path) as started:
        yield started


def test_it_waits_for_its_name_and_for_the_fleets_spec(nodes: Nodes) -> None:
    with serving_metadata("i-1") as metadata:
        metadata.faults["instance-id"] = 503
        node = nodes.start("i-1", SLEEP, metadata=metadata)
        wait_until(lambda: [said["what"] for said in node.logged("waiting")] == ["identity"])
        metadata.faults.clear()
        nodes.fleet.write_spec("AROASOMEBODYELSE")
        wait_until(lambda: [said["what"] for said in node.logged("waiting")] == ["identity", "spec"])
        assert nodes.fleet.report("i-1") is None
        nodes.fleet.write_spec()
        report = wait_until(lambda: nodes.fleet.report("i-1"))
        assert report.boot_id
        wait_until(lambda: nodes.fleet.holder() == "i-1")


def test_sigterm_ends_it_even_while_it_waits(nodes: Nodes) -> None:
    with serving_metadata("i-1") as metadata:
        metadata.faults["instance-id"] = 503
        node = nodes.start("i-1", SLEEP, metadata=metadata)
        wait_until(lambda: node.logged("waiting"))
        node.send(signal.SIGTERM)
        assert node.process.wait(10) == 0


def test_two_agents_do_not_share_a_run_directory(nodes: Nodes) -> None:
    nodes.fleet.write_spec()
    node = nodes.start("i-1", SLEEP)
    wait_until(lambda: node.logged("boot"))
    again = nodes.start("i-1", SLEEP)
    assert again.process.wait(10) == 1
    assert "another agent works here" in (node.folder / "log").read_text()
    assert node.process.poll() is None


def test_an_agent_that_is_started_again_kills_its_old_job_and_goes_on_at_once(nodes: Nodes) -> None:
    nodes.fleet.write_spec()
    node = nodes.start("i-1", SLEEP, lease_seconds=60)
    wait_until(lambda: nodes.fleet.holder() == "i-1")
    job = wait_until(node.job_pid)
    node.send(signal.SIGKILL)
    node.process.wait(10)
    assert alive(job)
    again = nodes.start("i-1", SLEEP, lease_seconds=60)
    wait_until(lambda: not alive(job))
    wait_until(lambda: (g := nodes.fleet.generation) and g.number == 2 and g.state == "running")
    assert wait_until(again.job_pid) != job


def test_a_fleet_that_adopts_checkpoints_begins_above_them(nodes: Nodes, tmp_path: Path) -> None:
    config = load_config(write_config(tmp_path, nodes.fleet, command="train"))
    assert checkpoint_generation(config) == 0
    CheckpointStore(nodes.fleet.checkpoint_uri, generation=41).begin()
    assert checkpoint_generation(config) == 41
    (tmp_path / "checkpoints" / "head.json").write_text("rubbish")
    assert checkpoint_generation(config) == 0


def python_39() -> str | None:
    """A Python 3.9 that works, wherever this machine keeps one."""
    versions = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv") / "versions"
    found = [shutil.which("python3.9"), *sorted(map(str, versions.glob("3.9.*/bin/python")))]
    return next((python for python in found if python and _works(python)), None)


def _works(python: str) -> bool:
    return subprocess.run([python, "-c", ""], check=False, capture_output=True).returncode == 0


def test_the_archive_that_nodes_get_works_on_python_39(nodes: Nodes, tmp_path: Path) -> None:
    python = python_39()
    if python is None:
        pytest.skip("there is no Python 3.9 on this machine")
    nodes.fleet.write_spec()
    command = f"PYTHONPATH={ROOT}/instance:{ROOT}/ledger exec {python} {Path(__file__).with_name('agent_job.py')}"
    archive = str(tmp_path / "agent.pyz")
    Path(archive).write_bytes(agent_archive().body)
    with serving_metadata("i-1") as metadata:
        path = write_config(tmp_path / "i-1", nodes.fleet, command=command)
        env = {**os.environ, "AWS_EC2_METADATA_SERVICE_ENDPOINT": metadata.url, "PYTHONPATH": ""}
        with subprocess.Popen([python, archive, "run", "--config", str(path)], env=env) as agent:
            try:
                wait_until(lambda: nodes.fleet.progress and (nodes.fleet.progress.step or 0) > 3)
                env["SPOTKEEPER_RUN_DIR"] = str(tmp_path / "i-1" / "run")
                told = [python, archive, "notice", "--kind", "drain", "--nodes", "i-0,i-1", "--fleet", FLEET]
                subprocess.run(told, env=env, check=True, timeout=30)
                report = wait_until(lambda: (r := nodes.fleet.report("i-1")) and r.exit_reason and r)
                assert (report.exit_code, report.exit_reason) == (75, "notice")
                assert report.confirmed_step
                agent.send_signal(signal.SIGTERM)
                assert agent.wait(15) == 0
            finally:
                agent.kill()
    assert nodes.fleet.board.read(keys.generation(FLEET)) is not None


def test_it_needs_nothing_but_the_standard_library_and_little_of_that() -> None:
    program = """
import sys
import spotkeeper_agent.cli, spotkeeper_agent.run, spotkeeper_training
from spotkeeper_ledger import open_board
open_board("s3://bucket", region="eu-west-1")
print("\\n".join(sorted(sys.modules)))
"""
    env = {"PYTHONPATH": os.pathsep.join([f"{ROOT}/instance", f"{ROOT}/ledger"])}
    command = [sys.executable, "-S", "-c", program]
    loaded = subprocess.run(command, env=env, capture_output=True, text=True, check=True, timeout=30).stdout.split()
    assert "spotkeeper_agent.agent" in loaded
    for name in ("urllib.request", "boto3", "botocore", "asyncio", "numpy"):
        assert name not in loaded
    foreign = {name.partition(".")[0] for name in loaded} - set(sys.stdlib_module_names) - {"__main__"}
    assert {name for name in foreign if not name.startswith("spotkeeper_")} <= {"sitecustomize", "__mp_main__"}
