"""What people are told, in words that a mail can hold and that say what to do."""

from __future__ import annotations

from dataclasses import replace

import pytest

from responder_support import FLEET, T0, instances, ledger, spec, view
from spotkeeper_ledger import AnnouncementRecord, FailureRecord
from spotkeeper_responder.wording import WORDINGS, worded

KNOWN = ledger(
    fallback_node_seconds=9000.0,
    failures={
        "quota": FailureRecord(2, T0 - 9, "an older word"),
        "backup-quota": FailureRecord(1, T0, "VcpuLimitExceeded: {max} vCPUs"),
        "configuration": FailureRecord(1, T0, "InvalidKeyPair.NotFound"),
    },
)
FLEET_SPEC = spec(base=1, target=4, maximum=3, max_on_demand_hours=2.5, checkpoint_uri="s3://saves/digits")
SEEN = view(instances([1]), instances([8, 9]))


@pytest.mark.parametrize(("topic", "word"), WORDINGS)
def test_everything_says_which_fleet_what_since_when_what_it_costs_and_what_to_do(topic: str, word: str) -> None:
    said = worded(FLEET_SPEC, SEEN, KNOWN, topic, AnnouncementRecord(word, T0))
    assert (said.topic, said.word) == (topic, word)
    assert said.subject.isascii()
    assert said.subject.isprintable()
    lines = dict(line.split(": ", 1) for line in said.text.splitlines() if ": " in line)
    assert lines["Fleet"] == f"{FLEET} (us-east-1)"
    assert lines["Since"] == "2023-11-14 22:13:20 UTC"
    assert lines["Cost"] == "2 on-demand nodes now (1 always, 3 at most), 2.5 node-hours beyond the base so far."
    assert lines["What"] and lines["What to do"]
    assert f'"{topic}"' in said.text
    assert "{" not in said.text.replace("{max}", "")


def test_it_names_what_a_person_needs() -> None:
    def text(topic: str, word: str) -> str:
        return worded(FLEET_SPEC, SEEN, KNOWN, topic, AnnouncementRecord(word, T0)).text

    assert "2 are missing" in text("drought", "begun")
    assert "the 2.5 node-hours" in text("cap", "reached")
    assert "s3://saves/digits" in text("job", "finished")
    assert "VcpuLimitExceeded: {max} vCPUs" in text("quota", "failed")
    assert "InvalidKeyPair.NotFound" in text("configuration", "failed")


def test_without_a_message_and_a_limit_it_can_be_said_all_the_same() -> None:
    for topic, word in WORDINGS:
        assert worded(
            replace(FLEET_SPEC, max_on_demand_hours=None), view(), ledger(), topic, AnnouncementRecord(word, 0)
        )
