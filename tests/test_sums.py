from __future__ import annotations

import os
import socket
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from typing import TypeVar

import numpy as np
import pytest

from agent_support import wait_until
from spotkeeper_lab.trainers import sums
from spotkeeper_lab.trainers.sums import Place, Sums
from spotkeeper_ledger import run_dir

Found = TypeVar("Found")


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


def on_all_ranks(ranks: int, work: Callable[[Place], Found]) -> list[Found]:
    places = [Place(rank, ranks, 7, "127.0.0.1", port) for port in [free_port()] for rank in range(ranks)]
    with ThreadPoolExecutor(ranks) as pool:
        return list(pool.map(work, places, timeout=30))


def test_all_ranks_have_the_same_sum_and_all_marks_in_the_order_of_the_ranks() -> None:
    def work(place: Place) -> tuple[list[float], list[int]]:
        with Sums(place) as ends:
            for _ in range(3):
                values, marks = ends.add(np.array([1.0, place.rank]), np.full(place.rank, place.rank, np.int64))
        return values.tolist(), marks.tolist()

    assert on_all_ranks(3, work) == [([3.0, 3.0], [1, 2, 2])] * 3


def test_a_rank_that_is_alone_meets_nobody() -> None:
    with Sums(Place()) as ends:
        values, marks = ends.add(np.array([2.5]), np.array([4], np.int64))
    assert (values.tolist(), marks.tolist()) == ([2.5], [4])


def test_when_one_is_gone_all_fail() -> None:
    def work(place: Place) -> str:
        with Sums(place) as ends:
            if place.rank == 2:
                return "gone"
            try:
                ends.add(np.zeros(1), np.zeros(1, np.int64))
            except ConnectionError as error:
                return str(error)
        return "went on"

    assert on_all_ranks(3, work) == ["a rank of this job is gone"] * 2 + ["gone"]


def test_a_rank_of_another_generation_is_turned_away() -> None:
    first = Place(0, 2, 7, "127.0.0.1", free_port())
    late = replace(first, rank=1, generation=6)
    with ThreadPoolExecutor(1) as pool:
        meeting: Future[Sums] = pool.submit(Sums, first)
        with Sums(late) as theirs, pytest.raises(ConnectionError):
            theirs.add(np.zeros(1), np.zeros(1, np.int64))
        assert not meeting.done()
        with Sums(replace(first, rank=1)):
            wait_until(meeting.done)
            meeting.result().__exit__()


def test_they_wait_for_each_other_and_not_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sums, "MEET_SECONDS", 0.1)
    for rank in (0, 1):
        with pytest.raises(OSError, match=r"timed out|refused"):
            Sums(Place(rank, 2, 7, "127.0.0.1", free_port()))


def test_its_place_is_what_the_agent_says(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("PET_")]:
        monkeypatch.delenv(name)
    monkeypatch.delenv(run_dir.GENERATION, raising=False)
    assert Place.told() == Place(0, 1, 0, "", 0)
    told = {"PET_NODE_RANK": "1", "PET_NNODES": "3", "PET_MASTER_ADDR": "10.0.0.7", "PET_MASTER_PORT": "41000"}
    for name, value in {**told, run_dir.GENERATION: "5"}.items():
        monkeypatch.setenv(name, value)
    assert Place.told() == Place(1, 3, 5, "10.0.0.7", 41000)
