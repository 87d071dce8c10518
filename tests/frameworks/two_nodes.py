"""A real trainer with a rank on each of two nodes under real agents, of which one is taken back."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

from support import DIARY, HERE, RESULT, SECONDS, TORCHRUN, lines_of

import lineage
from agent_process_support import AgentProcess
from agent_support import wait_until
from spotkeeper_training import CheckpointStore
from team_support import Team, a_team

RANKS = (0, 1)


def interrupted(folder: Path, job: str, size: int, *, leaver: int) -> str:
    """Take back the node of one rank in mid-job and have another join; returns the digest of the last weights.

    Both ranks have to save after the same step, whole, and to go on from there with not one sample lost or repeated.

    Args:
        folder: an empty one.
        job: file name of the trainer.
        size: samples in its data set.
        leaver: the rank whose node gets the notice.
    """
    with a_team(folder) as team:
        nodes = {name: _join(team, name, job, "--pace", "0.05") for name in ("i-1", "i-2")}
        wait_until(lambda: max((entry.step for entry in _entries(team)), default=0) > 3, SECONDS)
        first = team.fleet.generation
        assert first is not None
        leaving = first.members[leaver].node
        nodes[leaving].interrupt(50)
        for node in nodes.values():
            exits = wait_until(lambda node=node: node.logged("job-exit"), SECONDS)  # type: ignore[misc]
            assert [said["reason"] for said in exits] == ["notice"]
        saved = _saved_step(team)
        for rank in RANKS:
            assert max(entry.step for entry in _entries(team) if entry.rank == rank) == saved - 1
        wait_until(lambda: (report := team.fleet.report(leaving)) and report.confirmed_step == saved, SECONDS)

        _join(team, "i-3", job)
        last = wait_until(lambda: (g := team.fleet.generation) and g.state == "finished" and g, SECONDS)
        assert leaving not in {member.node for member in last.members}
        found = lineage.check(_entries(team), [0, saved], size)
        assert (found.problems, found.lost) == ([], [])
        return str(json.loads((team.folder / "result").read_text())["digest"])


def _join(team: Team, name: str, job: str, *options: str) -> AgentProcess:
    folder = team.folder / name
    folder.mkdir()
    command = " ".join((sys.executable, *TORCHRUN, str(HERE / job), *options))
    env = {"OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo", "HF_HUB_OFFLINE": "1"}
    env |= {DIARY: str(team.folder / "diary"), RESULT: str(team.folder / "result")}
    durations = {"lease_seconds": 5.0, "notice_seconds": 60, "hook_seconds": 60}
    return team.join(name, command=f"cd {folder} && exec {command}", env=env, elastic={"min_nodes": 2}, **durations)


def _entries(team: Team) -> list[lineage.Entry]:
    """The diary, with attempts counted from 0: a generation that only forms has a number too."""
    entries = [lineage.Entry(**line) for line in lines_of(team.folder, "diary-r*")]  # type: ignore[arg-type]
    attempts = sorted({entry.attempt for entry in entries})
    return [replace(entry, attempt=attempts.index(entry.attempt)) for entry in entries]


def _saved_step(team: Team) -> int:
    store = CheckpointStore(team.fleet.checkpoint_uri, generation=10_000)
    latest = store.latest()
    return store.load(latest, ranks=RANKS).step if latest else 0
