"""What a reviewer is told is what the deploy does: previews of the real stack program, one changed input at a time."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache
from typing import Any

import pulumi
import pytest

import spotkeeper
from preview_support import Engine
from pulumi_support import fleet_args
from spotkeeper_lab.review import DANGER, INTERRUPTS, NOTE, Review, read_preview, review
from test_gcp_stack import LEAST as GCP_LEAST
from test_stack import LEAST, PROGRAM, as_given

Told = Callable[..., Review]


def told(document: dict[str, Any]) -> Review:
    return review(read_preview(json.dumps(document)))


@cache
def engine_of(cloud: str, **declared: Any) -> tuple[Engine, dict[str, Any]]:
    """Return a deployed stack, and its configuration."""
    least = {**(LEAST if cloud == "aws" else GCP_LEAST), **declared}
    engine = Engine()
    engine.up(PROGRAM, as_given(least))
    return engine, least


def deployed(cloud: str, **declared: Any) -> Told:
    """Deploy a stack; asked with changed inputs it answers with the review of their preview."""
    engine, least = engine_of(cloud, **declared)
    return lambda **changes: told(engine.preview(PROGRAM, as_given({**least, **changes})))


@pytest.fixture
def aws() -> Told:
    return deployed("aws")


@pytest.fixture
def gcp() -> Told:
    return deployed("gcp")


def of_fleet(found: Review) -> list[tuple[str, str]]:
    return [
        (finding.level, finding.text) for section in found.sections if section.fleet for finding in section.findings
    ]


def test_a_preview_without_changes_says_nothing(aws: Told, gcp: Told) -> None:
    for found in (aws(), gcp()):
        assert (found.sections, found.level, found.problems) == ([], NOTE, ())
        assert {step.operation for step in found.steps} == {"same"}


def test_a_new_stack_starts_a_fleet() -> None:
    engine = Engine()
    found = told(engine.preview(PROGRAM, as_given({**LEAST, "onDemandBase": 1})))
    [(level, text)] = of_fleet(found)
    assert (level, found.sections[0].fleet) == (NOTE, "spotkeeper-test-training")
    assert "4 nodes are asked for at once, 1 of them on-demand for good" in text


def test_more_nodes_disturb_nobody(aws: Told) -> None:
    [(level, text)] = of_fleet(aws(nodes=6))
    assert (level, text) == (NOTE, "**2 nodes more** (`nodes` 4 → 6): asked for at once. The job goes on.")


def test_fewer_nodes_are_drained_by_name(aws: Told, gcp: Told) -> None:
    for previewed in (aws, gcp):
        [(level, text)] = of_fleet(previewed(nodes=3))
        assert level == INTERRUPTS
        assert "**1 node fewer** (`nodes` 4 → 3): drained by name at the next tick" in text
        assert "Each saves, then goes; no other node" in text


def test_nodes_that_train_together_go_on_together() -> None:
    engine = Engine()
    together = {**LEAST, "gang": "single_zone", "elastic": {"min_nodes": 2}}
    engine.up(PROGRAM, as_given(together))

    def previewed(nodes: int) -> Review:
        return told(engine.preview(PROGRAM, as_given({**together, "nodes": nodes})))

    assert "takes them in at its next checkpoint" in of_fleet(previewed(nodes=5))[0][1]
    assert "the others go on together from that checkpoint" in of_fleet(previewed(nodes=2))[0][1]


def test_a_new_image_waits_for_the_next_run(aws: Told) -> None:
    [(level, text)] = of_fleet(aws(imageId="ami-2"))
    assert level == NOTE
    assert "a new version (the image). **The running job does not get it** (`onUpdate: next-run`)" in text


def test_a_new_command_restarts_the_job_where_that_is_declared() -> None:
    previewed = deployed("aws", onUpdate="checkpoint-restart")
    [(level, text)] = of_fleet(previewed(command="train --better"))
    assert level == INTERRUPTS
    assert "(`onUpdate: checkpoint-restart`): the command, the agent or their settings" in text
    assert "each saves, and the job goes on from that checkpoint" in text


def test_what_has_waited_comes_with_the_switch_and_the_sizes_beside_it_are_told() -> None:
    engine = Engine()
    engine.up(PROGRAM, as_given(LEAST))
    engine.up(PROGRAM, as_given({**LEAST, "imageId": "ami-2"}))
    changes = {**LEAST, "imageId": "ami-2", "onUpdate": "checkpoint-restart", "nodes": 3}
    texts = of_fleet(told(engine.preview(PROGRAM, as_given(changes))))
    assert [level for level, _ in texts] == [INTERRUPTS, INTERRUPTS, NOTE]
    assert "all that has changed since the nodes started" in texts[0][1]
    assert "(`nodes` 4 → 3)" in texts[1][1]
    assert texts[2][1].startswith("`onUpdate` `next-run` → `checkpoint-restart`")


def test_google_s_templates_are_replaced_only_for_a_restart(gcp: Told) -> None:
    assert of_fleet(gcp(image="projects/p/global/images/other")) == []
    previewed = deployed("gcp", onUpdate="checkpoint-restart")
    [(level, text)] = of_fleet(previewed(image="projects/p/global/images/other"))
    assert level == INTERRUPTS
    assert "**The job restarts on a new version of its nodes**" in text


def test_limits_of_on_demand(aws: Told) -> None:
    texts = of_fleet(aws(onDemandBase=1, onDemandMax=2, maxOnDemandHours=48, policy="patient"))
    assert [level for level, _ in texts] == [INTERRUPTS, INTERRUPTS, INTERRUPTS, NOTE]
    joined = "\n".join(text for _, text in texts)
    assert "`onDemandBase` 0 → 1: 1 node of on-demand more, and as many of spot drained by name" in joined
    assert "`onDemandMax` 4 → 2: the fleet may hold up to 2 on-demand nodes; what there is beyond is drained" in joined
    assert "`maxOnDemandHours` no limit → 48" in joined
    assert "`policy` `mirror` → `patient`: how a shortfall of spot is answered." in joined


def test_another_place_for_checkpoints_is_dangerous_also_where_the_spec_is_not_known() -> None:
    for changes in ({}, {"onUpdate": "checkpoint-restart"}):
        texts = of_fleet(deployed("aws", **changes)(checkpointUri="s3://saves/other"))
        assert (texts[0][0], "from `s3://saves/job` to `s3://saves/other`" in texts[0][1]) == (DANGER, True)


def test_timings_and_ways_to_end_are_told(aws: Told) -> None:
    texts = dict(reversed(each) for each in of_fleet(aws(onDestroy="force", timings={"linger_seconds": 7.5})))
    assert texts["`onDestroy` `checkpoint` → `force`: from now on destroying the fleet does not save."] == NOTE
    assert texts["`timings`: `linger_seconds` `300` → `7.5`."] == NOTE


def test_a_destroyed_fleet_saves_first_unless_it_was_deployed_with_force(aws: Told) -> None:
    renamed = aws(fleetName="next", onDestroy="force")
    by_fleet = {section.fleet: section.findings for section in renamed.sections}
    over, new = by_fleet["spotkeeper-test-next"]
    assert (over.level, new.level) == (INTERRUPTS, NOTE)
    assert "It goes on from the checkpoints of `spotkeeper-test-training`, which this deploy destroys." in over.text
    [gone] = by_fleet["spotkeeper-test-training"]
    assert gone.level == INTERRUPTS
    assert "Every node saves before it goes, for up to 600 s. Checkpoints stay at `s3://saves/job`." in gone.text
    forced = deployed("aws", onDestroy="force")(fleetName="next")
    assert [text for level, text in of_fleet(forced) if level == DANGER and "is destroyed without saving" in text]


def test_google_s_machines_have_their_own_time_to_save(gcp: Told) -> None:
    assert any("spot machines for up to 30 s" in text for _, text in of_fleet(gcp(fleetName="next")))


def test_another_ledger_is_dangerous(aws: Told) -> None:
    found = aws(bucketName="other-ledger")
    assert (of_fleet(found)[0][0], "**The fleet moves to another ledger**" in of_fleet(found)[0][1]) == (DANGER, True)
    shared = found.sections[-1]
    assert "**Bucket `spotkeeper-123456789012-eu-west-1` is replaced**" in shared.findings[0].text
    assert [finding.level for finding in shared.findings] == [DANGER, INTERRUPTS]


def test_destroying_everything_names_the_ledger() -> None:
    for cloud in ("aws", "gcp"):
        found = told(engine_of(cloud)[0].destroy())
        assert (found.level, [level for level, _ in of_fleet(found)]) == (DANGER, [INTERRUPTS])
        texts = [finding.text for finding in found.sections[-1].findings]
        assert "It holds a ledger" in texts[0]
        assert "**Responder `responder` is deleted.**" in texts[1]


def program(*, responder: bool = False, buckets: tuple[str, ...] = ()) -> Callable[[], None]:
    """A fleet whose ledger is ``ledger`` and whose checkpoints lie in ``checkpoints``."""

    def declare() -> None:
        for bucket in buckets:
            pulumi.CustomResource("aws:s3/bucket:Bucket", bucket, {"bucket": bucket})
        if responder:
            spotkeeper.AwsInterruptionResponder("keeper", {"bucket_name": "ledger"})
        spotkeeper.AwsTrainingFleet("train", fleet_args(responder="s3://ledger"))

    return declare


def test_buckets_with_checkpoints_or_a_ledger_are_dangerous_to_delete_and_others_are_not() -> None:
    engine = Engine()
    engine.up(program(buckets=("checkpoints", "ledger", "logs")))
    document = engine.preview(program())
    saves, ledger = told(document).findings
    assert (saves.level, ledger.level) == (DANGER, DANGER)
    assert saves.text == (
        "**Bucket `checkpoints` is deleted**, which the cloud refuses as long as anything is in it, so that the deploy "
        "stops halfway. It holds the checkpoints of `spotkeeper-test-train`."
    )
    assert "It holds a ledger" in ledger.text
    [gone] = [step for step in document["steps"] if step["urn"].endswith("::checkpoints")]
    gone["oldState"]["inputs"]["forceDestroy"] = True
    assert "**with everything in it** (`forceDestroy`)" in told(document).findings[0].text
    gone["oldState"]["retainOnDelete"] = True
    assert [finding.level for finding in told(document).findings] == [DANGER, NOTE]


def test_a_responder_that_goes_alone_leaves_its_fleets_named_only_where_pulumi_tells_of_them() -> None:
    engine = Engine()
    engine.up(program(responder=True))
    found = told(engine.preview(program()))
    assert "**Responder `keeper` is deleted.**" in found.findings[1].text
    assert "for `spotkeeper-test-train`, which stay" in found.findings[1].text
    blind = told(engine.preview(program(), show_sames=False))
    assert "fleets of other stacks that name it are not in this preview" in blind.findings[1].text
    assert {finding.level for finding in blind.findings} == {DANGER, INTERRUPTS}  # its ledger goes, in any case
