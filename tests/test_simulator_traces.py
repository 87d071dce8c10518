from __future__ import annotations

import io
import json
import tarfile

import numpy as np
import pytest

from simulator_support import needs_traces
from spotkeeper_lab.simulator import MARKETS, MarketError, Windows, named, traces_folder
from spotkeeper_lab.simulator.traces import (
    TraceError,
    read_archive,
    read_availability,
    read_counts,
    read_events,
    read_lifetimes,
    read_market,
    read_on_demand_price,
    read_prices,
    read_series,
)

DATES = "date,availability\n2023-02-15 22:08:16,0\n2023-02-15 22:11:31,1\n2023-02-15 22:14:46,1\n"
COUNTS = {"metadata": {"gap_seconds": 600}, "data": [0, 1, 1]}


@pytest.fixture
def write(tmp_path):
    def written(name, content):
        path = tmp_path / name
        path.write_text(content if isinstance(content, str) else json.dumps(content))
        return path

    return written


@pytest.fixture
def pack(tmp_path):
    def packed(members):
        path = tmp_path / "windows.tar.gz"
        with tarfile.open(path, "w:gz") as archive:
            for name, content in members.items():
                raw = content if isinstance(content, bytes) else json.dumps(content).encode()
                info = tarfile.TarInfo(name)
                info.size = len(raw)
                archive.addfile(info, io.BytesIO(raw))
        return path

    return packed


def test_the_same_values_mean_the_opposite_under_the_other_convention(write):
    path = write("us-east-1a_v100_1.csv", DATES)
    series = read_availability(path, convention="available")
    assert (series.pool, series.tick_seconds, series.counts.tolist()) == ("us-east-1a_v100_1", 195, [0, 1, 1])
    assert read_availability(path, convention="preempted").counts.tolist() == [1, 0, 0]
    with pytest.raises(TypeError):
        read_availability(path)
    with pytest.raises(TraceError, match="convention: was 'up', expected available or preempted"):
        read_availability(path, convention="up")


def test_counts_are_read_with_their_prices(write):
    path = write("a.json", {**COUNTS, "data": [0, 16, 3], "prices": [1, 2.5, 3, 4]})
    series = read_counts(path, convention="available")
    assert (series.tick_seconds, series.counts.tolist(), series.prices.tolist()) == (600, [0, 16, 3], [1, 2.5, 3])
    assert read_counts(write("b.json", COUNTS), convention="preempted").counts.tolist() == [1, 0, 0]


def test_prices_are_read_by_pool(write):
    assert read_prices(write("p.json", {"a": [1], "b": [2.0]}))["b"].tolist() == [2]
    own = write("zone-a_x.json", {"prices": [1], "gap_seconds": 195, "price_info": {"on_demand_price": 3.06}})
    assert read_prices(own)["zone-a_x"].tolist() == [1]
    assert read_on_demand_price(own) == 3.06
    assert read_on_demand_price(write("q.json", {"a": [1]})) is None


def test_events_are_counted_at_the_beginning_of_each_tick(write):
    path = write("events.csv", "0,add,n1\n0,add,n2\n61000,remove,n1\n150000,add,n3\n")
    series = read_events(path, tick_seconds=60.0)
    assert series.counts.tolist() == [2, 2, 1, 2]
    assert read_series(path, convention="available").counts.tolist() == [2, 2, 1, 2]


def test_an_archive_holds_windows_and_its_twins_are_left_out(pack):
    def member(*data, **more):
        return {"metadata": {"gap_seconds": 600}, "data": list(data), **more}

    path = pack(
        {
            "real/us-east-1a_v100_1/traces/random_start/10.json": member(0, 1, 1, 1),
            "real/us-east-1a_v100_1/traces/random_start/2.json": member(0, 0, 1),
            "real/us-east-1b_v100_1/2.json": member(1, 1, 1),
            "real/us-east-1b_v100_1/10.json": member(1, 1, 0),
            "real/us-east-1b_v100_1/._10.json": b"\x00\x05",
            "real/README.md": b"text",
        }
    )
    apart = read_archive(path, convention="preempted", together=False, spot_price=1.0, on_demand_price=3.0)
    assert apart.labels == ("us-east-1a_v100_1",) * 2 + ("us-east-1b_v100_1",) * 2
    assert [apart.counts(tick)[:, 0].tolist() for tick in range(3)] == [[1, 1, 0, 0], [1, 0, 0, 0], [0, 0, 0, 1]]
    together = read_archive(path, convention="preempted", together=True, spot_price=1.0, on_demand_price=3.0)
    assert together.market.pools == ("us-east-1a_v100_1", "us-east-1b_v100_1")
    assert together.counts(0).tolist() == [[1, 0], [1, 0]]
    with pytest.raises(TraceError, match=r"members: missing, expected files <pool>/…/<number>.json with moon in their"):
        read_archive(path, convention="preempted", within="moon", together=True)
    with pytest.raises(TraceError, match="prices: missing, expected prices in the file, a file of prices, or a spot"):
        read_archive(path, convention="preempted", together=True)
    uneven = pack(
        {"us-east-1a_x/1.json": member(0), "us-east-1b_x/1.json": member(0), "us-east-1b_x/2.json": member(0)}
    )
    with pytest.raises(TraceError, match="us-east-1b_x: was '2 windows', expected those of us-east-1a_x: 1"):
        read_archive(uneven, convention="preempted", together=True)


def test_lifetimes_are_read_by_zone_and_type(write):
    def node(seconds, zone="z", machine="m"):
        return {"time_in_sec": seconds, "instance_data": {"ZONE": zone, "MACHINE_TYPE": machine}}

    path = write("lives.json", {"a": node(10.5), "b": node(20.5, zone="y"), "c": node(30.5, machine="l")})
    assert read_lifetimes(path).tolist() == [10.5, 20.5, 30.5]
    assert read_lifetimes(path, zone="z", machine_type="m").tolist() == [10.5]
    with pytest.raises(TraceError, match="the file: missing, expected nodes of zone x and type any"):
        read_lifetimes(path, zone="x")
    with pytest.raises(TraceError, match=r"a.time_in_sec: was -1, expected a number, more than 0"):
        read_lifetimes(write("bad.json", {"a": node(-1)}))


def test_a_market_is_read_from_files_of_one_pool_each(write):
    paths = [write("zone-a_x.csv", DATES), write("zone-b_x.csv", DATES.replace(",0", ",1"))]
    prices = write("prices.json", {"zone-a_x": [1, 2, 3], "zone-b_x": [4, 5, 6]})
    made = read_market(paths, convention="available", prices=prices, on_demand_price=3.06, room=4)
    assert (made.pools, made.counts.tolist()) == (("zone-a_x", "zone-b_x"), [[0, 4, 4], [4, 4, 4]])
    assert made.prices.tolist() == [[1, 2, 3], [4, 5, 6]]
    with pytest.raises(TraceError, match=r"zone-b_x: was 1 prices, expected 3, as many as values"):
        read_market(paths, convention="available", prices=write("p.json", {"zone-b_x": [1]}), on_demand_price=1.0)
    with pytest.raises(TraceError, match=r"zone-a_x.csv: on_demand_price: missing, expected one in the file, or"):
        read_market(paths, convention="available", spot_price=1.0)
    with pytest.raises(TraceError, match=r"z.json: tick: was 600.0, expected 195.0 s, as in .*zone-a_x.csv"):
        read_market([paths[0], write("z.json", COUNTS)], convention="available", spot_price=1.0, on_demand_price=3.0)
    with pytest.raises(MarketError, match=r"pools: was .*, expected names that differ"):
        read_market([paths[0]] * 2, convention="available", spot_price=1.0, on_demand_price=3.0)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", "", "a.csv: line 1: missing, expected milliseconds,add|remove,node"),
        ("a.csv", "date,up\n", "a.csv: line 1: was 'date,up', expected the header date,availability"),
        ("a.csv", DATES + "x,1\n", "a.csv: line 5: date: was 'x', expected a date such as"),
        (
            "a.csv",
            DATES + "2023-02-15 22:18:00,yes\n",
            "a.csv: line 5: availability: was 'yes', expected a whole number",
        ),
        ("a.csv", DATES + "2023-02-15 22:18:00,-1\n", "a.csv: line 5: availability: was -1, expected how many nodes"),
        ("a.csv", DATES + "2023-02-15 22:18:00\n", "a.csv: line 5: was '2023-02-15 22:18:00', expected two fields"),
        ("a.csv", DATES + "2023-02-15 22:08:00,1\n", "a.csv: line 5: date: was '2023-02-15 22:08:00', expected a date"),
        ("a.csv", "0,add\n", "a.csv: line 1: was '0,add', expected three fields: milliseconds, add or remove, node"),
        ("a.csv", "0,take,n\n", "a.csv: line 1: kind: was 'take', expected add or remove"),
        ("a.csv", "0,remove,n\n", "a.csv: line 1: node: was 'n', expected one that is"),
        ("a.csv", "0,add,n\n0,add,n\n", "a.csv: line 2: node: was 'n', expected one that is not there"),
        ("a.csv", "9,add,n\n5,add,m\n", "a.csv: line 2: milliseconds: was 5, expected 9 or more"),
        ("a.json", "{\n 1", "a.json: line 2: not JSON"),
        ("a.json", "[]", r"a.json: data: was \[\], expected a list of values"),
        ("a.json", {"data": [1]}, "a.json: metadata.gap_seconds: missing, expected a number, more than 0"),
        ("a.json", {**COUNTS, "data": []}, "a.json: data: missing, expected at least one value"),
        ("a.json", {**COUNTS, "data": [0, 0.5]}, r"a.json: data\[1\]: was 0.5, expected how many nodes were available"),
        ("a.json", {**COUNTS, "prices": [1, 2]}, "a.json: prices: was '2 prices', expected 3, one for each value"),
        ("a.json", {**COUNTS, "prices": [1, None, 3]}, r"a.json: prices\[1\]: missing, expected a price, 0 or more"),
        ("a.txt", "", "a.txt: name: was 'a.txt', expected one that ends with .csv or .json"),
    ],
)
def test_an_error_names_file_line_and_field(write, name, content, message):
    with pytest.raises(TraceError, match=message.replace("|", r"\|")):
        read_series(write(name, content), convention="available")


def test_a_preempted_trace_holds_no_counts(write):
    with pytest.raises(TraceError, match=r"a.json: data\[2\]: was 4, expected 0 or 1 \(1: preempted\)"):
        read_counts(write("a.json", {**COUNTS, "data": [0, 1, 4]}), convention="preempted")


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(TraceError, match=r"none.json: cannot be read: No such file"):
        read_series(tmp_path / "none.json", convention="available")
    with pytest.raises(TraceError, match=r"none.tar.gz: cannot be read"):
        read_archive(tmp_path / "none.tar.gz", convention="preempted", together=True)


@needs_traces
@pytest.mark.parametrize("name", [name for name, each in MARKETS.items() if each.from_trace and name != "cant-be-late"])
def test_the_public_traces_are_markets(name):
    made = named(name)
    assert not isinstance(made, Windows)
    assert made.hours > 10
    shares = (made.counts > 0).mean(axis=1)
    assert ((shares > 0.1) & (shares <= 1)).all()
    assert made.prices.max() < made.on_demand_price


@needs_traces
def test_the_windows_of_the_archive_are_complements_of_each_other():
    windows = named("cant-be-late")
    assert isinstance(windows, Windows)
    assert (len(windows), windows.ticks, len(set(windows.labels))) == (2400, 554, 8)
    mean = np.mean([windows.counts(tick).mean() for tick in range(0, 554, 50)])
    assert 0.5 < mean < 0.8


@needs_traces
def test_lifetimes_of_real_nodes_are_read():
    folder = traces_folder()
    assert folder is not None
    lives = read_lifetimes(folder / "goog-preemption" / "data.json", zone="us-central1-c")
    assert len(lives) == 813
    assert lives.max() < 25 * 3600
