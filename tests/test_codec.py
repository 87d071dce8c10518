import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spotkeeper_ledger import (
    HELD,
    STOPPED,
    AnnouncementRecord,
    FleetLedger,
    FleetSpec,
    Generation,
    MalformedDocument,
    NodeNotice,
    NoticeRecord,
    Pause,
    Progress,
    SignalBoard,
    dump,
    load,
)

SPEC = {
    "fleet": "vision-prod-resnet",
    "incarnation": "AROA1",
    "cloud": "aws",
    "region": "eu-west-1",
    "target": 4.0,
    "base": 1,
    "maximum": 4,
    "spot_group": "s",
    "backup_group": "b",
}


def as_bytes(**changes: object) -> bytes:
    return json.dumps({**SPEC, **changes}).encode()


def test_whole_floats_are_whole_numbers_because_pulumi_has_no_others() -> None:
    assert load(FleetSpec, as_bytes()).target == 4
    assert isinstance(load(FleetSpec, as_bytes()).target, int)


def test_unknown_fields_survive_a_round_trip() -> None:
    newer = load(FleetSpec, as_bytes(job={"deadline_at": 12}))
    assert json.loads(dump(newer))["job"] == {"deadline_at": 12}


@pytest.mark.parametrize(
    ("body", "path"),
    [
        (as_bytes(target=1.5), "FleetSpec.target"),
        (as_bytes(target=True), "FleetSpec.target"),
        (as_bytes(fleet=7), "FleetSpec.fleet"),
        (as_bytes(policy="mirror"), "FleetSpec.policy"),
        (as_bytes(policy={"name": 1}), "FleetSpec.policy.name"),
        (as_bytes(version=2), "FleetSpec.version"),
        (as_bytes(notice_seconds=float("inf")), "FleetSpec.notice_seconds"),
        (as_bytes(notice_seconds=float("nan")), "FleetSpec.notice_seconds"),
        (as_bytes(notice_seconds=10**400), "FleetSpec.notice_seconds"),
        (as_bytes(target=10**400), "FleetSpec.target"),
        (b"[]", "FleetSpec"),
        (b"{", "FleetSpec"),
        (b"\xff\xfe", "FleetSpec"),
        (b"[" * 100_000, "FleetSpec"),
        (b"{}", "FleetSpec.fleet: missing"),
    ],
)
def test_a_malformed_document_is_refused_with_the_place(body: bytes, path: str) -> None:
    with pytest.raises(MalformedDocument, match=path.replace(".", r"\.")):
        load(FleetSpec, body)


def test_an_oversized_document_is_refused_unread() -> None:
    with pytest.raises(MalformedDocument, match="expected at most 10"):
        load(FleetSpec, as_bytes(), max_bytes=10)


def test_a_long_value_is_shown_short() -> None:
    with pytest.raises(MalformedDocument) as refused:
        load(FleetSpec, as_bytes(target="x" * 10_000))
    assert len(str(refused.value)) < 200


records = st.builds(
    NoticeRecord,
    notice_id=st.text(),
    kind=st.sampled_from(["interruption", "drain"]),
    group=st.just("spot"),
    event_at=st.floats(0, 2e9),
    heard_at=st.floats(0, 2e9),
    deadline=st.none() | st.floats(0, 2e9),
    confirmed_step=st.none() | st.integers(0, 10**9),
    drill=st.booleans(),
)
ledgers = st.builds(
    FleetLedger,
    fleet=st.text(),
    incarnation=st.text(),
    revision=st.integers(0, 10**9),
    notices=st.dictionaries(st.text(), records, max_size=5),
    fallback_node_seconds=st.floats(0, 1e9),
    pause=st.none() | st.builds(Pause, mode=st.sampled_from([STOPPED, HELD]), at=st.floats(0, 2e9), reason=st.text()),
    announcements=st.dictionaries(
        st.text(),
        st.builds(AnnouncementRecord, word=st.text(), since=st.floats(0, 2e9), sent_at=st.none() | st.floats(0, 2e9)),
        max_size=5,
    ),
)


def test_a_ledger_and_a_spec_of_before_limits_are_read_as_without_any() -> None:
    ledger = load(FleetLedger, b'{"fleet": "a", "incarnation": "b", "revision": 3}')
    assert (ledger.pause, ledger.fallback_node_seconds, ledger.announcements) == (None, 0.0, {})
    assert load(FleetSpec, as_bytes()).max_on_demand_hours is None
    assert load(FleetSpec, as_bytes(max_on_demand_hours=12)).max_on_demand_hours == 12.0


def test_a_ledger_and_a_spec_of_before_deadlines_are_read_as_without_any() -> None:
    assert load(FleetLedger, b'{"fleet": "a", "incarnation": "b", "revision": 3}').account is None
    assert load(FleetSpec, as_bytes()).deadline is None
    newer = as_bytes(deadline={"on_demand_price": 3, "hours": 60, "node_types": ["g5.xlarge"], "colour": "red"})
    told = load(FleetSpec, newer).deadline
    assert told is not None
    assert (told.on_demand_price, told.node_types, told.extra) == (3.0, ("g5.xlarge",), {"colour": "red"})
    assert b'"colour":"red"' in dump(load(FleetSpec, newer))


def test_documents_of_before_elastic_deadlines_are_read_as_of_no_elastic_job() -> None:
    assert load(FleetSpec, as_bytes()).min_nodes is None
    assert load(FleetSpec, as_bytes(min_nodes=2.0)).min_nodes == 2
    body = b'{"fleet": "a", "incarnation": "b", "account": {"since": 1, "work_seconds": 7}}'
    account = load(FleetLedger, body).account
    assert account is not None
    assert account.speeds == {}
    progress = load(Progress, b'{"fleet": "a", "incarnation": "b", "generation": 1, "node": "i", "at": 1, "new": 2}')
    assert (progress.nodes, progress.extra) == (None, {"new": 2})


def test_a_plan_of_before_counts_is_read_as_yes_or_no() -> None:
    body = b'{"fleet": "a", "incarnation": "b", "account": {"since": 1, "plan": {"at": 2, "buys": true}}}'
    account = load(FleetLedger, body).account
    assert account is not None
    assert account.plan is not None
    assert (account.plan.buys, account.plan.on_demand, account.plan.spot) == (True, None, True)


@given(ledgers)
def test_what_is_written_is_what_is_read(ledger: FleetLedger) -> None:
    assert load(FleetLedger, dump(ledger)) == ledger


@given(
    st.binary(max_size=200)
    | st.recursive(st.none() | st.text(), lambda x: st.lists(x) | st.dictionaries(st.text(), x)).map(
        lambda x: json.dumps(x).encode()
    )
)
def test_any_bytes_are_a_document_or_one_clear_error(body: bytes) -> None:
    for kind in (FleetSpec, SignalBoard, Generation, NodeNotice):
        with pytest.raises(MalformedDocument, match=kind.__name__):
            load(kind, body)
