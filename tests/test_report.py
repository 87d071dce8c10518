from __future__ import annotations

import io
import json
from dataclasses import replace

import pytest
from rich.console import Console

from lab_support import START, recovered
from spotkeeper_lab import scenario
from spotkeeper_lab.evidence import Evidence
from spotkeeper_lab.report import build
from spotkeeper_lab.summary import headline, summary, verdicts
from spotkeeper_lab.timeline import DEPLOY, FROZEN, SPOT, Alarm, Deploy, Fault, Strike
from spotkeeper_ledger import Goodput

STORY = scenario.load("one-interruption")
STORY = replace(STORY, durations=replace(STORY.durations, fleet={**STORY.durations.fleet, "notice_seconds": 8.0}))
"""With the notice of the timeline that is told of."""
GOOD = Evidence(recovered(), STORY.expect, digest="abc", uninterrupted_digest="abc")
CALLS = {
    "responder": {"s3:GetObject": 30, "ec2:DescribeInstances": 40},
    "agents": {"s3:PutObject": 9},
    "lab": {"s3:GetObject": 500},
}


@pytest.fixture
def report():
    return build(STORY, GOOD, CALLS)


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
    (each,) = build(STORY, replace(GOOD, timeline=timeline), CALLS)["interruptions"]
    assert each["signalled_s"] is None
    assert each["of_notice"]["signalled"] is None


def test_training(report):
    training = report["training"]
    assert (training["steps"], training["steps_lost"], training["resumed"]) == (460, 0, True)
    assert (training["resumed_on"], training["resume_step"]) == ("i-spot-b", 130)
    assert report["ok"] is True
    assert report["broken_promises"] == []


def test_training_on_several_nodes_is_compared_by_its_samples():
    first, second = recovered().holdings
    others = [replace(first, others=("i-spot-b", "i-spot-c")), replace(second, others=("i-spot-c",))]
    end = {"samples": "s1", "accuracy": 0.983}
    given = replace(GOOD, timeline=replace(recovered(), holdings=others), uninterrupted_digest="other")
    report = build(scenario.load("elastic"), replace(given, final=end, uninterrupted=end), CALLS)
    training = report["training"]
    assert (report["ok"], training["ranks"], training["resumed_ranks"], training["samples"]) == (True, 3, 2, "s1")
    assert training["moves"][0]["others"] == ["i-spot-c"]
    console = Console(file=io.StringIO(), width=200)
    console.print(summary(report))
    said = console.file.getvalue()
    assert "resumed on 2 nodes from step 130, 0 steps lost, the same samples in every step as without" in said
    assert "(accuracy 98.3%, without any 98.3%)" in said
    other = replace(given, final={**end, "samples": "s2"}, uninterrupted=end)
    console.print(summary(build(scenario.load("elastic"), other, CALLS)))
    assert "other samples in every step" in console.file.getvalue()


def test_where_the_time_has_gone():
    story = scenario.load("one-interruption")
    assert build(story, GOOD, CALLS)["training"]["goodput"] is None
    goodput = Goodput(1.0, useful_seconds=30.0, saving_seconds=2.0, restart_seconds=6.0, waiting_seconds=2.0)
    report = build(story, replace(GOOD, timeline=replace(recovered(), goodput=goodput)), CALLS)
    assert report["training"]["goodput"] == {
        "fraction": 0.75,
        "useful_seconds": 30.0,
        "saving_seconds": 2.0,
        "recomputed_seconds": 0.0,
        "restart_seconds": 6.0,
        "waiting_seconds": 2.0,
    }
    console = Console(file=io.StringIO(), width=200)
    console.print(summary(report))
    said = console.file.getvalue()
    assert "Goodput: 75%, 30.0 s of useful steps; lost: 2.0 s saving, 6.0 s restarts, 2.0 s waiting for a node." in said


def test_capacity_is_what_ran(report):
    assert report["capacity"] == {"spot_node_s": 18 + 33 + 14, "on_demand_node_s": 13.4}


def test_calls_of_the_product_are_counted_and_those_of_the_lab_are_not(report):
    calls = report["aws_calls"]
    assert (calls["responder"], calls["agents"]) == (70, 9)
    assert calls["by_operation"]["responder"]["ec2:DescribeInstances"] == 40
    assert calls["per_interruption"] == 60 - 20


def test_a_broken_promise_makes_it_not_ok():
    report = build(STORY, replace(GOOD, digest="other"), CALLS)
    assert report["ok"] is False
    assert len(report["broken_promises"]) == 1


def test_nothing_happened():
    timeline = replace(recovered(), notices=[], holdings=[], lives=[], calls=[], finished_at=None)
    report = build(STORY, Evidence(timeline, GOOD.expect), {})
    assert report["ok"] is False
    assert report["interruptions"] == []
    assert (report["training"]["resumed"], report["training"]["resumed_on"]) == (False, None)
    assert report["aws_calls"]["per_interruption"] is None


def test_a_job_that_trains_nothing_has_no_training():
    assert build(STORY, replace(GOOD, trains=False), CALLS)["training"] is None


def test_the_headline_names_the_numbers(report):
    assert headline(report) == (
        "notice 8 s  ·  checkpoint confirmed after 0.4 s  ·  backup asked for after 0.5 s  ·  back on spot after 14.0 s"
        "  ·  0 steps lost"
    )


def struck() -> Evidence:
    """The holder was frozen instead of interrupted, 30 steps after it had saved, and woke up; a spare was hostile."""
    timeline = recovered()
    strike = Strike(
        "i-spot-a", FROZEN, SPOT, START + 9, held_job=True, step=118, until=START + 20, refused_at=START + 19.5,
        backup_requested_at=START + 10.5, returned_at=START + 24,
    )  # fmt: skip
    holdings = [timeline.holdings[0], replace(timeline.holdings[1], resume_step=100)]
    forgeries = {"forged": {"written": 7, "refused": 0}, "foreign": {"written": 0, "refused": 5}}
    return replace(
        GOOD, timeline=replace(timeline, notices=[], holdings=holdings, strikes=[strike], forgeries=forgeries)
    )


def test_nodes_that_were_struck_are_measured_from_then_on():
    report = build(scenario.load("zombie"), struck(), CALLS)
    (each,) = report["strikes"]
    assert each == {
        "node": "i-spot-a",
        "how": "frozen",
        "held_job": True,
        "started_s": 9,
        "step": 118,
        "published_step": 90,
        "taken_over_s": 2,
        "steps_lost": 30,
        "backup_requested_s": 1.5,
        "backup_serving_s": None,
        "publish_refused_s": 10.5,
        "woken_s": 11,
        "gone_s": None,
        "returned_to_spot_s": 15,
    }
    assert report["training"]["resumed"]
    assert report["training"]["resume_step"] == 100
    assert report["forgeries"]["foreign"] == {"written": 0, "refused": 5}
    console = Console(file=io.StringIO(), width=400)
    console.print(summary(report))
    told = console.file.getvalue()
    assert "i-spot-a * was frozen 9.0 s after the start: job taken over after 2.0 s" in told
    assert "its checkpoint refused after 10.5 s, woken after 11.0 s, back on spot after 15.0 s" in told
    assert "30 steps since its last checkpoint done again" in told
    assert "7 forged, 5 foreign documents: 5 were refused by the cloud, 7 were written and ignored" in told


def test_what_was_broken_and_who_was_called_is_told_in_figures_and_in_words():
    refused = {"share": 0.5, "calls": {"agents": 40}, "refused": {"agents": 21}}
    timeline = replace(
        recovered(),
        faults=[Fault("throttle", START + 9, START + 17, refused), Fault("crash", START + 9.5)],
        blocked=[(START + 1, "quota"), (START + 2, "quota"), (START + 3, "configuration")],
        alarms=[Alarm(START + 4.5, "responder-quota", "Sum of Failures: GreaterThanThreshold 0", "Raise it.")],
    )
    report = build(STORY, replace(GOOD, timeline=timeline), CALLS)
    throttle, crash = report["faults"]
    assert throttle == {**refused, "kind": "throttle", "from_s": 9.0, "to_s": 17.0}
    assert crash == {"kind": "crash", "from_s": 9.5, "to_s": None}
    assert report["launches_failed"] == {"quota": 2, "configuration": 1}
    (alarm,) = report["alarms"]
    assert (alarm["name"], alarm["rang_s"]) == ("responder-quota", 4.5)
    json.dumps(report)
    console = Console(file=io.StringIO(), width=200)
    console.print(summary(report))
    told = console.file.getvalue()
    assert "Throttle from 9.0 s to 17.0 s: 40 (agents) calls made, 21 (agents) calls refused." in told
    assert "Crash from 9.5 s to the end: nothing came of it." in told
    assert "Launches failed: 2 (quota) and 1 (configuration)." in told
    assert "Rang after 4.5 s: responder-quota (Sum of Failures: GreaterThanThreshold 0)." in told


def test_each_node_tells_its_version_and_how_it_ended_and_each_deploy_what_it_changed():
    timeline = recovered()
    lives = [replace(life, version="2" if life.node == "i-spot-c" else "1") for life in timeline.lives]
    deploy = Deploy(DEPLOY, START + 6, START + 8, changed=("aws:ec2/launchTemplate:LaunchTemplate",))
    evidence = replace(GOOD, timeline=replace(timeline, lives=lives, deploys=[deploy]))
    report = build(STORY, evidence, CALLS)
    assert {life["node"]: (life["version"], life["ended_by"]) for life in report["lives"]} == {
        "i-spot-a": ("1", "taken"),
        "i-spot-b": ("1", "named"),
        "i-backup": ("1", "named"),
        "i-spot-c": ("2", "named"),
    }
    (told,) = report["deploys"]
    assert (told["started_s"], told["took_s"]) == (6.0, 2.0)
    assert told["changed"] == ["aws:ec2/launchTemplate:LaunchTemplate"]


def test_several_rehearsals_are_a_line_each():
    broken = build(replace(STORY, name="storm"), replace(GOOD, digest=None), CALLS, cloud="gcp")
    console = Console(file=io.StringIO(), width=80)
    console.print(verdicts([build(STORY, GOOD, CALLS, cloud="gcp"), broken]))
    told = console.file.getvalue()
    assert [line.split() for line in told.splitlines()[1:3]] == [
        ["one-interruption", "ok", "34", "0", "13", "70"],
        ["storm", "NOT", "ok:", "1", "broken", "34", "0", "13", "70"],
    ]
    assert "On gcp." in told


def test_a_node_that_was_told_as_it_went_is_told_of_so():
    story = replace(STORY, own={"gcp": {"preemptionNoticeSeconds": 0}})
    taken = replace(recovered().notices[0], deadline=START + 10, confirmed_at=None, confirmed_step=None)
    timeline = replace(recovered(), notices=[taken, recovered().notices[1]])
    report = build(story, replace(GOOD, timeline=timeline), CALLS, cloud="gcp")
    (told,) = report["interruptions"]
    assert (told["notice_s"], told["of_notice"]["backup_requested"], told["steps_lost"]) == (0, None, 0)
    assert report["durations"]["notice_seconds"] == 0
    assert headline(report).startswith("no notice  ·  backup asked for after 0.5 s")
    console = Console(file=io.StringIO(), width=200)
    console.print(summary(report))
    assert "which was said only as it happened" in " ".join(console.file.getvalue().split())
