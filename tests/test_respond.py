"""Batches, over a real board and simulated fleets: who hears what, and that no fleet suffers from another's trouble."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from responder_support import T0, node, spec
from responder_world import World
from spotkeeper_ledger import INTERRUPTION, SCALE_IN, FleetSpec, Members, keys
from spotkeeper_responder import (
    SPOT,
    Heard,
    JobEnded,
    LaunchFailed,
    NodeGone,
    NodeLaunched,
    NoticeHeard,
    NoticeWritten,
    Tick,
)

A, B = "shop-prod-alpha", "shop-prod-beta"


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


@pytest.fixture
def two(tmp_path: Path) -> World:
    named = [
        spec(fleet=name, spot_group=f"spotkeeper-{name}-spot", backup_group=f"spotkeeper-{name}-backup")
        for name in (A, B)
    ]
    return World(tmp_path, *named)


def gone(world: World, name: str, kind: str = INTERRUPTION) -> NoticeHeard:
    return NoticeHeard(node=name, kind=kind, event_at=world.now - 1.5)


def metrics(world: World) -> list[dict[str, Any]]:
    return [json.loads(line) for line in world.lines]


def test_a_storm_is_one_command_one_size_and_two_writes(world: World) -> None:
    first, second, *_ = world.spot()
    assert world.respond(gone(world, first), gone(world, second), gone(world, first)) == set()
    fleet = next(iter(world.specs))
    deadline = f"{world.now - 1.5 + 120:.0f}"
    assert world.cloud.done == [
        ("signal", fleet, INTERRUPTION, deadline, *sorted([first, second])),
        ("resize", f"spotkeeper-{fleet}-backup", "2"),
    ]
    assert world.writes() == [keys.ledger(fleet), keys.signals(fleet), keys.ledger(fleet)]
    assert {r.stage for r in world.ledger().notices.values()} == {"signalled"}
    assert {s.node for s in world.signals().signals} == {first, second}


def test_the_same_batch_again_does_nothing(world: World) -> None:
    batch = [gone(world, name) for name in world.spot()]
    world.respond(*batch)
    world.cloud.done.clear()
    world.board.asked.clear()
    assert world.respond(*batch, *batch) == set()
    assert not world.cloud.done
    assert not world.writes()


def test_foreign_events_cost_one_read_and_no_write(world: World) -> None:
    strangers = [NoticeHeard(node=node(9000 + n), kind=INTERRUPTION, event_at=T0) for n in range(10)]
    named = [
        Heard("n1", NodeLaunched(node(1), SPOT), "somebody-elses"),
        Heard("n2", LaunchFailed(SPOT, "capacity", T0), "somebody-elses"),
        Heard("n3", NoticeHeard(node=node(1), kind=SCALE_IN, event_at=T0), "somebody-elses"),
    ]
    calls = world.cloud.calls
    assert world.respond(*strangers, NodeGone(node(9100)), *named) == set()
    assert world.board.asked == [("read", keys.MEMBERS)]
    assert (world.cloud.calls, world.lines) == (calls, [])


@pytest.mark.parametrize("failing", ["groups", "resize", "signal"])
def test_a_fleet_that_fails_does_not_keep_another_from_being_served(two: World, failing: str) -> None:
    two.cloud.failing = {f"{failing}:{A}"}
    if failing == "signal":  # with both paths gone
        two.board.away = lambda what, key: what == "write" and key == keys.signals(A)
    failed = two.respond(gone(two, two.spot(A)[0]), gone(two, two.spot(B)[0]))
    assert failed == {"m0"}
    assert ("resize", f"spotkeeper-{B}-backup", "1") in two.cloud.done
    assert {r.stage for r in two.ledger(B).notices.values()} == {"signalled"}
    assert [(level, fields["fleet"]) for level, _, fields in two.logged if "served" in _] == [("ERROR", A)]


def test_a_fleet_whose_spec_is_nonsense_fails_alone(two: World) -> None:
    (two.folder / keys.spec(A)).write_bytes(b"{}")
    assert two.respond(gone(two, two.spot(B)[0]), Tick()) == {"m1"}
    assert ("resize", f"spotkeeper-{B}-backup", "1") in two.cloud.done


def test_fleets_with_news_are_served_before_those_with_ticks_only(two: World) -> None:
    two.respond(Tick(), gone(two, two.spot(B)[0]))
    served = [key for what, key in two.board.asked if (what, key.rpartition("/")[2]) == ("read", "spec.json")]
    assert served == [keys.spec(B), keys.spec(A)]


def test_a_fleet_that_takes_its_time_leaves_the_next_one_its_share(two: World) -> None:
    two.remaining = 8.0
    left: list[float] = []
    two.cloud.before = lambda method: left.append(responder._means.time_left()) if method == "groups" else None
    responder = two.responder()
    responder.respond([Heard("m", Tick())])
    assert left == [4.0, 8.0]  # a half; then what is left is one's own (no time has passed here)


def test_without_time_left_messages_come_again_and_nothing_is_begun(world: World) -> None:
    world.remaining = 0.0
    assert world.respond(gone(world, world.spot()[0])) == {"m0"}
    assert not world.cloud.done


def test_a_tick_serves_every_fleet_and_is_counted(two: World) -> None:
    two.sim(A).lose(two.spot(A)[0])
    two.sim(B).lose(two.spot(B)[0])
    assert two.respond(Tick()) == set()
    assert len(two.cloud.of("resize")) == 2
    ticks = [each for each in metrics(two) if "Ticks" in each]
    assert [(each["Ticks"], each["Responder"]) for each in ticks] == [(1, "ledger")]


def test_what_cannot_be_a_fleet_is_passed_over(world: World) -> None:
    (world.folder / "fleets" / "Not A Fleet").mkdir()
    assert world.respond(Tick()) == set()
    assert not world.logged


def test_a_tick_fails_if_the_fleets_cannot_be_listed(two: World) -> None:
    two.board.away = lambda what, key: (what, key) == ("list", keys.FLEETS)
    assert two.respond(Tick()) == {"m0"}


def test_what_is_measured_of_a_fleet(world: World) -> None:
    world.respond(gone(world, world.spot()[0]))
    (line,) = metrics(world)
    (directive,) = line["_aws"]["CloudWatchMetrics"]
    assert directive["Namespace"] == "Spotkeeper"
    assert directive["Dimensions"] == [["Fleet"], ["Responder"]]
    names = {m["Name"] for m in directive["Metrics"]}
    assert {n: line[n] for n in names} == {
        "Notices": 1,
        "SecondsToSignal": [1.5],
        "Shortfall": 1,
        "BackupSize": 1,
        "Calls": line["Calls"],
        "Drought": 0,
        "LaunchFailuresQuota": 0,
        "LaunchFailuresConfiguration": 0,
        "SilentNodes": 0,
        "OnDemandCapReached": 0,
        "Paused": 0,
        "DeadlineAtRisk": 0,
    }
    # spec, ledger, list, describe; remembered; signal.json read and written, command, size; outcome
    assert line["Calls"] == 10
    assert [key for what, key in world.board.asked if key == keys.MEMBERS] == [keys.MEMBERS]


def test_quota_and_drought_are_measured(world: World) -> None:
    fleet = next(iter(world.specs))
    world.sim().lose(world.spot()[0])
    failures = [LaunchFailed(SPOT, "quota", world.now - 9), LaunchFailed(SPOT, "capacity", world.now)]
    world.respond(*(Heard("m", failure, fleet) for failure in failures))
    (line,) = metrics(world)
    assert (line["LaunchFailuresQuota"], line["Drought"]) == (1, 1)
    assert "SecondsToSignal" not in line


class TestRoster:
    def test_a_tick_lists_all_nodes_of_all_fleets(self, two: World) -> None:
        assert two.members().nodes == {**dict.fromkeys(two.spot(A), A), **dict.fromkeys(two.spot(B), B)}
        assert two.members().fleets == (A, B)

    def test_it_is_written_only_when_it_changes(self, two: World) -> None:
        two.respond(Tick())
        assert keys.MEMBERS not in two.writes()
        two.sim(A).lose(two.spot(A)[0])
        two.respond(Tick())
        assert keys.MEMBERS in two.writes()
        assert len(two.members().nodes) == 7

    def test_a_launch_adds_its_node(self, two: World) -> None:
        two.sim(A).lose(two.spot(A)[0])
        two.sim(A).launch(two.now)
        new = two.spot(A)[-1]
        two.respond(Heard("m", NodeLaunched(new, SPOT), A))
        assert two.members().nodes[new] == A
        assert len(two.members().nodes) == 9  # between ticks nobody is dropped

    def test_nodes_of_a_fleet_that_could_not_be_served_stay(self, two: World) -> None:
        before = two.members().nodes
        two.cloud.failing = {f"groups:{A}"}
        two.respond(Tick())
        assert two.members().nodes == before

    def test_a_fleet_without_a_spec_leaves(self, two: World) -> None:
        two.board.board.delete(keys.spec(A))
        two.respond(Tick())
        assert two.members() == replace(two.members(), nodes=dict.fromkeys(two.spot(B), B), fleets=(B,))

    def test_nonsense_is_made_good_by_the_next_tick_and_meanwhile_the_cloud_is_asked(self, world: World) -> None:
        (world.folder / keys.MEMBERS).write_bytes(b"nonsense")
        assert world.respond(gone(world, world.spot()[0])) == set()
        assert world.cloud.of("signal")
        world.respond(Tick())
        world.respond(Tick())
        assert isinstance(world.members(), Members)

    def test_if_nobody_can_place_a_node_its_message_comes_again_and_the_others_are_served(self, world: World) -> None:
        (world.folder / keys.MEMBERS).write_bytes(b"nonsense")
        world.cloud.failing = {"fleets_of"}
        named = NoticeHeard(node=world.spot()[1], kind=SCALE_IN, event_at=world.now)
        assert world.respond(gone(world, world.spot()[0]), Heard("m", named, next(iter(world.specs)))) == {"m0"}
        assert [each[4:] for each in world.cloud.of("signal")] == [(world.spot()[1],)]

    def test_a_roster_that_cannot_be_written_fails_nobody(self, world: World) -> None:
        world.board.away = lambda what, key: (what, key) == ("write", keys.MEMBERS)
        world.sim().lose(world.spot()[0])
        assert world.respond(Tick()) == set()
        assert ("WARNING", "the roster was not updated") in [entry[:2] for entry in world.logged]


class TestDestroyed:
    """The spec goes first: sizes are then Pulumi's, but nodes are still told."""

    def test_nodes_are_told_and_no_size_is_touched(self, world: World) -> None:
        fleet = next(iter(world.specs))
        world.board.board.delete(keys.spec(fleet))
        going = NoticeHeard(node=world.spot()[0], kind=SCALE_IN, event_at=world.now)
        assert world.respond(Heard("m", going, fleet), Tick()) == set()
        assert [each[:3] for each in world.cloud.done] == [("signal", fleet, SCALE_IN)]

    def test_a_fleet_that_never_had_a_ledger_is_nobodys(self, world: World) -> None:
        assert world.respond(Heard("m", NoticeWritten("AROA:i-1"), "no-such-fleet")) == set()
        (world.folder / keys.MEMBERS).write_bytes(b"nonsense")  # now every name is believed
        going = NoticeHeard(node=world.spot()[0], kind=SCALE_IN, event_at=world.now)
        assert world.respond(Heard("m", going, "no-such-fleet")) == set()
        assert not world.cloud.done
        assert not world.writes()


def test_a_job_that_has_ended_is_let_go_and_costs_nothing(world: World) -> None:
    fleet, wanted = next(iter(world.specs.items()))
    progress = {"fleet": fleet, "incarnation": wanted.incarnation, "generation": 1, "node": "n", "at": world.now}
    (world.folder / "fleets" / fleet / "job").mkdir()
    path = world.folder / keys.progress(fleet)
    for foreign in ({"state": "running"}, {"state": "finished", "incarnation": "AROAOLD"}):
        path.write_text(json.dumps({**progress, **foreign}))
        world.respond(Tick())
        assert world.ledger().job_ended_at is None
    path.write_text(json.dumps({**progress, "state": "finished"}))
    world.respond(Tick())
    assert (world.ledger().job_state, world.ledger().job_ended_at) == ("finished", world.now)
    world.pass_time(300)
    world.respond(Tick())
    world.sim().release()
    assert (world.sim().spot.desired, world.spot()) == (0, [])
    assert not world.cloud.of("signal")
    assert JobEnded("finished", world.now)  # the event itself comes from the ledger only


def test_a_group_is_asked_why_once_a_shortfall_has_lasted(world: World) -> None:
    world.sim().spot_capacity = 3
    world.sim().lose(world.spot()[0])
    world.respond(Tick())
    began = world.now
    world.pass_time(59)
    world.respond(Tick())
    assert not world.cloud.of("launch_failures")
    world.pass_time(2)
    world.respond(NodeGone(node(77)))
    assert not world.cloud.of("launch_failures")
    world.respond(Tick())
    ((_, fleet, since),) = world.cloud.of("launch_failures")
    assert (fleet, float(since)) == (next(iter(world.specs)), began - 60)


def test_where_the_groups_show_why_launches_fail_every_tick_hears_it(world: World) -> None:
    def failing(wanted: FleetSpec, since: float) -> list[LaunchFailed]:
        assert since == world.now - wanted.launch_grace_seconds
        return [LaunchFailed("spot", "quota", world.now, "Quota exceeded.")]

    world.cloud.shows_failures = True
    world.cloud.launch_failures = failing  # type: ignore[method-assign]  # it says nothing by itself
    world.sim().spot_capacity = 3
    world.sim().lose(world.spot()[0])
    world.respond(NodeGone(node(77)))
    assert not world.ledger().failures
    world.respond(Tick())
    assert world.ledger().failures["quota"].count == 1
