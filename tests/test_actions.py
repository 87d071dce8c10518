from __future__ import annotations

import pytest

from spotkeeper_lab.actions import remembered_notices
from spotkeeper_lab.local.faults import Call
from spotkeeper_ledger import dump
from spotkeeper_ledger.documents import FleetLedger, NoticeRecord

LEDGER = "/bucket/fleets/f/ledger.json"


def ledger(**stages: str) -> bytes:
    records = {
        node: NoticeRecord(f"{node}:leaving", "interruption", "spot", event_at=1, heard_at=1, stage=stage)
        for node, stage in stages.items()
    }
    return dump(FleetLedger(fleet="f", incarnation="A", notices=records))


def test_a_written_ledger_tells_which_notices_are_about_to_be_sent() -> None:
    call = Call("responder", "s3", "PutObject", LEDGER, ledger(a="sending", b="signalled", c="ended", d="sending"))
    assert remembered_notices(call) == ["a:leaving", "d:leaving"]


@pytest.mark.parametrize(
    ("path", "body"),
    [
        (LEDGER, b""),
        ("/bucket/fleets/f/signal.json", ledger(a="sending")),
        (LEDGER, ledger(a="signalled")),
        (LEDGER, b"{"),
    ],
)
def test_other_calls_remember_nothing(path: str, body: bytes) -> None:
    assert remembered_notices(Call("responder", "s3", "PutObject", path, body)) == []
