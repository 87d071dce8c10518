"""One fleet served to the end: remembered before done, told whatever happens, and agreed on by all who served it."""

from __future__ import annotations

import threading
from collections import Counter
from pathlib import Path

import pytest

from responder_support import CallFailed, node, spec
from responder_world import World
from spotkeeper_ledger import DRAIN, INTERRUPTION, NoticeRecord, keys
from spotkeeper_responder import Heard, NodeGone, NoticeHeard, NoticeWritten, Tick
from spotkeeper_responder.notices import RESEND_SECONDS

FLEET = spec().fleet


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def going(world: World, number: int = 0) -> NoticeHeard:
    return NoticeHeard(node=world.spot()[number], kind=INTERRUPTION, event_at=world.now)


def record_of(world: World, number: int = 0) -> NoticeRecord:
    return world.ledger().notices[world.spot()[number]]


class TestRemembering:
    def test_a_decision_is_remembered_before_it_is_carried_out(self, world: World) -> None:
        found: dict[str, tuple[str, int | None]] = {}
        world.cloud.before = lambda method: found.__setitem__(method, self.remembered(world))
        world.respond(going(world))
        assert found["groups"] == ("", 0)
        assert found["signal"] == ("sending", 1)
        assert found["resize"] == ("sending", 1)
        assert self.remembered(world) == ("signalled", 1)

    def remembered(self, world: World) -> tuple[str, int | None]:
        known = world.ledger()
        return next((r.stage for r in known.notices.values()), ""), known.backup_desired

    def test_every_write_raises_the_revision(self, world: World) -> None:
        before = world.ledger().revision
        world.respond(going(world))
        assert world.ledger().revision == before + 2
        assert world.signals().revision == before + 1

    def test_who_dies_in_between_is_made_up_for_by_the_next(self, world: World) -> None:
        def die(method: str) -> None:
            if method == "signal":
                raise KeyboardInterrupt

        world.cloud.before = die
        with pytest.raises(KeyboardInterrupt):
            world.respond(going(world))
        world.cloud.before = lambda _: None
        world.now += RESEND_SECONDS - 1
        world.respond(going(world))
        assert not world.cloud.of("signal")  # its sender may still be at it
        assert world.cloud.of("resize")
        world.now += 1
        world.respond(NodeGone(node(99)), Tick())
        assert len(world.cloud.of("signal")) == 1
        assert record_of(world).stage == "signalled"


class TestFailingCalls:
    def test_a_size_that_was_refused_comes_again_and_the_signal_does_not(self, world: World) -> None:
        world.cloud.failing = {"resize"}
        assert world.respond(going(world)) == {"m0"}
        assert record_of(world).stage == "signalled"
        world.cloud.failing = set()
        assert world.respond(going(world)) == set()
        assert [each[0] for each in world.cloud.done] == ["signal", "resize"]

    def test_a_signal_by_one_path_is_a_signal(self, world: World) -> None:
        world.cloud.failing = {"signal"}
        assert world.respond(going(world)) == set()
        assert record_of(world).stage == "signalled"
        assert world.has(keys.signals(FLEET))
        assert ("ERROR", "a path of signals failed") in [entry[:2] for entry in world.logged]
        world.cloud.failing = set()
        world.board.away = lambda what, key: key == keys.signals(FLEET)
        assert world.respond(going(world, 1)) == set()
        assert record_of(world, 1).stage == "signalled"

    def test_a_signal_by_no_path_comes_again(self, world: World) -> None:
        world.cloud.failing = {"signal"}
        world.board.away = lambda what, key: key == keys.signals(FLEET)
        assert world.respond(going(world)) == {"m0"}
        assert record_of(world).stage == "sending"
        assert world.cloud.of("resize")
        world.cloud.failing, world.board.away = set(), lambda what, key: False
        world.now += RESEND_SECONDS
        assert world.respond(going(world)) == set()
        assert record_of(world).stage == "signalled"

    def test_a_termination_that_was_refused_comes_again(self, world: World) -> None:
        world.put(keys.spec(FLEET), spec(target=3))
        world.respond(Tick())
        (drained,) = [n for n, r in world.ledger().notices.items() if r.kind == DRAIN]
        world.cloud.failing = {"terminate"}
        world.pass_time(600)
        assert world.respond(Tick()) == {"m0"}
        assert world.ledger().notices[drained].stage == "signalled"
        world.cloud.failing = set()
        assert world.respond(Tick()) == set()
        assert world.cloud.of("terminate") == [("terminate", drained, "True")]
        assert world.ledger().notices[drained].stage == "ended"
        assert world.sim().spot.desired == 3


class TestLedgerAway:
    """Promise 4: the signal waits for nothing, and no size is touched meanwhile."""

    @pytest.mark.parametrize(
        "away",
        [
            lambda what, key: True,
            lambda what, key: what == "write",
            lambda what, key: key == keys.spec(FLEET),
            lambda what, key: key == keys.ledger(FLEET),
            lambda what, key: what == "list",
            lambda what, key: (what, key) == ("write", keys.ledger(FLEET)),
        ],
        ids=["all", "writes", "spec", "ledger", "lists", "writing the ledger"],
    )
    def test_the_signal_goes_out_no_size_is_touched_and_the_message_comes_again(
        self, world: World, away: object
    ) -> None:
        world.board.away = away  # type: ignore[assignment]
        assert world.respond(going(world), going(world, 1)) == {"m0", "m1"}
        named = sorted(world.spot()[:2])
        assert world.cloud.done == [("signal", FLEET, INTERRUPTION, f"{world.now + 120:.0f}", *named)]
        world.board.away = lambda what, key: False
        assert world.respond(going(world), going(world, 1)) == set()
        assert world.cloud.of("resize") == [("resize", f"spotkeeper-{FLEET}-backup", "2")]

    def test_so_does_one_that_only_the_node_has_heard(self, world: World) -> None:
        folder = world.write_notice(world.spot()[0], INTERRUPTION)
        world.board.away = lambda what, key: what == "write"
        assert world.respond(Heard("m", NoticeWritten(folder), FLEET)) == {"m"}
        assert [each[0] for each in world.cloud.done] == ["signal"]

    def test_signal_json_takes_it_too_if_it_can(self, world: World) -> None:
        world.respond(going(world, 1))
        world.board.away = lambda what, key: key == keys.ledger(FLEET)
        world.respond(going(world))
        assert {s.node for s in world.signals().signals} == set(world.spot()[:2])
        world.board.away = lambda what, key: False
        world.respond(going(world))  # what is decided then takes its place
        assert {s.node for s in world.signals().signals} == set(world.spot()[:2])

    def test_what_was_signalled_is_not_signalled_again_if_only_writing_fails(self, world: World) -> None:
        world.respond(going(world))
        world.cloud.done.clear()
        world.board.away = lambda what, key: what == "write"
        world.respond(going(world), Tick())
        assert not world.cloud.of("signal")

    def test_a_ledger_that_is_nonsense_is_as_good_as_away(self, world: World) -> None:
        (world.folder / keys.ledger(FLEET)).write_bytes(b"{}")
        assert world.respond(going(world)) == {"m0"}
        assert [each[0] for each in world.cloud.done] == ["signal"]

    def test_a_policy_that_nobody_knows_does_not_keep_the_signal(self, world: World) -> None:
        world.put(keys.spec(FLEET), spec("clairvoyant"))
        assert world.respond(going(world)) == {"m0"}
        assert [each[0] for each in world.cloud.done] == ["signal"]

    def test_groups_that_cannot_be_described_do_not_keep_the_signal(self, world: World) -> None:
        world.cloud.failing = {"groups"}
        assert world.respond(going(world)) == {"m0"}
        assert [each[0] for each in world.cloud.done] == ["signal"]

    def test_a_ledger_that_answers_slowly_is_left_in_time(self, world: World) -> None:
        signalled_at: list[float] = []

        def slow(what: str, key: str) -> bool:
            world.monotonic += 0.6
            return False

        world.board.away = slow
        world.cloud.before = lambda method: signalled_at.append(world.monotonic) if method == "signal" else None
        assert world.respond(going(world)) == {"m0"}
        assert signalled_at[0] == pytest.approx(2.4)  # no call is begun after two seconds
        assert not world.cloud.of("resize")

    def test_a_board_that_is_away_is_not_waited_for_by_every_fleet(self, tmp_path: Path) -> None:
        names = [f"fleet-{n}" for n in range(6)]
        world = World(
            tmp_path,
            *(spec(fleet=n, spot_group=f"spotkeeper-{n}-spot", backup_group=f"spotkeeper-{n}-backup") for n in names),
        )

        def wait() -> None:
            world.monotonic += 1.0

        world.board.away, world.board.waits = lambda what, key: True, wait
        events = [NoticeHeard(node=world.spot(n)[0], kind=INTERRUPTION, event_at=world.now) for n in names]
        assert len(world.respond(*events)) == 6
        assert {each[1] for each in world.cloud.of("signal")} == set(names)
        assert world.monotonic == 2.0

    def test_every_fleet_has_its_own_two_seconds(self, tmp_path: Path) -> None:
        names = ["fleet-1", "fleet-2"]
        world = World(
            tmp_path,
            *(spec(fleet=n, spot_group=f"spotkeeper-{n}-spot", backup_group=f"spotkeeper-{n}-backup") for n in names),
        )

        def slow(what: str, key: str) -> bool:
            world.monotonic += 0.3
            return False

        world.board.away = slow
        assert (
            world.respond(*(NoticeHeard(node=world.spot(n)[0], kind=INTERRUPTION, event_at=0.0) for n in names))
            == set()
        )

    def test_a_tick_without_news_takes_all_the_time_it_needs(self, world: World) -> None:
        def slow(what: str, key: str) -> bool:
            world.monotonic += 0.9
            return False

        world.board.away = slow
        assert world.respond(Tick()) == set()


class TestRaces:
    """Two responders at once: the last to finish agrees with the ledger, and every node is told once."""

    POINTS = ("groups", "signal", "resize")

    @pytest.mark.parametrize("point", POINTS)
    @pytest.mark.parametrize("same", [True, False])
    def test_another_batch_in_the_middle_of_this_one(self, world: World, point: str, same: bool) -> None:
        events = [going(world, 0), going(world, 0 if same else 1)]
        self.interleave(world, point, events)
        lost = 1 if same else 2
        assert world.sim().backup.desired == world.ledger().backup_desired == lost
        assert Counter(n for each in world.cloud.of("signal") for n in each[4:]) == dict.fromkeys(
            world.spot()[:lost], 1
        )
        assert {r.stage for r in world.ledger().notices.values()} == {"signalled"}
        assert {s.node for s in world.signals().signals} == set(world.spot()[:lost])

    def interleave(self, world: World, point: str, events: list[NoticeHeard]) -> None:
        """Let the second event arrive, and be served to its end, when the first one's batch comes to ``point``."""

        def meanwhile(method: str) -> None:
            if method == point:
                world.cloud.before = lambda _: None
                assert world.respond(events[1]) == set()

        world.cloud.before = meanwhile
        assert world.respond(events[0]) == set()

    @pytest.mark.parametrize("point", [*POINTS, "terminate"])
    def test_a_tick_in_the_middle_of_a_tick_terminates_once(self, world: World, point: str) -> None:
        world.put(keys.spec(FLEET), spec(target=3))
        world.respond(Tick())
        world.pass_time(600)

        def meanwhile(method: str) -> None:
            if method == point:
                world.cloud.before = lambda _: None
                world.respond(Tick())

        world.cloud.before = meanwhile
        world.respond(Tick())
        assert world.sim().spot.desired == 3
        assert len(world.spot()) == 3

    def test_a_stale_size_is_put_right_by_the_one_who_set_it(self, world: World) -> None:
        """The first decides on one lost node and is held up; the second decides on two and is done first."""
        sizes: list[int] = []

        def meanwhile(method: str) -> None:
            if method == "resize":
                world.cloud.before = lambda _: None
                world.respond(going(world, 1))
                sizes.append(world.sim().backup.desired)

        world.cloud.before = meanwhile
        world.respond(going(world, 0))
        assert sizes == [2]
        assert [each[2] for each in world.cloud.of("resize")] == ["2", "1", "2"]

    def test_what_was_done_is_not_done_again_if_looking_again_fails(self, world: World) -> None:
        def meanwhile(method: str) -> None:
            if method == "resize":
                world.put(keys.ledger(FLEET), world.ledger())
                world.board.away = lambda what, key: what == "list"

        world.cloud.before = meanwhile
        assert world.respond(going(world)) == {"m0"}
        assert len(world.cloud.of("signal")) == 1

    def test_what_failed_is_forgotten_if_looking_again_succeeds(self, world: World) -> None:
        def meanwhile(method: str) -> None:
            if method == "resize":
                world.cloud.before = lambda _: None
                world.put(keys.ledger(FLEET), world.ledger())
                raise CallFailed

        world.cloud.before = meanwhile
        assert world.respond(going(world)) == set()
        assert world.sim().backup.desired == 1

    def test_others_that_never_stop_writing_end_with_the_time(self, world: World) -> None:
        def interfere(method: str) -> None:
            if method == "groups":
                known = world.ledger()
                world.put(keys.ledger(FLEET), known)
                world.remaining -= 1.0

        world.cloud.before = interfere
        assert world.respond(going(world)) == {"m0"}
        assert world.remaining == 0.0

    def test_many_threads_with_a_notice_each(self, world: World) -> None:
        wanted = spec(target=8, maximum=8)
        world.put(keys.spec(FLEET), wanted)
        world.respond(Tick())
        world.pass_time(60)
        world.respond(Tick())
        events = [going(world, n) for n in range(8)]
        failed: list[set[str]] = []
        threads = [threading.Thread(target=lambda e=e: failed.append(world.respond(e, e))) for e in events]
        for each in threads:
            each.start()
        for each in threads:
            each.join()
        assert failed == [set()] * 8
        assert world.sim().backup.desired == world.ledger().backup_desired == 8
        assert {r.stage for r in world.ledger().notices.values()} == {"signalled"}
        told = Counter(n for each in world.cloud.of("signal") for n in each[4:])
        assert told == dict.fromkeys((e.node for e in events), 1)
        assert {s.node for s in world.signals().signals} == told.keys()


def test_a_whole_recovery(world: World) -> None:
    """Interrupted, bought for, reclaimed, replaced, drained, given back: by events at first, then by ticks alone."""
    lost = world.spot()[0]
    world.respond(going(world))
    world.pass_time(5)
    (backup,) = world.sim().backup.live()
    world.sim().lose(lost)
    world.respond(NodeGone(lost))
    world.pass_time(30)  # the group replaces it
    for _ in range(7):
        world.respond(Tick())
        world.pass_time(60)
    assert world.ledger().notices[backup].kind == DRAIN
    world.report_of(backup, notice_id=f"{backup}:leaving", confirmed_at=world.now)
    assert not world.cloud.of("terminate")
    world.respond(Tick())
    assert world.cloud.of("terminate") == [("terminate", backup, "True")]
    assert (world.sim().backup.desired, world.sim().backup.live(), len(world.spot())) == (0, [], 4)
    assert [each[2] for each in world.cloud.of("signal")] == [INTERRUPTION, DRAIN]
    assert not world.logged
