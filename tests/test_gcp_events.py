"""Messages of Pub/Sub: what the audit log, a node and the clock say, and what cannot be read."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spotkeeper_ledger import INTERRUPTION
from spotkeeper_responder import Heard, NoticeHeard, NoticeWritten, Tick
from spotkeeper_responder.gcp import node_of, parse, place_of
from spotkeeper_responder.malformed import MalformedEvent

NAME = "spotkeeper-shop-prod-digits-spot-x7k2"
ENTRY: dict[str, Any] = {
    "protoPayload": {
        "@type": "type.googleapis.com/google.cloud.audit.AuditLog",
        "status": {"message": "Instance was preempted."},
        "authenticationInfo": {"principalEmail": "system@google.com"},
        "serviceName": "compute.googleapis.com",
        "methodName": "compute.instances.preempted",
        "resourceName": f"projects/shop/zones/europe-west4-a/instances/{NAME}",
    },
    "insertId": "qnwer3e38dfz",
    "resource": {
        "type": "gce_instance",
        "labels": {"instance_id": "1844674407370955161", "project_id": "shop", "zone": "europe-west4-a"},
    },
    "timestamp": "2023-11-14T22:13:20.5Z",
    "severity": "INFO",
    "logName": "projects/shop/logs/cloudaudit.googleapis.com%2Fsystem_event",
}
NODE = f"{NAME}.1844674407370955161"


def told(entry: Any, attributes: Mapping[str, Any] | None = None) -> list[Heard]:
    return parse("m", attributes or {}, entry if isinstance(entry, bytes) else json.dumps(entry).encode())


def changed(**payload: Any) -> dict[str, Any]:
    return {**ENTRY, "protoPayload": {**ENTRY["protoPayload"], **payload}}


@pytest.mark.parametrize("method", ["compute.instances.preempted", "v1.compute.instances.preempted"])
def test_a_preemption_names_its_node_and_fleet_in_either_spelling(method: str) -> None:
    heard = NoticeHeard(node=NODE, kind=INTERRUPTION, event_at=1_700_000_000.5)
    assert told(changed(methodName=method)) == [Heard("m", heard, "shop-prod-digits")]


def test_the_clock_and_a_nodes_own_word() -> None:
    assert parse("m", {"spotkeeper": "tick"}, b"") == [Heard("m", Tick())]
    said = {"spotkeeper": "notice", "fleet": "shop-prod-digits", "folder": NODE}
    assert parse("m", said, b"") == [Heard("m", NoticeWritten(NODE), "shop-prod-digits")]


@pytest.mark.parametrize(
    "entry",
    [
        changed(methodName="v1.compute.instances.delete"),
        changed(methodName="compute.instances.hostError"),
        changed(resourceName="projects/shop/zones/europe-west4-a/instances/somebody-elses"),
        changed(resourceName=f"projects/shop/zones/europe-west4-a/instances/{NAME}-2"),
    ],
)
def test_what_is_not_about_fleets_says_nothing(entry: dict[str, Any]) -> None:
    assert told(entry) == []


@pytest.mark.parametrize(
    ("entry", "attributes", "problem"),
    [
        (b"not json", {}, "data: not JSON"),
        (b"[" * 100_000, {}, "data: not JSON"),
        ([1], {}, "data: expected a JSON object"),
        ({}, {}, "protoPayload: was None, expected an object"),
        (changed(resourceName="projects/shop"), {}, "resourceName: was 'projects/shop', expected an instance's"),
        ({**ENTRY, "resource": {}}, {}, "labels: was None"),
        ({**ENTRY, "resource": {"labels": {}}}, {}, "number: was '', expected the instance's id"),
        ({**ENTRY, "timestamp": "yesterday"}, {}, "timestamp: was 'yesterday', expected an ISO time with its zone"),
        (ENTRY, {"spotkeeper": "tock"}, "spotkeeper: was 'tock', expected 'tick' or 'notice'"),
        (ENTRY, {"spotkeeper": "notice", "fleet": "a", "folder": "a/b"}, "folder: was 'a/b'"),
        (ENTRY, {"spotkeeper": "notice", "fleet": "a"}, "folder: was None"),
        (ENTRY, {"spotkeeper": "notice", "fleet": "../a", "folder": "x"}, "fleet: was '../a'"),
    ],
)
def test_what_cannot_be_read_is_refused_with_the_reason(entry: Any, attributes: Any, problem: str) -> None:
    with pytest.raises(MalformedEvent) as error:
        told(entry, attributes)
    assert problem in str(error.value)
    assert len(str(error.value)) < 250


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=12), inner, max_size=3),
    max_leaves=12,
)


@given(st.fixed_dictionaries({}, optional=dict.fromkeys(ENTRY, JSON)), st.dictionaries(st.text(), JSON, max_size=3))
def test_nothing_that_is_sent_makes_anything_worse_than_malformed(entry: Any, payload: Any) -> None:
    sent = {**entry, "protoPayload": {**ENTRY["protoPayload"], **payload}}
    for one in (entry, sent):
        try:
            told(one)
        except MalformedEvent as error:
            assert len(str(error)) < 400


def test_a_node_is_its_instances_name_and_number() -> None:
    assert node_of(NAME, "7") == f"{NAME}.7"
    assert place_of(f"{NAME}.7") == ("shop-prod-digits", "spot")
    assert place_of("spotkeeper-a-spot-backup-0000.7") == ("a-spot", "backup")
    longest = f"spotkeeper-{'f' * 40}-backup-0000"
    assert len(longest) == 63
    assert place_of(longest) == ("f" * 40, "backup")
    assert place_of("i-0abc") is None
    for name, number in (("web-1", "7"), (NAME, ""), (NAME, "7; rm"), (NAME, "1" * 21)):
        with pytest.raises(ValueError, match="expected"):
            node_of(name, number)
