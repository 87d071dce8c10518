"""Rules of a bucket that delete what is current in it. Checkpoints and records are read however old they are. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from spotkeeper_lab.review.finding import DANGER, Finding, code
from spotkeeper_lab.review.fleets import BUCKETS, Fleet
from spotkeeper_lab.review.preview import CREATE, REPLACE, UPDATE, State, Step, known, number

LIFECYCLES = frozenset(
    {
        "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration",
        "aws:s3/bucketLifecycleConfigurationV2:BucketLifecycleConfigurationV2",
    }
)
_AGES = ("age", "createdBefore", "customTimeBefore", "daysSinceCustomTime")
"""Conditions of Cloud Storage that what is current can meet."""


def expiries(steps: Sequence[Step], fleets: Sequence[Fleet]) -> list[Finding]:
    """Return which new rules delete checkpoints or a ledger."""
    found = []
    for step in steps:
        if step.operation not in {CREATE, UPDATE, REPLACE}:
            continue
        rules = {*_rules(step, step.after)} - {*_rules(step, step.before)}
        for bucket, prefix, after in sorted(rules):
            held = sorted({text for fleet in fleets for text in _held(fleet, bucket, prefix)})
            if held:
                text = f"**What lies in {code(f'{bucket}/{prefix}')} is deleted {after}**, however much it is needed: "
                found.append(Finding(DANGER, f"{text}{', '.join(held)}. Only what is no longer current may expire."))
    return found


def _held(fleet: Fleet, bucket: str, prefix: str) -> Iterator[str]:
    uri, ledger = fleet.checkpoint_uris()[1], fleet.ledgers()[1]
    place = uri.split("://")[-1] if uri else ""
    there, _, folder = place.partition("/")
    if there == bucket and (folder.startswith(prefix) or prefix.startswith(folder)):
        yield f"checkpoints of {code(fleet.id)}, also the latest of a job that stands still"
    if ledger == bucket:
        yield f"the records of {code(fleet.id)}"


def _rules(step: Step, state: State | None) -> Iterator[tuple[str, str, str]]:
    """Yield bucket, prefix and time, in words, of each rule that deletes what is current."""
    inputs = state.inputs if state else {}
    if step.kind in LIFECYCLES:
        rules, read = inputs.get("rules"), _aws
    elif step.kind in BUCKETS:
        rules, read = inputs.get("lifecycleRules"), _google
    else:
        return
    bucket = known(inputs.get("bucket") or inputs.get("name"))
    if isinstance(bucket, str) and isinstance(rules, list):
        for rule in rules:
            if isinstance(rule, Mapping):
                yield from ((bucket, prefix, after) for prefix, after in read(rule))


def _aws(rule: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    expiration, condition = rule.get("expiration"), rule.get("filter")
    if not isinstance(expiration, Mapping) or rule.get("status") == "Disabled":
        return
    condition = condition if isinstance(condition, Mapping) else {}
    both = condition.get("and") if isinstance(condition.get("and"), Mapping) else {}
    prefix = str(condition.get("prefix") or (both or {}).get("prefix") or rule.get("prefix") or "")
    days = number(expiration.get("days"))
    if days or expiration.get("date"):
        yield prefix, f"after {days:g} days" if days else "at a date"


def _google(rule: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    action, condition = rule.get("action"), rule.get("condition")
    if not isinstance(action, Mapping) or action.get("type") != "Delete" or not isinstance(condition, Mapping):
        return
    if not any(condition.get(name) for name in _AGES) or condition.get("withState") == "ARCHIVED":
        return
    if any(condition.get(name) for name in ("daysSinceNoncurrentTime", "numNewerVersions", "noncurrentTimeBefore")):
        return
    age, prefixes = number(condition.get("age")), condition.get("matchesPrefixes")
    after = f"after {age:g} days" if age else "at a date"
    for prefix in prefixes if isinstance(prefixes, list) and prefixes else [""]:
        yield str(prefix), after
