from __future__ import annotations

import json
import re

import pytest
from matplotlib.image import imread

from spotkeeper_lab.cli import main
from spotkeeper_lab.commands.units import duration

JOB = ["--work", "4h", "--deadline", "8h", "--starts", "6"]
DATES = "date,availability\n" + "".join(
    f"2023-02-{15 + hour // 24:02} {hour % 24:02}:{minute:02}:00,{int(hour % 5 > 0)}\n"
    for hour in range(48)
    for minute in range(0, 60, 10)
)


@pytest.fixture
def trace(tmp_path):
    path = tmp_path / "us-east-1a_x.csv"
    path.write_text(DATES)
    return [
        "--trace", str(path), "--convention", "available", "--spot-price", "1", "--on-demand-price", "3",
    ]  # fmt: skip


def told(capsys, *arguments):
    code = main([*arguments])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_it_compares_policies_in_a_table(capsys, trace):
    code, out, _ = told(
        capsys, "simulate", *trace, *JOB, "--policy", "deadline,greedy,patient:20m,time-sliced:3,on-demand"
    )
    assert code == 0
    assert "us-east-1a_x       79%    1    1.000 1.000 1.000             67%" in out
    assert "4 h of work by 8 h on 1 node, 6 starts in us-east-1a_x; on-demand alone $12.4" in out
    for policy in ("deadline", "greedy", "patient", "time-sliced", "on-demand"):
        assert f"\n{policy} " in out
    assert all(len(line) <= 80 for line in out.splitlines())


def test_it_tells_programs_every_run_and_the_same_twice(capsys, trace):
    first, second = (told(capsys, "simulate", *trace, *JOB, "--json", "--coverage", "0.5")[1] for _ in range(2))
    assert first == second
    found = json.loads(first)
    assert [each["policy"] for each in found["policies"]][:2] == ["deadline", "mirror"]
    assert all(len(each["cost"]) == 6 for each in found["policies"])
    assert found["market"]["availability"] == {"us-east-1a_x": pytest.approx(0.8, abs=0.01)}
    on_demand = next(each for each in found["policies"] if each["policy"] == "on-demand")
    assert on_demand["mean"] == pytest.approx(found["on_demand_cost"])


def test_an_elastic_job_is_as_fast_on_few_nodes_as_it_is_told(capsys, trace, tmp_path):
    (tmp_path / "us-east-1a_x.csv").write_text(DATES.replace(",1", ",2"))
    job = [*trace, *JOB, "--nodes", "4", "--minimum", "2", "--policy", "never", "--no-optimum", "--json"]
    proportion, well = (
        json.loads(told(capsys, "simulate", *job, *more)[1]) for more in ([], ["--speeds", "0.4,0.7,0.9,1"])
    )
    assert (proportion["job"]["speeds"], well["job"]["speeds"]) == ([], [0.4, 0.7, 0.9, 1.0])
    assert well["policies"][0]["mean"] < proportion["policies"][0]["mean"]


@pytest.mark.parametrize("text", ["0.5", "0.5,x,1", "0,1", "", "nan,1", "0.5,2"])
def test_what_is_no_speed_is_refused(capsys, text):
    with pytest.raises(SystemExit):
        main(["simulate", f"--speeds={text}", *JOB])
    assert f"argument --speeds: was {text!r}, expected the speed with 1, 2, " in capsys.readouterr().err


def test_it_draws_the_costs_and_one_run(capsys, trace, tmp_path):
    picture = tmp_path / "new" / "costs.png"
    code, out, _ = told(
        capsys, "simulate", *trace, *JOB, "--policy", "deadline,mirror", "--plot", str(picture), "--follow", "2"
    )
    assert (code, f"Picture: {picture}" in out.replace("\n", "")) == (0, True)
    height, width, _ = imread(picture).shape
    assert (width, height > 600) == (1560, True)


def test_a_plan_says_what_to_declare_and_what_it_costs(capsys, trace):
    code, out, _ = told(capsys, "plan", *trace, *JOB)
    words = " ".join(out.split())
    assert code == 0
    assert re.search(
        r"Use policy \w+( with an excess of \$[\d.]+)?, no on-demand base, in us-east-1a, and save every", words
    )
    assert "(p5 to p95)" in words
    assert "What it is sensitive to" in words
    assert "no notice is ever used" in words
    found = json.loads(told(capsys, "plan", *trace, *JOB, "--json")[1])
    assert found["worth"] is True
    assert found["choice"]["policy"] == found["tried"][0]["policy"]
    assert found["tried"][0]["late"] == 0
    assert found["choice"]["policy"] != "never", "it was in time by luck"
    assert {each["policy"] for each in found["tried"]} == {"deadline", "mirror", "patient", "never"}


def test_a_plan_says_where_spot_is_not_worth_it(capsys, trace):
    dear = [*trace[:-4], "--spot-price", "2.99", "--on-demand-price", "3"]
    code, out, _ = told(capsys, "plan", *dear, *JOB)
    assert code == 0
    assert "Use on-demand, $12.44: the best on spot" in " ".join(out.split())


def test_a_plan_says_when_no_try_on_spot_is_paid_for(capsys, trace):
    _, out, _ = told(capsys, "plan", *trace, *JOB, "--excess", "0.1")
    assert "The excess does not pay for a try on spot that comes to nothing" in " ".join(out.split())


def test_a_plan_for_several_nodes_tries_an_on_demand_base_and_zones_alone(capsys):
    job = ["--work", "3h", "--deadline", "6h", "--starts", "2", "--nodes", "1"]
    found = json.loads(told(capsys, "plan", "--market", "us-east-1", *job, "--json")[1])
    assert {len(each["pools"]) for each in found["tried"]} == {1, 3}
    job[-1] = "16"
    found = json.loads(told(capsys, "plan", "--market", "16-nodes", *job, "--json")[1])
    assert {each["base"] for each in found["tried"]} == {0, 4, 8}


def test_markets_and_policies_are_listed(capsys):
    code, out, _ = told(capsys, "simulate", "--list")
    assert code == 0
    assert "us-east-1 " in out
    assert "v100-2023 " in out
    assert "deadline " in out
    assert told(capsys, "plan", "--list")[0] == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--work", "4h", "--deadline", "8h"], "name a market (--market, see --list) or traces of your own"),
        (["--market", "us-east-2", "--deadline", "8h"], "--work: was not given, expected a time such as 40h"),
        (["--market", "moon", *JOB], "market: was 'moon', expected one of us-east-1, "),
        (["--market", "us-east-2", "--work", "9h", "--deadline", "8h"], "--deadline: was 8h, expected at least "),
        (["--market", "us-east-2", *JOB, "--nodes", "2"], "room for nodes: was 1 at most, expected 2 for the job"),
        (["--market", "16-nodes", *JOB, "--nodes", "2", "--speeds", "0.6,1"], "--speeds: goes with --minimum, fewer"),
        (
            ["--market", "16-nodes", *JOB, "--nodes", "3", "--minimum", "1", "--speeds", "1"],
            "--speeds: was (1.0,), exp",
        ),
        (["--market", "us-east-2", *JOB, "--room", "2"], "--room: goes with --trace"),
        (["--market", "us-east-2", *JOB, "--pools", "x"], "pools: was 'x', expected one of us-east-2a_v100"),
        (["--market", "us-east-2", *JOB, "--coverage", "2"], "--notice_coverage: was 2.0, expected 0 to 1"),
        (["--market", "us-east-2", *JOB, "--follow", "6"], "--follow: was 6, expected 0 to 5"),
        (["--market", "us-east-2", *JOB, "--policy", "hope"], "policy: was 'hope', expected one of deadline, "),
        (["--market", "us-east-2", *JOB, "--policy", "mirror:5m"], "policy: was 'mirror' with 300 after it"),
        (["--market", "us-east-2", *JOB, "--policy", "patient:x"], "--policy patient:x: was 'x', expected a time"),
        (["--market", "us-east-2", *JOB, "--traffic", "1,2"], "--traffic: was '1,2', expected bytes,time of a step"),
        (["--market", "us-east-2", *JOB, "--traffic", "1,2h,x"], "--traffic: was '1,2h,x', expected bytes,time"),
        (["--trace", "none.csv", *JOB], "--convention: was not given, expected available"),
        (["--trace", "none.csv", "--convention", "available", *JOB], "none.csv: cannot be read: No such file"),
    ],
)
def test_what_cannot_be_simulated_is_refused_in_a_line(capsys, arguments, message):
    code, out, err = told(capsys, "simulate", *arguments)
    assert (code, out) == (2, "")
    assert message in err
    assert err.startswith("spotkeeper simulate: ")


def test_an_error_in_a_trace_names_file_line_and_field(capsys, trace, tmp_path):
    (tmp_path / "us-east-1a_x.csv").write_text(DATES + "2023-02-17 00:00:00,many\n")
    code, _, err = told(capsys, "simulate", *trace, *JOB)
    assert code == 2
    assert "us-east-1a_x.csv: line 290: availability: was 'many', expected a whole number" in err


def test_times_are_read_as_people_write_them():
    assert [duration(text) for text in ("40h", "1h30m", "90s", "2d", "0.5h")] == [144000, 5400, 90, 172800, 1800]


@pytest.mark.parametrize("text", ["40", "h", "4 h", "-1h", "1h30"])
def test_what_is_no_time_is_refused(capsys, text):
    with pytest.raises(SystemExit):
        main(["simulate", f"--work={text}", "--deadline", "8h"])
    assert f"argument --work: was {text!r}, expected a time such as 40h" in capsys.readouterr().err
