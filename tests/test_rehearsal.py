"""Whole scenarios on the local AWS with real processes, and rehearsals of what must not go unnoticed."""

from __future__ import annotations

import pytest

from rehearsal_support import play
from spotkeeper_lab import scenario
from spotkeeper_lab.situation import Situation
from spotkeeper_lab.stages.stage import CHECKPOINTS

pytestmark = pytest.mark.rehearsal

INTERRUPTED = {"storm": 3, "drought": 2, "deadline": 2, "dark": 2, "crash-node": 0, "zombie": 0}
"""How many nodes a scenario gives a notice, where it is not one."""


@pytest.mark.parametrize("name", scenario.names("aws"))
def test_every_scenario_keeps_every_promise(name, tmp_path):
    report = play(name, tmp_path).report
    assert report["broken_promises"] == []
    assert report["ok"]
    training = report["training"]
    assert training["finished"] is not name.startswith("destroy")
    silent = [strike for strike in report["strikes"] if strike["how"] != "hostile"]
    assert training["steps_lost"] == sum(strike["steps_lost"] for strike in silent), "only who was told of nothing"
    if name == "elastic":  # another number of ranks makes its sums in another order
        assert training["samples"] == training["uninterrupted_samples"] is not None
        assert training["ranks"] >= 3
        groups = {move["group"] for move in training["moves"]}
        assert (training["resumed_ranks"], groups) == (2, {"spot", "backup"})
    else:
        assert training["digest"] == training["uninterrupted_digest"]
    interrupted = [each for each in report["interruptions"] if each["kind"] == "interruption"]
    assert len(interrupted) == INTERRUPTED.get(name, 1)
    for each in interrupted:
        assert each["agent_heard_s"] < each["reclaimed_s"]
        if scenario.load(name).expect.backup_before_reclaim and not report["forgeries"]:  # which were bought for before
            assert each["backup_requested_s"] < each["reclaimed_s"]
    if name == "drought":
        assert {move["group"] for move in training["moves"]} == {"spot", "backup"}
    if name == "rebalance":
        recommended = report["interruptions"][0]
        assert (recommended["kind"], recommended["backup_requested_s"]) == ("rebalance", None)
        assert recommended["checkpoint_confirmed_s"] is not None


def test_without_the_responder_the_same_scenario_fails(tmp_path):
    report = play("one-interruption", tmp_path, within=15, responder=False).report
    assert not report["ok"]
    told = "\n".join(report["broken_promises"])
    assert "waited for backup-serving" in told
    assert "the responder never signalled" in told
    assert "0 on-demand nodes were asked for when" in told
    assert "were lost" not in told, "the node itself hears the notice, and saves"


def test_with_a_store_that_loses_what_it_was_given_the_same_scenario_fails(tmp_path):
    def lose(now: Situation, local) -> None:
        """Cut every part of every checkpoint short once the node that trained has saved and before another goes on."""
        if not now.confirmed or now.generation > 1:
            return
        s3 = local.client("s3")
        for entry in s3.list_objects_v2(Bucket=CHECKPOINTS, Prefix="job/parts/").get("Contents", []):
            s3.put_object(Bucket=CHECKPOINTS, Key=entry["Key"], Body=b"cut")

    report = play("one-interruption", tmp_path, within=20, nodes=1, meddle=lose).report
    assert not report["ok"]
    assert any(
        "training did not go on" in sentence or "steps were lost" in sentence for sentence in report["broken_promises"]
    )


def test_a_job_that_trains_nothing_is_taken_over_as_well(tmp_path):
    report = play("finish", tmp_path, trainer="none").report
    assert report["broken_promises"] == []
    assert report["training"] is None
    (each,) = report["interruptions"]
    assert each["held_job"]
    assert each["signalled_s"] < each["reclaimed_s"]
