from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from agent_support import FLEET, INCARNATION, Fleet, Metadata, serving_metadata, utc
from spotkeeper_agent.notices import Word
from spotkeeper_agent.sources import LifecycleState, NoticeSource, Poller, Rebalance, Signals, SpotAction, parse_time
from spotkeeper_ledger import ANY, MalformedDocument, Unavailable, keys
from spotkeeper_ledger.imds import InstanceMetadata


@pytest.fixture
def metadata():  # type: ignore[no-untyped-def]
    with serving_metadata("i-1") as served:
        yield served


def client(metadata: Metadata) -> InstanceMetadata:
    return InstanceMetadata(metadata.url)


def test_spot_action(metadata: Metadata) -> None:
    source = SpotAction(client(metadata), 1.0)
    assert source.poll() == ()
    metadata.values["spot/instance-action"] = json.dumps({"action": "stop", "time": "2026-01-31T08:22:00Z"})
    (word,) = source.poll()
    assert (word.kind, word.source, word.deadline, word.in_hook) == ("interruption", "imds", 1769847720.0, False)
    assert source.poll() == (word,), "the same word, however often it is asked for"


def test_spot_action_without_a_time_is_still_an_interruption(metadata: Metadata) -> None:
    metadata.values["spot/instance-action"] = '{"action": "terminate"}'
    (word,) = SpotAction(client(metadata), 1.0).poll()
    assert (word.kind, word.deadline) == ("interruption", None)


@pytest.mark.parametrize("body", ["", "<html>", "[]", "{}", '{"action": "terminate", "time": "soon"}'])
def test_what_is_no_spot_action_is_no_notice(metadata: Metadata, body: str) -> None:
    metadata.values["spot/instance-action"] = body
    with pytest.raises(ValueError):
        SpotAction(client(metadata), 1.0).poll()


def test_rebalance_recommendation(metadata: Metadata) -> None:
    source = Rebalance(client(metadata), 1.0)
    assert source.poll() == ()
    metadata.values["events/recommendations/rebalance"] = '{"noticeTime": "2026-01-31T08:22:00Z"}'
    assert source.poll() == (Word("rebalance", "imds", 1769847720.0),)


def test_target_lifecycle_state(metadata: Metadata) -> None:
    source = LifecycleState(client(metadata), 1.0)
    for state in ("InService", "Standby", "Warmed:Stopped"):
        metadata.values["autoscaling/target-lifecycle-state"] = state
        assert source.poll() == ()
    metadata.values["autoscaling/target-lifecycle-state"] = "Terminated"
    (word,) = source.poll()
    assert (word.kind, word.deadline, word.in_hook) == ("scale-in", None, True)
    assert source.poll() == (word,)
    del metadata.values["autoscaling/target-lifecycle-state"]
    assert source.poll() == (), "an instance of no group"


def test_a_service_that_cannot_tell_says_nothing(metadata: Metadata) -> None:
    sources: list[NoticeSource] = [
        SpotAction(client(metadata), 1.0),
        Rebalance(client(metadata), 1.0),
        LifecycleState(client(metadata), 1.0),
    ]
    paths = ("spot/instance-action", "events/recommendations/rebalance", "autoscaling/target-lifecycle-state")
    metadata.faults.update(dict.fromkeys(paths, 500))
    for source in sources:
        with pytest.raises(Unavailable, match="500"):
            source.poll()


def signals(fleet: Fleet) -> Signals:
    return Signals(fleet.board, FLEET, INCARNATION, "i-1", 1.0)


def test_signals_for_this_node_and_no_other(tmp_path: Path) -> None:
    fleet = Fleet(tmp_path)
    source = signals(fleet)
    assert source.poll() == ()
    fleet.signal("i-2", "interruption", 5.0)
    assert source.poll() == ()
    fleet.signal("i-1", "drain", 5.0, drill=True)
    (word,) = source.poll()
    assert (word.kind, word.source, word.deadline, word.drill) == ("drain", "signal", 5.0, True)
    assert source.poll() == (word,), "an unchanged board still says the same"


def test_signals_of_another_incarnation_or_of_an_unknown_kind_are_none(tmp_path: Path) -> None:
    fleet = Fleet(tmp_path)
    fleet.signal("i-1", "interruption")
    assert Signals(fleet.board, FLEET, "AROAOTHER", "i-1", 1.0).poll() == ()
    fleet.signal("i-1", "levitation")
    assert signals(fleet).poll() == ()


def test_malformed_signals_are_complained_about_once_and_the_next_ones_read(tmp_path: Path) -> None:
    fleet = Fleet(tmp_path)
    source = signals(fleet)
    fleet.signal("i-1", "drain")
    (word,) = source.poll()
    fleet.board.write(keys.signals(FLEET), b'{"fleet": "', expect=ANY)
    with pytest.raises(MalformedDocument):
        source.poll()
    assert source.poll() == (word,)
    fleet.signal("i-1", "interruption")
    assert [word.kind for word in source.poll()] == ["interruption"]


def test_a_poller_tells_what_is_new_and_survives_everything(capsys: pytest.CaptureFixture[str]) -> None:
    drain, interruption = Word("drain", "signal", 1.0), Word("interruption", "signal", 2.0)
    polls: list[object] = [(), (drain,), ZeroDivisionError("a bug"), (drain,), (drain, interruption), (drain,)]
    heard: list[Word] = []

    class Scripted:
        name = "scripted"
        every_seconds = 0.0

        def poll(self) -> tuple[Word, ...]:
            said = polls.pop(0)
            if isinstance(said, Exception):
                raise said
            return said  # type: ignore[return-value]

    poller = Poller(Scripted(), heard.append)
    while polls:
        poller.turn()
    assert heard == [drain, interruption]
    events = [json.loads(line)["event"] for line in capsys.readouterr().out.splitlines()]
    assert events == ["source-failing", "source-back"]


def test_times_are_those_of_ec2() -> None:
    assert utc(parse_time("2026-01-31T08:22:00Z")) == "2026-01-31T08:22:00Z"
    assert abs(parse_time(utc(time.time())) - time.time()) < 1.5
    for text in ("2026-01-31", "None", "2026-01-31T08:22:00+01:00"):
        with pytest.raises(ValueError, match="match"):
            parse_time(text)
