from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent_process_support import AgentProcess, Nodes
from agent_support import Fleet, wait_until, write_config
from spotkeeper_agent import cli, local
from spotkeeper_agent.clouds import identity, notice_sources
from spotkeeper_agent.config import NODE_NAME, AgentConfig, load_config

SAVES = "trap 'exit 75' TERM; while :; do sleep 0.05; done"
OWN = {"cloud": "local", "region": "", "node_prefix": ""}


@pytest.fixture
def nodes(tmp_path: Path) -> Iterator[Nodes]:
    with Nodes(tmp_path) as started:
        yield started


def config(tmp_path: Path, **changes: object) -> AgentConfig:
    return load_config(write_config(tmp_path, Fleet(tmp_path), **{"command": "train", **OWN, **changes}))


def tell(node: AgentProcess, *arguments: str) -> int:
    return cli.main(["notice", "--run-dir", str(node.run_dir), *arguments])


def test_it_is_called_as_its_host_is_and_no_cloud_takes_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "gethostname", lambda: "Ann's laptop.home")
    node = identity(config(tmp_path))()
    assert (node.name, node.on_demand, node.address, node.zone) == ("Ann-s-laptop.home", True, "127.0.0.1", "")
    assert node.boot_id
    assert identity(config(tmp_path, node_name="ann-2"))().name == "ann-2"
    assert notice_sources(config(tmp_path)) == []


def test_nodes_that_train_together_are_called_at_an_address_of_the_machine(tmp_path: Path) -> None:
    node = identity(config(tmp_path, elastic={}))()
    with socket.socket() as server:
        server.bind((node.address, 0))  # which only an address of this machine can be


@pytest.mark.parametrize("host", ["", "...", "-", "a/b/../c", "x" * 300, "Größe 1"])
def test_any_host_name_makes_a_name_of_a_folder(host: str) -> None:
    assert NODE_NAME.fullmatch(local.clean(host))


def test_it_works_for_a_fleet_that_nobody_declares_and_asks_no_metadata(nodes: Nodes) -> None:
    node = nodes.start("first", SAVES, node_name="first", **OWN)
    wait_until(lambda: nodes.fleet.holder() == "first")
    wait_until(node.job_pid)
    assert node.metadata.tokens == 0
    assert node.logged("waiting") == []
    assert nodes.fleet.board.read("fleets/vision-test-resnet/nodes/first/report.json") is not None


def test_another_node_goes_on_when_it_is_told_to_go(nodes: Nodes) -> None:
    first = nodes.start("first", SAVES, node_name="first", notice_signal="TERM", **OWN)
    wait_until(lambda: nodes.fleet.holder() == "first")
    wait_until(first.job_pid)
    second = nodes.start("second", SAVES, node_name="second", **OWN)
    wait_until(lambda: second.logged("boot"))
    assert tell(first, "--kind", "interruption") == 0
    wait_until(lambda: nodes.fleet.holder() == "second")
    assert [said["source"] for said in first.logged("notice")] == ["command"]


def test_after_a_drill_it_goes_on_itself(nodes: Nodes) -> None:
    node = nodes.start("first", SAVES, node_name="first", notice_signal="TERM", **{**OWN, "notice_seconds": 2.0})
    wait_until(lambda: nodes.fleet.holder() == "first")
    wait_until(node.job_pid)
    assert tell(node, "--kind", "interruption", "--drill") == 0
    wait_until(lambda: [said["generation"] for said in node.logged("lease-taken")] == [1, 2])
