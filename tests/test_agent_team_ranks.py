from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from spotkeeper_agent.council import LocalRanks
from spotkeeper_agent.team_ranks import TeamRanks
from spotkeeper_ledger import run_dir
from spotkeeper_ledger.run_dir import COMMIT, READY, Agreement, RankState, read


class Post:
    """What the agents of two nodes share, without the network between them."""

    def __init__(self) -> None:
        self.lies: dict[str, Mapping[str, str]] = {}


class Member:
    def __init__(self, post: Post, node: str) -> None:
        self._post, self._node = post, node

    def share(self, documents: Mapping[str, str]) -> None:
        self._post.lies[self._node] = dict(documents)

    def shared(self) -> Mapping[str, Mapping[str, str]]:
        return {node: documents for node, documents in self._post.lies.items() if node != self._node}

    def first(self) -> str | None:
        return None if self._node == "a" else "a"


def state(rank: int, generation: int = 4) -> RankState:
    return RankState(
        rank=rank, world_size=2, pid=1, generation=generation, stage=READY, step=3, at=time.time(), attempt=rank
    )


def two_nodes(tmp_path: Path) -> tuple[Post, TeamRanks, TeamRanks]:
    post = Post()
    ranks = [TeamRanks(LocalRanks(tmp_path / name), Member(post, name)) for name in "ab"]
    for attempt, each in enumerate(ranks):
        each.begin(4, attempt)
    run_dir.write(tmp_path / "a", state(0))
    run_dir.write(tmp_path / "b", state(1))
    return post, ranks[0], ranks[1]


def test_the_first_node_sees_the_ranks_of_all_and_its_agreement_reaches_all(tmp_path: Path) -> None:
    _, first, second = two_nodes(tmp_path)
    second.present()
    assert sorted(first.present().states) == [0, 1]
    assert (first.follows, second.follows) == (False, True)
    assert second.decided() is None
    agreement = Agreement(4, COMMIT, 1, 0.0, stop_step=9)
    first.tell(agreement)
    found = second.decided()
    assert found == agreement
    second.tell(found)
    assert read(tmp_path / "a", Agreement) == agreement
    assert read(tmp_path / "b", Agreement) == replace(agreement, attempt=1), "each node counts its own starts"


def test_what_is_of_another_generation_or_no_document_is_ignored(tmp_path: Path) -> None:
    post, first, second = two_nodes(tmp_path)
    run_dir.write(tmp_path / "b", state(1, generation=3))
    second.present()
    assert sorted(first.present().states) == [0]
    first.tell(Agreement(3, COMMIT, 1, 0.0, stop_step=9))
    assert second.decided() is None
    post.lies["b"] = {"rank-1": "{", "rank-x": "[]", "agreement": "7"}
    assert sorted(first.present().states) == [0]
    post.lies["a"] = {"agreement": "{"}
    assert second.decided() is None


def test_no_node_speaks_for_a_rank_of_another(tmp_path: Path) -> None:
    post, first, _ = two_nodes(tmp_path)
    lie = '{"rank":0,"world_size":2,"pid":9,"generation":4,"stage":"promised","step":7,"at":0}'
    post.lies["b"] = {"rank-0": lie, "lost-0": ""}
    present = first.present()
    assert present.states[0].stage == READY
    assert present.lost == frozenset()
