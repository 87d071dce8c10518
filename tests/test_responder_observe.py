"""What nodes have written: checked, believed about themselves only, and found even when nobody says it is there."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from responder_support import node, spec
from responder_world import World
from spotkeeper_ledger import DRAIN, INTERRUPTION, REBALANCE, Generation, Member, keys
from spotkeeper_responder import Heard, NodeGone, NoticeHeard, NoticeWritten, Tick
from spotkeeper_responder.observe import MAX_NODE_DOCUMENT_BYTES

FLEET = spec().fleet


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def written(world: World, folder: str) -> set[str]:
    return world.respond(Heard("m", NoticeWritten(folder), FLEET))


class TestNotices:
    def test_what_a_node_has_heard_is_as_good_as_the_clouds_word(self, world: World) -> None:
        doomed = world.spot()[0]
        folder = world.write_notice(doomed, INTERRUPTION, deadline=world.now + 100)
        assert written(world, folder) == set()
        record = world.ledger().notices[doomed]
        assert (record.kind, record.deadline, record.stage) == (INTERRUPTION, world.now + 100, "signalled")
        assert world.cloud.of("resize")

    def test_it_and_the_clouds_word_are_one_notice(self, world: World) -> None:
        doomed = world.spot()[0]
        folder = world.write_notice(doomed, INTERRUPTION, deadline=world.now + 100)
        world.respond(NoticeHeard(node=doomed, kind=INTERRUPTION, event_at=world.now))
        written(world, folder)
        world.respond(Tick())
        assert len(world.cloud.of("signal")) == 1
        assert len(world.cloud.of("resize")) == 1

    def test_a_drill_is_signalled_by_the_ledger_only_and_moves_nothing(self, world: World) -> None:
        drilled = world.spot()[0]
        written(world, world.write_notice(drilled, INTERRUPTION, drill=True))
        assert not world.cloud.done
        assert [(s.node, s.drill) for s in world.signals().signals] == [(drilled, True)]

    @pytest.mark.parametrize(
        "changes",
        [
            {"incarnation": "AROAOLD"},
            {"fleet": "another-fleet"},
            {"node": node(2)},
            {"notice_id": "something-else"},
            {"kind": "party"},
        ],
    )
    def test_a_node_speaks_for_itself_and_of_known_things(self, world: World, changes: dict[str, str]) -> None:
        folder = world.write_notice(world.spot()[0], INTERRUPTION, **changes)
        assert written(world, folder) == set()
        assert not world.cloud.done
        assert not world.ledger().notices

    def test_who_is_no_member_is_not_heard_nor_read(self, world: World) -> None:
        assert written(world, world.write_notice(node(9999), INTERRUPTION)) == set()
        assert written(world, f"AROAOLD:{world.spot()[0]}") == set()
        assert not [key for what, key in world.board.asked if (what, key[-11:]) == ("read", "notice.json")]

    def test_a_folder_that_no_node_may_write_to_is_not_believed(self, world: World) -> None:
        member = world.spot()[0]
        folder = world.write_notice(member, INTERRUPTION)
        (world.folder / keys.notice(FLEET, folder)).parent.rename(world.folder / keys.nodes(FLEET) / member)
        assert written(world, member) == set()
        assert not world.cloud.done

    def test_it_leaves_the_roster_alone(self, world: World) -> None:
        written(world, world.write_notice(world.spot()[0], INTERRUPTION))
        assert keys.MEMBERS not in world.writes()

    @pytest.mark.parametrize("body", [b"", b"[]", b"nonsense", b'{"fleet": 1}', b"good"])
    def test_nonsense_is_said_in_the_log_and_holds_up_nothing(self, world: World, body: bytes) -> None:
        folder = world.write_notice(world.spot()[0], INTERRUPTION)
        path = world.folder / keys.notice(FLEET, folder)
        path.write_bytes(path.read_bytes() + b" " * MAX_NODE_DOCUMENT_BYTES if body == b"good" else body)
        lost = world.spot()[1]
        world.sim().lose(lost)
        assert world.respond(Heard("m", NoticeWritten(folder), FLEET), NodeGone(lost)) == set()
        assert ("WARNING", "malformed document of a node") in [entry[:2] for entry in world.logged]
        assert world.cloud.of("resize")

    def test_one_that_is_gone_by_now_is_passed_over(self, world: World) -> None:
        assert written(world, spec().node_prefix + world.spot()[0]) == set()
        assert not world.cloud.done

    def test_no_node_makes_the_fleet_buy_beyond_its_maximum(self, world: World) -> None:
        world.put(keys.spec(FLEET), spec(maximum=2))
        for member in world.spot():
            written(world, world.write_notice(member, INTERRUPTION))
        assert world.sim().backup.desired == 2

    def test_no_time_that_a_node_writes_makes_it_wait_longer(self, world: World) -> None:
        doomed = world.spot()[0]
        world.respond(NoticeHeard(node=doomed, kind=INTERRUPTION, event_at=world.now))
        written(world, world.write_notice(doomed, INTERRUPTION, deadline=world.now + 9999, heard_at=world.now + 9999))
        assert world.ledger().notices[doomed].deadline == world.now + 120


class TestLostNotifications:
    def test_a_tick_finds_what_a_node_has_written(self, world: World) -> None:
        world.write_notice(world.spot()[0], INTERRUPTION)
        world.respond(NodeGone(node(9)), Heard("m", NodeGone(node(9)), FLEET))
        assert not world.cloud.done
        world.respond(Tick())
        assert world.cloud.of("signal")
        assert world.cloud.of("resize")

    @pytest.mark.parametrize("kind", [INTERRUPTION, REBALANCE])
    def test_and_reads_it_once(self, world: World, kind: str) -> None:
        folder = world.write_notice(world.spot()[0], kind)
        world.respond(Tick())
        world.board.asked.clear()
        world.pass_time(60)
        world.respond(Tick())
        assert ("read", keys.notice(FLEET, folder)) not in world.board.asked

    def test_and_not_at_all_if_it_is_known_that_the_node_goes(self, world: World) -> None:
        world.respond(NoticeHeard(node=world.spot()[0], kind=INTERRUPTION, event_at=world.now))
        world.pass_time(5)
        folder = world.write_notice(world.spot()[0], INTERRUPTION)
        world.respond(Tick())
        assert ("read", keys.notice(FLEET, folder)) not in world.board.asked

    def test_and_what_became_graver_since(self, world: World) -> None:
        member = world.spot()[0]
        world.write_notice(member, REBALANCE)
        world.respond(Tick())
        world.pass_time(300)
        world.write_notice(member, INTERRUPTION)
        world.respond(Tick())
        assert world.ledger().notices[member].kind == INTERRUPTION

    def test_but_not_what_has_come_to_nothing(self, world: World) -> None:
        world.write_notice(world.spot()[0], REBALANCE)
        world.respond(Tick())
        for _ in range(30):
            world.pass_time(300)
            world.respond(Tick())
        assert len(world.cloud.of("signal")) == 1


def test_the_confirmed_step_of_any_notice_is_noted(world: World) -> None:
    doomed = world.spot()[0]
    world.respond(NoticeHeard(node=doomed, kind=INTERRUPTION, event_at=world.now))
    world.pass_time(3)
    world.report_of(doomed, notice_id=f"{doomed}:leaving", confirmed_step=17, confirmed_at=world.now)
    world.respond(Tick())
    assert world.ledger().notices[doomed].confirmed_step == 17


@pytest.mark.parametrize("changes", [{"node": node(3)}, {"incarnation": "AROAOLD"}, {"notice_id": "x:leaving"}])
def test_a_report_confirms_for_its_own_node_and_notice_only(world: World, changes: dict[str, str]) -> None:
    world.put(keys.spec(FLEET), spec(target=3))
    world.respond(Tick())
    (drained,) = [n for n, r in world.ledger().notices.items() if r.kind == DRAIN]
    confirmed = {"notice_id": f"{drained}:leaving", "confirmed_step": 5, "confirmed_at": world.now}
    world.report_of(drained, **{**confirmed, **changes})
    world.respond(Tick())
    assert not world.cloud.of("terminate")


def test_who_runs_the_job_is_let_go_last(world: World) -> None:
    holder = world.spot()[3]  # of nodes of equal age, the last one by name would stay anyway
    first = world.spot()[0]
    for runner, expected in ((holder, first), (first, world.spot()[1])):
        generation = Generation(FLEET, "AROATEST", 1, "running", (Member(runner, "b", "10.0.0.1"),))
        world.put(keys.generation(FLEET), generation)
        world.put(keys.spec(FLEET), spec(target=3))
        world.board.board.delete(keys.ledger(FLEET))
        world.respond(Tick())
        assert [n for n, r in world.ledger().notices.items() if r.kind == DRAIN] == [expected]


def test_a_generation_of_another_incarnation_says_nothing(world: World) -> None:
    first = world.spot()[0]
    world.put(keys.generation(FLEET), Generation(FLEET, "AROAOLD", 1, "running", (Member(first, "b", "10.0.0.1"),)))
    world.put(keys.spec(FLEET), spec(target=3))
    world.respond(Tick())
    assert [n for n, r in world.ledger().notices.items() if r.kind == DRAIN] == [first]


def test_malformed_progress_keeps_nobody_from_being_served(world: World) -> None:
    path = world.folder / keys.progress(FLEET)
    path.parent.mkdir()
    path.write_text(json.dumps({"fleet": FLEET, "state": 3}))
    world.sim().lose(world.spot()[0])
    assert world.respond(Tick()) == set()
    assert world.cloud.of("resize")
