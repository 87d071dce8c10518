"""Rehearsals of nodes that die, wake too late or lie, with something sabotaged: none of them may pass."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from rich.console import Console

from spotkeeper_lab import scenario
from spotkeeper_lab.live import Lines
from spotkeeper_lab.local_aws import LocalAws
from spotkeeper_lab.rehearsal import Rehearsal
from spotkeeper_lab.situation import Situation
from spotkeeper_lab.stages.stage import CHECKPOINTS, HEAD_KEY
from spotkeeper_ledger import FleetSpec, NodeNotice, dump, keys, load
from spotkeeper_ledger.checkpoints import Head
from spotkeeper_ledger.documents import INTERRUPTION, notice_id

pytestmark = pytest.mark.rehearsal


def play(
    name: str, tmp_path, meddle: Callable[[Situation, LocalAws], None], *, until: str, within: float = 12
) -> dict[str, Any]:
    """Play a scenario up to its first step that waits for ``until``; what follows would prove no more.

    ``within`` is how many seconds that one may take.
    """
    story = scenario.load(name)
    last = [step.when for step in story.steps].index(until)
    steps = (*story.steps[:last], replace(story.steps[last], within=within))
    played = Rehearsal(replace(story, steps=steps), tmp_path, Lines(Console(file=io.StringIO())), meddle=meddle)
    return played.run().report


def broken(report: dict[str, Any], said: str) -> bool:
    assert not report["ok"]
    return any(said in sentence for sentence in report["broken_promises"])


def test_a_holder_that_dies_after_its_checkpoints_were_lost_is_no_loss_within_bounds(tmp_path):
    def lose(now: Situation, local: LocalAws) -> None:
        """Take the head away once the node that trained is dead and before another goes on."""
        if now.lost and now.generation == 1:
            local.client("s3").delete_object(Bucket=CHECKPOINTS, Key=HEAD_KEY)

    report = play("crash-node", tmp_path, lose, until="training-resumed")
    assert broken(report, "began at step 0")
    assert broken(report, "resumed at step 0 although step")


def test_a_zombie_that_is_not_fenced_is_found_out(tmp_path):
    def unfence(now: Situation, local: LocalAws) -> None:
        """Put the head back to the generation of the node that stands still, whatever the new one writes."""
        if not now.lost or now.generation < 2:
            return
        s3 = local.client("s3")
        head = load(Head, s3.get_object(Bucket=CHECKPOINTS, Key=HEAD_KEY)["Body"].read())
        if head.generation > 1:
            older = replace(head, generation=1, revision=head.revision + 1)
            s3.put_object(Bucket=CHECKPOINTS, Key=HEAD_KEY, Body=dump(older))

    # Whether it is refused all the same depends on who publishes first after the head was put back.
    report = play("zombie", tmp_path, unfence, until="publish-refused", within=4)
    assert broken(report, "head went back from generation 2 to 1")


def test_forgeries_that_reach_another_nodes_folder_are_found_out(tmp_path):
    done: set[str] = set()

    def sign(now: Situation, local: LocalAws) -> None:
        """Do what no role lets a node do: write another spare's notice into its own folder, signed with its name."""
        hostile = [moment.node for moment in local.events.moments() if moment.what == "hostile"]
        spares = [node.node for node in now.serving("spot") if node.node not in (now.holder, *hostile)]
        if done or not hostile or not spares:
            return
        s3 = local.client("s3")
        bucket = next(name["Name"] for name in s3.list_buckets()["Buckets"] if name["Name"] != CHECKPOINTS)
        fleet = local.nodes.node(spares[0]).fleet
        spec = load(FleetSpec, s3.get_object(Bucket=bucket, Key=keys.spec(fleet))["Body"].read())
        told = NodeNotice(
            fleet, spec.incarnation, spares[0], notice_id(spares[0], INTERRUPTION), INTERRUPTION, heard_at=now.at
        )
        key = keys.notice(fleet, spec.node_prefix + spares[0])
        s3.put_object(Bucket=bucket, Key=key, Body=dump(told))
        done.add(spares[0])

    report = play("forge", tmp_path, sign, until="forged")
    (victim,) = done
    assert broken(report, f"{victim} was taken for a node under interruption, on nobody's word but")
