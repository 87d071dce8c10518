"""Ranks of a real process group under a real agent: one step for all, and weights as if nothing had happened."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch.distributed  # noqa: F401 - these tests have nothing to say where it is not installed

from agent_process_support import AgentProcess, Nodes
from agent_support import wait_until

STEPS = 300


@pytest.fixture
def nodes(tmp_path: Path) -> Iterator[Nodes]:
    with Nodes(tmp_path) as started:
        started.fleet.write_spec()
        yield started


def start(nodes: Nodes, name: str, ranks: int, *options: object, **config: Any) -> AgentProcess:
    job, folder = Path(__file__).with_name("gloo_job.py"), nodes.folder / "job"
    given = " ".join(map(str, ("--folder", folder, "--steps", STEPS, *options)))
    torchrun = f"{sys.executable} -m torch.distributed.run --standalone --nproc-per-node {ranks}"
    return nodes.start(name, f"exec {torchrun} {job} {given}", notice_seconds=60, hook_seconds=60, **config)


def events(folder: Path, ranks: int) -> list[list[dict[str, Any]]]:
    paths = [folder / f"rank-{rank}.jsonl" for rank in range(ranks)]
    return [[json.loads(line) for line in path.read_text().splitlines()] if path.exists() else [] for path in paths]


def digest(folder: Path, ranks: int) -> str:
    wait_until(lambda: all(said and said[-1]["event"] == "end" for said in events(folder, ranks)), 90)
    found = {said[-1]["digest"] for said in events(folder, ranks)}
    assert len(found) == 1
    return str(found.pop())


@pytest.mark.parametrize(("ranks", "late"), [(2, 0), (2, 1), (4, 3)])
def test_an_interruption_leaves_the_weights_of_an_uninterrupted_run(tmp_path: Path, ranks: int, late: int) -> None:
    with Nodes(tmp_path / "whole") as calm:
        calm.folder.mkdir()
        calm.fleet.write_spec()
        start(calm, "i-1", ranks, "--pace", 0)
        expected = digest(calm.folder / "job", ranks)
    with Nodes(tmp_path / "interrupted") as nodes:
        nodes.folder.mkdir()
        nodes.fleet.write_spec()
        first = start(nodes, "i-1", ranks, "--late", late)
        wait_until(lambda: (p := nodes.fleet.progress) and (p.step or 0) > 10, 60)
        first.interrupt(50)
        wait_until(lambda: first.logged("job-exit"), 60)
        told = [[(said["event"], said["step"]) for said in rank] for rank in events(nodes.folder / "job", ranks)]
        assert told == [told[0]] * ranks
        assert [event for event, _ in told[0]] == ["start", "saved", "stop"]
        assert told[0][1][1] == told[0][2][1] < STEPS
        start(nodes, "i-2", ranks, "--pace", 0)
        assert digest(nodes.folder / "job", ranks) == expected
        assert {rank[3]["step"] for rank in events(nodes.folder / "job", ranks)} == {told[0][1][1]}
