import pytest

from spotkeeper_lab.local_gcp.log_filter import parse
from spotkeeper_lab.local_gcp.logs import preempted, printed
from spotkeeper_lab.local_gcp.refusals import Refused

ENTRY = preempted("p", "europe-west4-a", "n", "7", 1_700_000_000.5)
SAID = '{"severity": "NOTICE", "message": "measured", "Ticks": 2, "announcement": "x", "ok": true}'
LINE = printed("p", "shop", SAID)


def test_an_entry_of_the_audit_log_says_when_it_was_by_its_operation() -> None:
    assert ENTRY["operation"]["id"].startswith("systemevent-1700000000500")
    assert ENTRY["logName"] == "projects/p/logs/cloudaudit.googleapis.com%2Fsystem_event"
    assert ENTRY["timestamp"] > "2023-11-15", "the entry is written now"


@pytest.mark.parametrize(
    ("text", "entries"),
    [
        ("", [ENTRY, LINE]),
        ('log_id("cloudaudit.googleapis.com/system_event")', [ENTRY]),
        ('resource.type="gce_instance" AND protoPayload.methodName="compute.instances.preempted"', [ENTRY]),
        ('protoPayload.methodName="v1.compute.instances.preempted"', []),
        ('protoPayload.methodName:"instances.preempted"', [ENTRY]),
        ('resource.labels.service_name="shop" AND jsonPayload.Ticks>0', [LINE]),
        ("jsonPayload.Ticks>=3 OR jsonPayload.Ticks<2", []),
        ("jsonPayload.announcement:*", [LINE]),
        ("NOT jsonPayload.announcement:*", [ENTRY]),
        ('severity>=NOTICE jsonPayload.message="measured"', [LINE]),
        ("jsonPayload.ok=true", [LINE]),
        ('severity="INFO" OR (severity="NOTICE" AND jsonPayload.Ticks=2)', [ENTRY, LINE]),
        ('jsonPayload.message=~"^mea"', [LINE]),
        ('jsonPayload.message!="measured"', [ENTRY]),
    ],
)
def test_what_a_filter_means(text: str, entries: list[object]) -> None:
    assert [entry for entry in (ENTRY, LINE) if parse(text)(entry)] == entries


@pytest.mark.parametrize(
    "text", ["a=", "AND", '(a="b"', 'a="b" )', "log_id(a", "sample(insertId, 0.25)", "a ~ b", '"a"']
)
def test_what_is_not_understood_is_refused(text: str) -> None:
    with pytest.raises(Refused, match="Unparseable filter"):
        parse(text)


def test_text_stays_text() -> None:
    assert printed("p", "shop", "Traceback")["textPayload"] == "Traceback"
    assert printed("p", "shop", "[1]")["textPayload"] == "[1]"
