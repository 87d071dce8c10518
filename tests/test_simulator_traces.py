from __future__ import annotations

import json
import time

import pytest

from simulator_support import needs_traces
from spotkeeper_lab.simulator import MARKETS, MarketError, Windows, named, traces_folder
from spotkeeper_lab.simulator.traces import (
    TraceError,
    read_availability,
    read_counts,
    read_curve,
    read_events,
    read_market,
    read_prices,
    read_rates,
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
    both = write("p.json", {"a": [1, 2.0], "b": 0.9})
    own = write("zone-a_x.json", {"prices": [1], "gap_seconds": 195, "price_info": {"on_demand_price": 3.06}})
    found = read_prices([both, own])
    assert {pool: prices.dollars.tolist() for pool, prices in found.items()} == {"a": [1, 2], "b": 0.9, "zone-a_x": [1]}
    assert (found["zone-a_x"].tick_seconds, found["zone-a_x"].on_demand_price) == (195, 3.06)
    assert (found["a"].tick_seconds, found["a"].on_demand_price) == (None, None)
    with pytest.raises(TraceError, match=r"q.json: a: is priced in .*p.json too, expected one of them"):
        read_prices([both, write("q.json", {"a": 2})])
    with pytest.raises(TraceError, match=r"q.json: b: was 'x', expected a list of prices"):
        read_prices([write("q.json", {"b": "x"})])
    with pytest.raises(TraceError, match=r"q.json: b\[0\]: was -1, expected a price, 0 or more"):
        read_prices([write("q.json", {"b": -1})])


def test_rates_are_read_by_pool_or_type(write):
    assert read_rates(write("r.json", {"g5": 0.6, "zone-a_p5": 1})) == {"g5": 0.6, "zone-a_p5": 1}
    with pytest.raises(TraceError, match=r"r.json: g5: was 0, expected a number, more than 0"):
        read_rates(write("r.json", {"g5": 0}))


def test_events_are_counted_at_the_beginning_of_each_tick(write):
    path = write("events.csv", "0,add,n1\n0,add,n2\n61000,remove,n1\n150000,add,n3\n")
    series = read_events(path, convention="available", tick_seconds=60.0)
    assert series.counts.tolist() == [2, 2, 1, 2]
    assert read_series(path, convention="available").counts.tolist() == [2, 2, 1, 2]


def test_a_curve_tells_how_many_nodes_there_are_at_the_beginning_of_each_tick(write):
    path = write("curve.csv", "1676498896000,1\n1676498896000,2\n1676498957000,1\n1676499046000,2\n")
    series = read_curve(path, convention="available", tick_seconds=60.0)
    assert series.counts.tolist() == [2, 2, 1, 2], "the first moment is the beginning"
    assert read_series(path, convention="available").counts.tolist() == [2, 2, 1, 2]


@pytest.mark.parametrize("content", ["0,add,n1\n", "0,4\n"])
@pytest.mark.parametrize("convention", ["preempted", "lifetimes"])
def test_what_counts_nodes_has_one_convention(write, content, convention):
    with pytest.raises(TraceError, match=f"a.csv: convention: was '{convention}', expected available for such a file"):
        read_series(write("a.csv", content), convention=convention)


def test_dates_mean_the_same_wherever_they_are_read(write, monkeypatch):
    """That morning clocks in Berlin went back from three to two: there the first two are 70 minutes apart."""
    path = write("a.csv", "date,availability\n2022-10-30 02:50:00,1\n2022-10-30 03:00:00,0\n2022-10-30 03:10:00,1\n")
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    try:
        assert read_availability(path, convention="available").tick_seconds == 600
    finally:
        monkeypatch.undo()
        time.tzset()


def test_a_market_is_read_from_files_of_one_pool_each(write):
    paths = [write("zone-a_x.csv", DATES), write("zone-b_x.csv", DATES.replace(",0", ",1"))]
    prices = write("prices.json", {"zone-a_x": [1, 2, 3], "zone-b_x": [4, 5, 6]})
    made = read_market(paths, convention="available", prices=[prices], on_demand_price=3.06, room=4)
    assert (made.pools, made.counts.tolist()) == (("zone-a_x", "zone-b_x"), [[0, 4, 4], [4, 4, 4]])
    assert made.prices.tolist() == [[1, 2, 3], [4, 5, 6]]
    mixed = write("m.json", {"zone-a_x": [1, 2, 3, 4], "zone-b_x": 0.5})
    made = read_market(paths, convention="available", prices=[mixed], on_demand_price=3.06)
    assert made.prices.tolist() == [[1, 2, 3], [0.5, 0.5, 0.5]]
    with pytest.raises(TraceError, match=r"zone-a_x.csv: on_demand_price: missing, expected one in a file of"):
        read_market(paths, convention="available", spot_price=1.0)
    with pytest.raises(TraceError, match=r"z.json: tick: was 600.0, expected 195.0 s, as in .*zone-a_x.csv"):
        read_market([paths[0], write("z.json", COUNTS)], convention="available", spot_price=1.0, on_demand_price=3.0)
    with pytest.raises(MarketError, match=r"pools: was .*, expected names that differ"):
        read_market([paths[0]] * 2, convention="available", spot_price=1.0, on_demand_price=3.0)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", "", "a.csv: the file: is empty, expected a line for each probe, event or count"),
        ("a.csv", "1\n", "a.csv: line 1: was '1', expected date,availability (header), milliseconds,nodes or"),
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
        ("a.csv", DATES[:40], "a.csv: the file: was '1 probes', expected two at least"),
        ("a.csv", "0,add,n\n9,add\n", "a.csv: line 2: was '9,add', expected three fields: milliseconds, add or remove"),
        ("a.csv", "0,add\n", "a.csv: line 1: nodes: was 'add', expected a whole number"),
        ("a.csv", "0,1\n9,2,3\n", "a.csv: line 2: was '9,2,3', expected two fields: milliseconds, nodes"),
        ("a.csv", "0,1\n9,-2\n", "a.csv: line 2: nodes: was -2, expected how many nodes there were"),
        ("a.csv", "9,1\n5,2\n", "a.csv: line 2: milliseconds: was 5, expected 9 or more, the time before"),
        ("a.csv", "0,1\n1676498896000000,2\n", "a.csv: milliseconds: was 1676498896000000.0, expected ten years after"),
        ("a.csv", "0,take,n\n", "a.csv: line 1: kind: was 'take', expected add or remove"),
        ("a.csv", "0,remove,n\n", "a.csv: line 1: node: was 'n', expected one that is"),
        ("a.csv", "0,add,n\n0,add,n\n", "a.csv: line 2: node: was 'n', expected one that is not there"),
        ("a.csv", "9,add,n\n5,add,m\n", "a.csv: line 2: milliseconds: was 5, expected 9 or more"),
        ("a.json", "{\n 1", "a.json: line 2: not JSON"),
        ("a.json", "", "a.json: line 1: not JSON"),
        ("a.json", "[]", r"a.json: data: was \[\], expected a list of values"),
        (
            "a.json",
            {**COUNTS, "data": [0, [1]]},
            r"a.json: data\[1\]: was \[1\], expected how many nodes were available",
        ),
        ("a.json", {**COUNTS, "data": [0, -1]}, r"a.json: data\[1\]: was -1, expected how many nodes were available"),
        ("a.json", {**COUNTS, "data": [10**20]}, r"a.json: data\[0\]: was 10+, expected .* 0 to 1,000,000"),
        (
            "a.json",
            {"n": {"time_in_sec": 5}},
            "a.json: data: missing, expected a list of values, unless these are life",
        ),
        ("a.json", {"data": [1]}, "a.json: metadata.gap_seconds: missing, expected a number, more than 0"),
        ("a.json", {**COUNTS, "data": []}, "a.json: data: missing, expected at least one value"),
        ("a.json", {**COUNTS, "data": [0, 0.5]}, r"a.json: data\[1\]: was 0.5, expected how many nodes were available"),
        ("a.json", {**COUNTS, "prices": [1, 2]}, "a.json: prices: was '2 prices', expected 3, one for each value"),
        ("a.json", {**COUNTS, "prices": [1, None, 3]}, r"a.json: prices\[1\]: missing, expected a price, 0 or more"),
        ("a.txt", "", "a.txt: name: was 'a.txt', expected one that ends with .csv, .json or .tar.gz"),
    ],
)
def test_an_error_names_file_line_and_field(write, name, content, message):
    with pytest.raises(TraceError, match=message.replace("|", r"\|").replace("(header)", r"\(header\)")):
        read_series(write(name, content), convention="available")


def test_a_preempted_trace_holds_no_counts(write):
    with pytest.raises(TraceError, match=r"a.json: data\[2\]: was 4, expected 0 or 1 \(1: preempted\)"):
        read_counts(write("a.json", {**COUNTS, "data": [0, 1, 4]}), convention="preempted")


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(TraceError, match=r"none.json: cannot be read: No such file"):
        read_series(tmp_path / "none.json", convention="available")


@needs_traces
@pytest.mark.parametrize("name", [name for name, each in MARKETS.items() if each.from_trace and name != "cant-be-late"])
def test_the_public_traces_are_markets(name):
    made = named(name)
    assert not isinstance(made, Windows)
    assert made.hours > 10
    shares = (made.counts > 0).mean(axis=1)
    assert ((shares > 0.1) & (shares <= 1)).all()
    assert made.prices.max() < made.on_demand_price


def test_prices_are_of_the_ticks_that_they_are_for(write):
    trace = write("zone-a_x.csv", DATES)
    ticks = {"prices": [1, 2, 3], "gap_seconds": 300}
    with pytest.raises(TraceError, match=r"gap_seconds: was 300.0, expected 195.0 s, as ticks of .*zone-a_x.csv"):
        read_market([trace], convention="available", prices=[write("zone-a_x.json", ticks)], on_demand_price=3.0)
    few = write("p.json", {"zone-a_x": [1]})
    with pytest.raises(
        TraceError, match=r"p.json: zone-a_x: was '1 prices', expected 3, as many as .*zone-a_x.csv has"
    ):
        read_market([trace], convention="available", prices=[few], on_demand_price=3.0)
    other = write("p.json", {"zone-b_x": [1]})
    with pytest.raises(TraceError, match=r"zone-a_x.csv: prices: missing, expected prices of zone-a_x, in a file of"):
        read_market([trace], convention="available", prices=[other], on_demand_price=3.0)


def test_files_have_to_agree_what_on_demand_costs(write):
    paths = [write(f"zone-{zone}_x.csv", DATES) for zone in "ab"]
    (paths[0].parent / "prices").mkdir()
    prices = [
        write(f"prices/zone-{zone}_x.json", {"prices": [1] * 3, "price_info": {"on_demand_price": dollars}})
        for zone, dollars in (("a", 3), ("b", 4))
    ]
    with pytest.raises(TraceError, match=r"zone-b_x.csv: on_demand_price: was 4.0, expected 3.0, as of zone-a_x, or"):
        read_market(paths, convention="available", prices=prices)
    assert read_market(paths, convention="available", prices=prices, on_demand_price=5.0).on_demand_price == 5


@needs_traces
def test_both_forms_of_the_same_public_trace_are_the_same_counts():
    folder = traces_folder()
    assert folder is not None
    events, curve = (
        read_series(folder / "parcae" / name, convention="available").counts.tolist()
        for name in ("p3trace.csv", "p3.csv")
    )
    assert events == curve
    assert len(events) > 600
