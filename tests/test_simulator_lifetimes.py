from __future__ import annotations

import json

import numpy as np
import pytest

from simulator_support import needs_traces
from spotkeeper_lab.simulator import traces_folder
from spotkeeper_lab.simulator.traces import Draw, TraceError, read_lifetimes, read_market

DRAW = Draw(places=8, vacancy_seconds=1800.0)


def node(seconds, zone="z", machine="m"):
    return {"time_in_sec": seconds, "instance_data": {"ZONE": zone, "MACHINE_TYPE": machine}}


@pytest.fixture
def write(tmp_path):
    def written(content):
        path = tmp_path / "lives.json"
        path.write_text(json.dumps(content))
        return path

    return written


@pytest.fixture
def lives(write):
    """Twenty nodes of each of two pools, and one of a third."""
    found = {f"a{number}": node(3600.0 * (1 + number % 2)) for number in range(20)}
    found |= {f"b{number}": node(600.0, machine="l") for number in range(21)}
    return write({**found, "c": node(60.0, zone="y")})


def market(path, draw=DRAW):
    return read_market([path], convention="lifetimes", draw=draw, spot_price=1.0, on_demand_price=3.0)


def test_lifetimes_are_read_by_zone_and_type(lives):
    found = read_lifetimes(lives, convention="lifetimes")
    assert list(found) == ["z_l", "z_m", "y_m"], "those with the most nodes first"
    assert (len(found["z_m"]), found["z_m"].mean(), found["y_m"].tolist()) == (20, 5400, [60])


def test_lifetimes_make_a_market_of_places(lives):
    made = market(lives)
    assert made.pools == ("z_l", "z_m"), "one lifetime is no sample"
    counts = made.only(["z_m"]).counts
    assert counts.max() <= 8
    assert counts.mean() == pytest.approx(8 * 1.5 / 2, rel=0.1)


def test_the_same_seed_draws_the_same_nodes(lives):
    one, again, other = (market(lives, Draw(places=8, vacancy_seconds=60.0, seed=seed)) for seed in (1, 1, 2))
    assert np.array_equal(one.counts, again.counts)
    assert not np.array_equal(one.counts, other.counts)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({}, r"the file: was \{\}, expected an object of nodes"),
        ({"a": 5}, "a.instance_data.ZONE: missing, expected a name"),
        ({"a": node(5, machine=None)}, "a.instance_data.MACHINE_TYPE: missing, expected a name"),
        ({"a": node(-1)}, "a.time_in_sec: was -1, expected a number, more than 0"),
        ({"a": node(None)}, "a.time_in_sec: missing, expected a number, more than 0"),
        ({"a": node(5)}, "the file: was '1 lifetimes of a pool at most', expected 20 of a zone and type at least"),
    ],
)
def test_an_error_names_node_and_field(write, content, message):
    with pytest.raises(TraceError, match=f"lives.json: {message}"):
        market(write(content))


def test_lifetimes_are_a_convention_of_their_own(lives):
    with pytest.raises(
        TraceError, match=r"lives.json: convention: was 'available', expected lifetimes for such a file"
    ):
        read_lifetimes(lives, convention="available")


@needs_traces
def test_lifetimes_of_real_nodes_are_read():
    folder = traces_folder()
    assert folder is not None
    lives = read_lifetimes(folder / "goog-preemption" / "data.json", convention="lifetimes")
    assert sum(len(each) for each in lives.values()) == 1442
    assert max(each.max() for each in lives.values()) < 25 * 3600
    assert sum(len(each) for pool, each in lives.items() if pool.startswith("us-central1-c_")) == 813
