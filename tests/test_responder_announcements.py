"""What people are told of: each thing once, remembered first, and again only where nobody knows whether it was sent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings

from responder_support import T0, instances, ledger, node, seen, spec, view
from responder_world import World
from spotkeeper_ledger import DRAIN, STOPPED, AnnouncementRecord, FailureRecord, FleetLedger, Pause
from spotkeeper_responder import BACKUP, SPOT, Event, Heard, JobEnded, LaunchFailed, Tick, decide, settle
from spotkeeper_responder.announcements import QUIET_SECONDS, due, remembered, told

FULL, SHORT = view(instances(range(1, 5))), view(instances([1, 2, 3]))
STEADY = ledger(seen=seen(range(1, 5)), spot_desired=4, backup_desired=0, accounted_at=T0)
REFUSED = LaunchFailed(SPOT, "capacity", T0, "no")
DROUGHT = replace(
    STEADY,
    shortfall_since=T0 - 60,
    failures={"capacity": FailureRecord(1, T0)},
    announcements={"drought": AnnouncementRecord("begun", T0 - 60, sent_at=T0 - 30)},
)


def words(known: FleetLedger) -> dict[str, str]:
    return {topic: record.word for topic, record in known.announcements.items()}


def subjects(world: World) -> list[str]:
    return [subject for _, subject, _ in world.cloud.of("announce")]


class TestDrought:
    def test_it_begins_when_it_has_outlasted_a_launch(self) -> None:
        known = decide(spec("never"), SHORT, STEADY, [REFUSED, Tick()], T0).ledger
        assert not known.announcements
        later = decide(spec("never"), view(instances([1, 2, 3]), now=T0 + 60), known, [Tick()], T0 + 60)
        assert later.ledger.announcements == {"drought": AnnouncementRecord("begun", T0)}
        assert [(a.topic, a.word) for a in later.announcements] == [("drought", "begun")]
        assert later.acts

    def test_a_shortfall_that_nobody_has_refused_is_none(self) -> None:
        known = replace(STEADY, shortfall_since=T0 - 600)
        assert not decide(spec(), SHORT, known, [Tick()], T0).announcements

    def test_it_lasts_until_nothing_is_missing_whatever_else_is_refused(self) -> None:
        quota = LaunchFailed(SPOT, "quota", T0 + 5, "too many")
        after = decide(spec(), SHORT, DROUGHT, [quota, Tick()], T0 + 10).ledger
        assert words(after) == {"drought": "begun", "quota": "failed"}
        assert after.announcements["drought"].sent_at == T0 - 30
        assert words(decide(spec(), FULL, after, [Tick()], T0 + 20).ledger) == {"drought": "over", "quota": "failed"}

    def test_one_that_begins_before_the_end_of_the_last_could_be_told_is_told(self) -> None:
        known = replace(DROUGHT, announcements={"drought": AnnouncementRecord("over", T0 - 30)})
        assert decide(spec(), SHORT, known, [Tick()], T0).ledger.announcements == {
            "drought": AnnouncementRecord("begun", T0 - 60)
        }

    def test_that_it_is_over_is_told_once_and_then_forgotten(self) -> None:
        over = decide(spec(), FULL, DROUGHT, [Tick()], T0)
        assert [(a.topic, a.word) for a in over.announcements] == [("drought", "over")]
        known = settle(over.ledger, {}, (), T0, announced=over.announcements)
        again = decide(spec(), FULL, known, [Tick()], T0 + 60)
        assert (again.announcements, again.ledger.announcements) == ((), {})

    @pytest.mark.parametrize("why", [{"pause": Pause(STOPPED, T0)}, {"job_state": "failed", "job_ended_at": T0}])
    def test_a_fleet_that_wants_no_spot_any_more_is_not_said_to_have_enough(self, why: dict[str, object]) -> None:
        known = replace(DROUGHT, **why)  # type: ignore[arg-type]  # names of fields as they are
        assert "drought" not in words(decide(spec(), SHORT, known, [Tick()], T0).ledger)


class TestOthers:
    @pytest.mark.parametrize("state", ["finished", "failed"])
    def test_the_end_of_the_job_is_told_once_for_good(self, state: str) -> None:
        ended = decide(spec(), FULL, STEADY, [JobEnded(state, T0 - 5), Tick()], T0)
        assert [(a.topic, a.word) for a in ended.announcements] == [("job", state)]
        known = settle(ended.ledger, {}, (), T0, announced=ended.announcements)
        for later in (60.0, 86_400.0):
            assert not decide(spec(), view(spot_desired=0), known, [Tick()], T0 + later).announcements

    def test_a_moment_that_cannot_have_been_is_put_right(self) -> None:
        """A node says when the job ended; whatever it says must not keep the fleet from being served."""
        ended = decide(spec(), FULL, STEADY, [JobEnded("failed", -1e300), Tick()], T0)
        assert "1970-01-01 00:00:00 UTC" in ended.announcements[0].text

    def test_a_limit_that_is_reached_is_told_once_until_it_is_raised(self) -> None:
        fleet, known = spec(max_on_demand_hours=1.0), replace(STEADY, fallback_node_seconds=3600)
        reached = decide(fleet, FULL, known, [Tick()], T0)
        assert [(a.topic, a.word) for a in reached.announcements] == [("cap", "reached")]
        known = settle(reached.ledger, {}, (), T0, announced=reached.announcements)
        assert not decide(fleet, FULL, known, [Tick()], T0 + 60).announcements
        raised = decide(replace(fleet, max_on_demand_hours=2.0), FULL, known, [Tick()], T0 + 120).ledger
        assert not raised.announcements
        assert decide(fleet, FULL, replace(raised, fallback_node_seconds=9999), [Tick()], T0 + 180).announcements

    @pytest.mark.parametrize("name", ["quota", "configuration"])
    @pytest.mark.parametrize("group", [SPOT, BACKUP])
    def test_failures_are_one_occurrence_until_it_has_been_quiet(self, name: str, group: str) -> None:
        known, said = STEADY, []
        for at in (0.0, 900.0, 1800.0, 1800.0 + QUIET_SECONDS, 1900.0 + QUIET_SECONDS, 3000.0 + QUIET_SECONDS):
            failing = [] if at == 1800.0 + QUIET_SECONDS else [LaunchFailed(group, name, T0 + at, "You have no more")]
            decision = decide(spec(), FULL, known, [*failing, Tick()], T0 + at)
            said += [(at, a.topic, a.word) for a in decision.announcements]
            known = settle(decision.ledger, {}, (), T0 + at, announced=decision.announcements)
        assert said == [(0.0, name, "failed"), (1900.0 + QUIET_SECONDS, name, "failed")]

    def test_failures_for_lack_of_on_demand_are_not_announced(self) -> None:
        assert not decide(spec(), FULL, STEADY, [LaunchFailed(BACKUP, "capacity", T0), Tick()], T0).announcements


class TestSending:
    def test_only_ticks_tell_people(self) -> None:
        assert not decide(spec(), FULL, DROUGHT, [], T0).acts
        waiting = replace(STEADY, announcements={"cap": AnnouncementRecord("reached", T0)})
        fleet = spec(max_on_demand_hours=1.0)
        assert not decide(fleet, FULL, replace(waiting, fallback_node_seconds=3600), [], T0).announcements

    def test_what_was_remembered_and_never_marked_is_due_again(self) -> None:
        """Whoever remembered it has died before, or after, it was sent."""
        waiting = decide(spec(), FULL, STEADY, [JobEnded("failed", T0), Tick()], T0).ledger
        assert decide(spec(), FULL, waiting, [Tick()], T0 + 60).announcements

    def test_what_was_sent_is_marked_where_it_is_still_the_case(self) -> None:
        waiting = replace(STEADY, announcements={"drought": AnnouncementRecord("begun", T0 - 60)})
        (sent,) = due(spec(), SHORT, waiting)
        marked = told(waiting, [sent], T0)
        assert marked == {"drought": AnnouncementRecord("begun", T0 - 60, sent_at=T0)}
        assert told(replace(STEADY, announcements=marked), [sent], T0 + 9) == marked
        newer = replace(STEADY, announcements={"drought": AnnouncementRecord("over", T0)})
        assert told(newer, [sent], T0) == newer.announcements
        assert told(STEADY, [sent], T0) == {}

    def test_what_only_a_newer_version_has_words_for_is_kept_and_passed_over(self) -> None:
        newer = replace(STEADY, announcements={"price": AnnouncementRecord("doubled", T0)})
        decision = decide(spec(), FULL, newer, [Tick()], T0)
        assert (decision.announcements, decision.ledger.announcements) == ((), newer.announcements)


class TestThroughTheResponder:
    @pytest.fixture
    def world(self, tmp_path: Path) -> World:
        world = World(tmp_path, spec(max_on_demand_hours=0.1))
        world.sim().spot_capacity = 0
        for name in world.spot():
            world.sim().lose(name)
        return world

    def minute(self, world: World) -> set[str]:
        world.pass_time(60.0)
        failure = LaunchFailed(SPOT, "capacity", world.now, "no")
        return world.respond(Heard("r", failure, next(iter(world.specs))), Tick())

    def test_each_thing_is_told_once_and_marked_in_the_outcome(self, world: World) -> None:
        for _ in range(10):
            assert self.minute(world) == set()
        fleet = next(iter(world.specs))
        assert subjects(world) == [
            f"Spotkeeper: No spot capacity ({fleet})",
            f"Spotkeeper: The limit of on-demand is reached ({fleet})",
        ]
        assert all(record.sent_at is not None for record in world.ledger().announcements.values())
        world.sim().spot_capacity = 9
        for _ in range(10):
            self.minute(world)
        assert subjects(world)[2:] == [f"Spotkeeper: Spot is no longer short ({fleet})"]

    def test_it_is_remembered_before_it_is_sent(self, world: World) -> None:
        told_of: list[dict[str, str]] = []
        world.cloud.before = lambda method: told_of.append(words(world.ledger())) if method == "announce" else None
        for _ in range(3):
            self.minute(world)
        assert told_of == [{"drought": "begun"}, {"drought": "begun", "cap": "reached"}]

    def test_a_topic_that_is_away_costs_one_call_and_fails_nothing(self, world: World) -> None:
        world.cloud.failing = {"announce"}
        for _ in range(5):
            assert self.minute(world) == set(), "messages came back for the sake of an announcement"
        assert world.sim().backup.desired == 4
        assert {kind for _, _, kind, *_ in world.cloud.of("signal")} == {DRAIN}  # bought, then drained at the limit
        warned = [entry for entry in world.logged if entry[1] == "people were not told"]
        assert len(warned) == 4  # of two that wait, the first that fails ends it
        world.cloud.failing = set()
        self.minute(world)
        assert len(subjects(world)) == 2

    def test_without_time_left_it_waits_for_the_next_tick(self, world: World) -> None:
        self.minute(world)

        def spend(method: str) -> None:
            if method == "resize" or world.cloud.of("resize"):
                world.monotonic = 100.0

        world.cloud.before = spend
        world.sim().backup_capacity = 0
        self.minute(world)
        assert not subjects(world)
        world.cloud.before, world.monotonic = lambda _: None, 0.0
        self.minute(world)
        assert subjects(world)


history = st.lists(
    st.tuples(
        st.sampled_from(["enough", "refused", "missing", "quota", "used", "raised", "ended", "stopped", "resumed"]),
        st.sampled_from(["sent", "sent", "not sent", "died before", "died after"]),
    ),
    max_size=40,
)


@settings(max_examples=80, deadline=None)
@given(history)
def test_each_occurrence_is_told_at_least_once_and_twice_only_where_somebody_died(
    script: Sequence[tuple[str, str]],
) -> None:
    known, now, fleet = STEADY, T0, spec("never", max_on_demand_hours=1.0)
    seen_now, occurred, sent, deaths = FULL, [], [], 0
    for what, how in script:
        now += 61.0
        events: list[Event] = [Tick()]
        if what in ("enough", "refused", "missing"):
            seen_now = FULL if what == "enough" else SHORT
        if what in ("refused", "quota"):
            events.append(LaunchFailed(SPOT, "capacity" if what == "refused" else "quota", now, "no"))
        if what == "ended":
            events.append(JobEnded("finished", now))
        hours = {"used": 3600.0, "raised": 0.0}
        pauses = {"stopped": Pause(STOPPED, now), "resumed": None}
        known = replace(known, fallback_node_seconds=hours.get(what, known.fallback_node_seconds))
        known = replace(known, pause=pauses.get(what, known.pause))
        before = known
        fresh = replace(seen_now, reported_at=dict.fromkeys((node(n) for n in range(1, 5)), now))
        decision = decide(fleet, fresh, known, events, now)
        if how == "died before":
            continue
        known = decision.ledger
        for topic, record in known.announcements.items():
            if before.announcements.get(topic, record).word != record.word or topic not in before.announcements:
                occurred.append((topic, record.word, record.since))
        if how in ("sent", "died after"):
            sent += [(a.topic, a.word, known.announcements[a.topic].since) for a in decision.announcements]
        if how == "sent":
            known = settle(known, {}, (), now, announced=decision.announcements)
        deaths += how == "died after"
    told_of = set(sent)
    assert told_of <= set(occurred)
    waiting = {(topic, r.word, r.since) for topic, r in known.announcements.items() if r.sent_at is None}
    # A drought whose beginning could not be told before it was over is told of by its end.
    untold = {each for each in set(occurred) - told_of - waiting if each[0] != "drought"}
    assert not untold
    assert len(sent) - len(told_of) <= 4 * deaths
    assert remembered(fleet, known, now).keys() <= {"drought", "job", "cap", "quota", "configuration"}
