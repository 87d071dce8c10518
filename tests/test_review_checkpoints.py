"""Two fleets with the same checkpoints, and rules that delete what is current in a bucket."""

from __future__ import annotations

import json
from typing import Any

import pytest

from spotkeeper_lab.review import DANGER, INTERRUPTS, Review, read_preview, review

PREFIX = "urn:pulumi:prod::vision::"
AWS_RULES = "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration"


def fleet(name: str, before: str | None, after: str | None) -> list[dict[str, Any]]:
    """Steps of a fleet whose checkpoints lie there before and after; ``None`` where there is no fleet."""
    operation = "same" if before == after else "create" if before is None else "delete" if after is None else "update"
    component = f"{PREFIX}spotkeeper:index:AwsTrainingFleet::{name}"
    spec = f"{PREFIX}spotkeeper:index:AwsTrainingFleet$aws:s3/bucketObjectv2:BucketObjectv2::{name}-spec"

    def states(inputs: dict[str, Any], parent: str = "") -> dict[str, Any]:
        old = {"inputs": inputs | ({"checkpointUri": before} if "nodes" in inputs else {}), "parent": parent}
        new = {"inputs": inputs | ({"checkpointUri": after} if "nodes" in inputs else {}), "parent": parent}
        return ({} if before is None else {"oldState": old}) | ({} if after is None else {"newState": new})

    return [
        {"op": operation, "urn": component, **states({"nodes": 4})},
        {"op": operation, "urn": spec, **states({"bucket": "ledger", "key": f"fleets/{name}/spec.json"}, component)},
    ]


def told(*steps: dict[str, Any]) -> Review:
    return review(read_preview(json.dumps({"steps": steps})))


def of(found: Review, name: str) -> list[tuple[str, str]]:
    return [(each.level, each.text) for part in found.sections if part.fleet == name for each in part.findings]


def test_a_fleet_that_comes_to_the_checkpoints_of_one_that_stays_is_dangerous() -> None:
    for before in (None, "s3://saves/b"):
        found = told(*fleet("a", "s3://saves/a", "s3://saves/a"), *fleet("b", before, "s3://saves/a/"))
        [*_, (level, text)] = [
            each for each in of(found, "b") if "keeps its checkpoints where `a` has its own" in each[1]
        ]
        assert (level, "job that begins last keeps the other one from saving" in text) == (DANGER, True)
        assert of(found, "a") == []


def test_the_next_run_of_a_job_is_told_what_may_be_lost() -> None:
    found = told(*fleet("a", "s3://saves/a", None), *fleet("b", None, "s3://saves/a"))
    assert [level for level, text in of(found, "b") if "which this deploy destroys" in text] == [INTERRUPTS]


def test_fleets_apart_and_fleets_that_have_long_been_together_are_nothing_new() -> None:
    found = told(*fleet("a", "s3://saves/a", "s3://saves/a"), *fleet("b", None, "s3://saves/b"))
    assert [level for level, _ in of(found, "b")] == ["note"]
    assert told(*(step for name in "ab" for step in fleet(name, "s3://saves/a", "s3://saves/a"))).sections == []


def rules(
    kind: str, *given: dict[str, Any], bucket: str = "saves", old: tuple[dict[str, Any], ...] = ()
) -> dict[str, Any]:
    key = "rules" if kind == AWS_RULES else "lifecycleRules"
    where = "bucket" if kind == AWS_RULES else "name"
    states = ({"inputs": {where: bucket, key: list(each)}} for each in (old, given))
    return {"op": "update", "urn": f"{PREFIX}{kind}::rules", **dict(zip(("oldState", "newState"), states, strict=True))}


AGE = {"action": {"type": "Delete"}, "condition": {"age": 30}}
GOOGLE = "gcp:storage/bucket:Bucket"


@pytest.mark.parametrize(
    ("step", "held"),
    [
        (rules(AWS_RULES, {"status": "Enabled", "expiration": {"days": 30}}), "checkpoints of `a`"),
        (rules(AWS_RULES, {"expiration": {"date": "2027-01-01"}, "filter": {"prefix": "jobs/"}}), "checkpoints of `a`"),
        (
            rules(AWS_RULES, {"expiration": {"days": 1}, "filter": {"and": {"prefix": "jobs/a/old"}}}),
            "checkpoints of `a`",
        ),
        (rules(AWS_RULES, {"expiration": {"days": 1}}, bucket="ledger"), "the records of `a`"),
        (rules(GOOGLE, AGE), "checkpoints of `a`"),
        (rules(AWS_RULES, {"status": "Disabled", "expiration": {"days": 30}}), ""),
        (rules(AWS_RULES, {"expiration": {"days": 30}}, old=({"expiration": {"days": 30}},)), ""),
        (rules(AWS_RULES, {"expiration": {"days": 30}, "filter": {"prefix": "logs/"}}), ""),
        (rules(AWS_RULES, {"expiration": {"days": 30}}, bucket="logs"), ""),
        (rules(AWS_RULES, {"noncurrentVersionExpiration": {"noncurrentDays": 7}}, bucket="ledger"), ""),
        (rules(AWS_RULES, {"expiration": {"expiredObjectDeleteMarker": True}}), ""),
        (rules(GOOGLE, {"action": {"type": "Delete"}, "condition": {"daysSinceNoncurrentTime": 7}}), ""),
        (rules(GOOGLE, {"action": {"type": "Delete"}, "condition": {"age": 30, "withState": "ARCHIVED"}}), ""),
        (rules(GOOGLE, {"action": {"type": "SetStorageClass"}, "condition": {"age": 30}}), ""),
        (rules(GOOGLE, {**AGE, "condition": {"age": 30, "matchesPrefixes": ["logs/"]}}), ""),
    ],
)
def test_only_rules_that_delete_what_is_current_and_needed_are_dangerous(step: dict[str, Any], held: str) -> None:
    found = told(*fleet("a", "s3://saves/jobs/a", "s3://saves/jobs/a"), step)
    assert [finding.level for finding in found.findings] == ([DANGER] if held else [])
    assert not held or held in found.findings[0].text
