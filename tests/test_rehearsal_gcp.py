"""Whole scenarios on the local Google Cloud: those in which it differs most, and what must not go unnoticed there.

``make rehearsals`` plays all of them.
"""

from __future__ import annotations

import pytest

from rehearsal_support import play
from spotkeeper_lab.situation import Situation
from spotkeeper_lab.stages.stage import CHECKPOINTS

pytestmark = pytest.mark.rehearsal
GCP = {"cloud": "gcp"}


@pytest.mark.parametrize("name", ["one-interruption", "update"])
def test_a_scenario_keeps_every_promise(name, tmp_path):
    report = play(name, tmp_path, **GCP).report
    assert report["broken_promises"] == []
    assert report["ok"]
    training = report["training"]
    assert (training["finished"], training["steps_lost"]) == (True, 0)
    assert training["digest"] == training["uninterrupted_digest"]
    assert report["gcp_calls"]["responder"] > 0
    (interrupted,) = report["interruptions"]
    assert interrupted["agent_heard_s"] < interrupted["reclaimed_s"]
    assert interrupted["backup_requested_s"] < interrupted["reclaimed_s"]


def test_without_a_notice_the_job_goes_on_from_the_last_whole_checkpoint_and_what_was_lost_is_told(tmp_path):
    report = play("no-notice", tmp_path, **GCP).report
    assert report["broken_promises"] == []
    (taken,) = report["interruptions"]
    assert (taken["held_job"], taken["notice_s"], taken["checkpoint_confirmed_s"]) == (True, 0, None)
    training = report["training"]
    assert training["resumed"]
    assert training["resume_step"] > 0
    assert training["steps_lost"] == taken["steps_lost"] > 0
    assert training["digest"] == training["uninterrupted_digest"]


def test_without_the_responder_the_same_scenario_fails(tmp_path):
    report = play("one-interruption", tmp_path, within=12, responder=False, **GCP).report
    told = "\n".join(report["broken_promises"])
    assert "waited for backup-serving" in told
    assert "the responder never signalled" in told
    assert "were lost" not in told, "the node itself hears the notice, and saves"


def test_with_a_store_that_loses_what_it_was_given_the_same_scenario_fails(tmp_path):
    def lose(now: Situation, local) -> None:
        """Cut every part of every checkpoint short once the node that trained has saved and before another goes on."""
        if not now.confirmed or now.generation > 1:
            return
        for name in local.objects(CHECKPOINTS, "job/parts/"):
            local.buckets.write(CHECKPOINTS, name, b"cut", {})

    report = play("one-interruption", tmp_path, within=15, nodes=1, meddle=lose, **GCP).report
    assert any(
        "training did not go on" in sentence or "steps were lost" in sentence for sentence in report["broken_promises"]
    )
