from __future__ import annotations

import json
from dataclasses import replace

import pytest

from lab_support import START, recovered
from spotkeeper_lab import scenario
from spotkeeper_lab.proof import Evidence
from spotkeeper_lab.report import build
from spotkeeper_lab.summary import headline

GOOD = Evidence(recovered(), scenario.load("one-interruption").expect, digest="abc", uninterrupted_digest="abc")
CALLS = {
    "responder": {"s3:GetObject": 30, "ec2:DescribeInstances": 40},
    "agents": {"s3:PutObject": 9},
    "lab": {"s3:GetObject": 500},
}


@pytest.fixture
def report():
    return build(scenario.load("one-interruption"), GOOD, CALLS)


def test_it_has_all_the_names_that_were_promised(report):
    assert report.keys() >= {
        "cloud",
        "scenario",
        "durations",
        "ok",
        "broken_promises",
        "interruptions",
        "training",
        "capacity",
        "aws_calls",
    }
    assert report["interruptions"][0].keys() >= {
        "node",
        "kind",
        "held_job",
        "notice_at",
        "deadline",
        "agent_heard_s",
        "signalled_s",
        "checkpoint_confirmed_s",
        "backup_requested_s",
        "backup_serving_s",
        "returned_to_spot_s",
    }
    assert report["training"].keys() >= {
        "steps",
        "steps_lost",
        "resumed",
        "resumed_on",
        "resume_step",
        "digest",
        "uninterrupted_digest",
    }
    assert report["capacity"].keys() >= {"spot_node_s", "on_demand_node_s"}
    assert report["aws_calls"].keys() >= {"responder", "agents", "by_operation", "per_interruption"}


def test_it_is_json(report):
    assert json.loads(json.dumps(report, allow_nan=False)) == report


def test_interruptions_are_measured_from_their_notice_and_as_fractions_of_it(report):
    (each,) = report["interruptions"]
    assert (each["node"], each["kind"], each["held_job"], each["deadline"]) == (
        "i-spot-a",
        "interruption",
        True,
        START + 18,
    )
    assert each["checkpoint_confirmed_s"] == pytest.approx(0.4, abs=0.001)
    assert each["returned_to_spot_s"] == pytest.approx(14, abs=0.001)
    assert each["notice_s"] == report["durations"]["notice_seconds"] == 8
    assert each["of_notice"]["returned_to_spot"] == pytest.approx(14 / 8, abs=0.001)


def test_what_did_not_happen_is_null():
    timeline = recovered()
    timeline = replace(timeline, notices=[replace(timeline.notices[0], signalled_at=None)])
    (each,) = build(scenario.load("one-interruption"), replace(GOOD, timeline=timeline), CALLS)["interruptions"]
    assert each["signalled_s"] is None
    assert each["of_notice"]["signalled"] is None


def test_training(report):
    training = report["training"]
    assert (training["steps"], training["steps_lost"], training["resumed"]) == (460, 0, True)
    assert (training["resumed_on"], training["resume_step"]) == ("i-spot-b", 130)
    assert report["ok"] is True
    assert report["broken_promises"] == []


def test_capacity_is_what_ran(report):
    assert report["capacity"] == {"spot_node_s": 18 + 33 + 14, "on_demand_node_s": 13.4}


def test_calls_of_the_product_are_counted_and_those_of_the_lab_are_not(report):
    calls = report["aws_calls"]
    assert (calls["responder"], calls["agents"]) == (70, 9)
    assert calls["by_operation"]["responder"]["ec2:DescribeInstances"] == 40
    assert calls["per_interruption"] == 60 - 20


def test_a_broken_promise_makes_it_not_ok():
    report = build(scenario.load("one-interruption"), replace(GOOD, digest="other"), CALLS)
    assert report["ok"] is False
    assert len(report["broken_promises"]) == 1


def test_nothing_happened():
    timeline = replace(recovered(), notices=[], holdings=[], lives=[], calls=[], finished_at=None)
    report = build(scenario.load("one-interruption"), Evidence(timeline, GOOD.expect), {})
    assert report["ok"] is False
    assert report["interruptions"] == []
    assert (report["training"]["resumed"], report["training"]["resumed_on"]) == (False, None)
    assert report["aws_calls"]["per_interruption"] is None


def test_a_job_that_trains_nothing_has_no_training():
    assert build(scenario.load("one-interruption"), replace(GOOD, trains=False), CALLS)["training"] is None


def test_the_headline_names_the_numbers(report):
    assert headline(report) == (
        "notice 8 s  ·  checkpoint confirmed after 0.4 s  ·  backup asked for after 0.5 s  ·  back on spot after 14.0 s"
        "  ·  0 steps lost"
    )
