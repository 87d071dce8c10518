"""Every format of traces from the command line, as a user names it."""

from __future__ import annotations

import io
import json
import tarfile
from itertools import pairwise

import pytest

from simulator_support import needs_traces
from spotkeeper_lab.cli import main
from spotkeeper_lab.simulator import traces_folder
from spotkeeper_lab.simulator.traces import FORMATS

JOB = ["--work", "2h", "--deadline", "4h", "--starts", "3", "--policy", "greedy,on-demand", "--no-optimum", "--json"]
PRICES = ["--spot-price", "1", "--on-demand-price", "3"]
HOURS = 24
MINUTE = 60_000
UP = [int(tick % 30 > 5) for tick in range(HOURS * 6)]
"""Ten minutes a tick, down for one hour in five."""


def told(capsys, *arguments):
    code = main([*arguments])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def simulated(capsys, *arguments):
    """What a comparison told programs."""
    code, out, err = told(capsys, "simulate", *arguments, *JOB)
    assert code == 0, err
    return json.loads(out)


def probes():
    lines = [f"2023-02-{15 + tick // 144:02} {tick // 6 % 24:02}:{tick % 6}0:00,{up}\n" for tick, up in enumerate(UP)]
    return "date,availability\n" + "".join(lines)


def curve():
    return "".join(f"{tick * 10 * MINUTE},{4 * up}\n" for tick, up in enumerate(UP))


def events():
    changes = [(tick, up) for tick, (before, up) in enumerate(pairwise([0, *UP])) if up != before]
    return "".join(
        f"{tick * 10 * MINUTE},{'add' if up else 'remove'},n{node}\n" for tick, up in changes for node in range(4)
    )


def counts(values=UP, **more):
    return json.dumps({"metadata": {"gap_seconds": 600}, "data": values, **more})


def lifetimes():
    nodes = {}
    for number in range(40):
        data = {"ZONE": "us-east1-b", "MACHINE_TYPE": "n1" if number < 20 else "n2"}
        nodes[f"node{number}"] = {"time_in_sec": 3600.0 * (1 + number % 8), "instance_data": data}
    return json.dumps(nodes)


@pytest.fixture
def write(tmp_path):
    def written(name, content):
        path = tmp_path / name
        path.write_text(content)
        return str(path)

    return written


@pytest.fixture
def archive(tmp_path):
    path = tmp_path / "windows.tar.gz"
    with tarfile.open(path, "w:gz") as packed:
        for part in ("slow", "quick"):
            for pool in ("us-east-1a_x", "us-east-1b_x"):
                for number in range(3):
                    raw = counts([1 - up for up in UP[number:][:40]]).encode()
                    info = tarfile.TarInfo(f"{part}/{pool}/{number}.json")
                    info.size = len(raw)
                    packed.addfile(info, io.BytesIO(raw))
    return str(path)


@pytest.mark.parametrize(
    ("name", "content", "options"),
    [
        ("us-east-1a_x.csv", probes, []),
        ("us-east-1a_x.csv", curve, ["--nodes", "4"]),
        ("us-east-1a_x.csv", events, ["--nodes", "4"]),
        ("us-east-1a_x.json", counts, []),
        ("us-east-1a_x.json", counts, ["--room", "4", "--nodes", "4"]),
    ],
)
def test_a_file_of_one_pool_is_simulated(capsys, write, name, content, options):
    found = simulated(capsys, "--trace", write(name, content()), "--convention", "available", *PRICES, *options)
    assert found["market"]["availability"] == {"us-east-1a_x": pytest.approx(0.8, abs=0.02)}
    assert found["policies"][0]["spot_hours"] > 0
    assert found["policies"][0]["mean"] < found["on_demand_cost"]


def test_an_archive_is_simulated_with_its_pools_together_or_apart(capsys, archive):
    trace = ["--trace", archive, "--convention", "preempted", *PRICES]
    _, _, err = told(capsys, "simulate", *trace, *JOB)
    assert "quick/us-east-1a_x/0.json: is window 0 of us-east-1a_x, as " in err
    together = simulated(capsys, *trace, "--within", "slow")
    assert (together["market"]["pools"], together["market"]["windows"]) == (["us-east-1a_x", "us-east-1b_x"], 3)
    apart = simulated(capsys, *trace, "--within", "slow", "--apart")
    assert (apart["market"]["pools"], apart["market"]["windows"]) == (["each-pool"], 3), "three of the six"
    assert apart["market"]["pool_by_window"] == ["us-east-1a_x"] * 2 + ["us-east-1b_x"]


def test_lifetimes_are_simulated_with_what_they_do_not_tell(capsys, write):
    trace = ["--trace", write("data.json", lifetimes()), "--convention", "lifetimes", *PRICES]
    assert "--vacancy: was not given, expected a time such as 10m" in told(capsys, "simulate", *trace, *JOB)[2]
    trace += ["--vacancy", "20m"]
    assert "--pools: was not given, expected some of us-east1-b_n1, " in told(capsys, "simulate", *trace, *JOB)[2]
    trace += ["--pools", "us-east1-b_n2", "--room", "2", "--nodes", "2"]
    found = simulated(capsys, *trace)
    assert found["market"]["pools"] == ["us-east1-b_n2"]
    assert found == simulated(capsys, *trace)
    assert found != simulated(capsys, *trace, "--seed", "1")


def test_types_of_node_differ_in_rate_and_price(capsys, write):
    """The cheap type is half as fast: on it the job takes twice as long."""
    files = [write(f"us-east-1a_{kind}.json", counts([1] * 144)) for kind in ("p5", "p4d")]
    prices = write("prices.json", json.dumps({"us-east-1a_p5": [2.0] * 144, "us-east-1a_p4d": 0.5}))
    options = ["--convention", "available", "--prices", prices, "--on-demand-price", "4", "--restart", "0s"]
    options += ["--boot", "0s", "--pause", "0s", "--save", "0s"]
    trace = ["--trace", *files, *options]
    assert simulated(capsys, *trace)["policies"][0]["mean"] == pytest.approx(2 * 0.5)
    slow = simulated(capsys, *trace, "--rates", "p4d=0.8")
    assert slow["market"]["rates"] == {"us-east-1a_p5": 1.0, "us-east-1a_p4d": 0.8}
    assert slow["policies"][0]["mean"] == pytest.approx(2 * 0.5 / 0.8)
    rates = write("rates.json", json.dumps({"us-east-1a_p4d": 0.8}))
    assert simulated(capsys, *trace, "--rates", rates)["policies"] == slow["policies"]
    out = told(capsys, "simulate", *trace, *JOB[:-1], "--rates", "p4d=0.8")[1]
    assert "below on-demand rate\n" in out
    assert "us-east-1a_p4d      100%    1    0.500 0.500 0.500             88%  0.8" in out
    plan = ["plan", *trace, *JOB[:6], "--rates"]
    assert "in us-east-1a (p5)" in " ".join(told(capsys, *plan, "p4d=0.2")[1].split()), "the slow one is not worth it"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--rates", "p5=0.5"], "rates: was 'p5', expected a pool or a type: us-east-1a_x, x"),
        (["--rates", "x=fast"], "--rates: was 'x=fast', expected a pool or type and its rate, such as g5=0.6"),
        (["--rates", "x=0"], "rates: x: was 0.0, expected more than 0"),
        (["--rates", "nowhere.json"], "nowhere.json: cannot be read: No such file or directory"),
        (["--within", "x"], "--within: goes with an archive (.tar.gz)"),
        (["--vacancy", "9m"], "--vacancy: was given, expected none: it goes with lifetimes"),
        (["--prices", "nowhere.json"], "nowhere.json: cannot be read: No such file or directory"),
        (["--nodes", "2"], "room for nodes: was 1 at most, expected 2 for the job"),
    ],
)
def test_options_that_do_not_fit_are_refused_in_a_line(capsys, write, options, message):
    trace = ["--trace", write("us-east-1a_x.json", counts()), "--convention", "available", *PRICES]
    code, out, err = told(capsys, "simulate", *trace, *JOB, *options)
    assert (code, out) == (2, "")
    assert message in err


def test_an_archive_is_named_alone_and_has_its_own_prices(capsys, archive, write):
    trace = ["--trace", archive, write("us-east-1a_x.json", counts()), "--convention", "preempted", *PRICES]
    assert "--trace: was 2 files, expected an archive alone, or none: " in told(capsys, "simulate", *trace, *JOB)[2]
    trace = ["--trace", archive, "--convention", "preempted", "--prices", "prices.json"]
    assert "--prices: goes with files of one pool each; an archive" in told(capsys, "simulate", *trace, *JOB)[2]


def test_a_named_market_is_read_as_it_is(capsys):
    code, _, err = told(capsys, "simulate", "--market", "us-east-2", "--convention", "available", *JOB)
    assert (code, "--convention: goes with --trace; a named market has its own" in err) == (2, True)


def test_formats_are_listed_and_there_is_an_example_of_each(capsys):
    out = told(capsys, "simulate", "--list")[1]
    assert all(form in out for form in FORMATS)
    with pytest.raises(SystemExit):
        main(["simulate", "--help"])
    out = capsys.readouterr().out
    for part in (".csv --convention available", ".json --convention available", ".tar.gz --convention preempted",
                 ".json --convention lifetimes", "--rates p4d=0.4"):  # fmt: skip
        assert part in out


SKYNOMAD = "skynomad/data/"
PROBES = f"{SKYNOMAD}real/availability/2023-02-15/processed/us-east-2a_v100_1.csv"
ON_DEMAND = ["--on-demand-price", "3"]
SINGLE, MULTI = (f"frontier-cs/cant_be_late_{kind}real_traces.tar.gz" for kind in ("", "multi_"))
LIVES = ["--vacancy", "10m", "--pools", "us-central1-c_n1-highcpu-16"]


@needs_traces
@pytest.mark.parametrize(
    ("path", "convention", "options"),
    [
        (PROBES, "available", ["--prices", f"{SKYNOMAD}v100_spot_prices.json", *ON_DEMAND]),
        (PROBES, "available", ["--prices", f"{SKYNOMAD}v100_1node_prices/us-east-2a_v100_1.json"]),
        (f"{SKYNOMAD}v100_multinode_raw/16-nodes/us-west-2a_v100_1.json", "available", [*PRICES, "--nodes", "16"]),
        (f"{SKYNOMAD}spot_hedge_4node_src/us-east-2a_v100_1.json", "available", [*PRICES, "--nodes", "4"]),
        ("parcae/p3.csv", "available", [*PRICES, "--nodes", "16"]),
        ("parcae/p3trace.csv", "available", [*PRICES, "--nodes", "16"]),
        (SINGLE, "preempted", [*PRICES, "--within", "overhead=0.20", "--apart"]),
        (MULTI, "preempted", ON_DEMAND),
        ("goog-preemption/data.json", "lifetimes", [*PRICES, *LIVES, "--room", "4", "--nodes", "4"]),
    ],
)
def test_every_public_trace_is_simulated(capsys, path, convention, options):
    folder = traces_folder()
    assert folder is not None
    options = [str(folder / word) if word.startswith(SKYNOMAD) else word for word in options]
    found = simulated(capsys, "--trace", str(folder / path), "--convention", convention, *options)
    assert all(0.1 < share <= 1 for share in found["market"]["availability"].values())
    assert all(each["late"] == 0 for each in found["policies"])
