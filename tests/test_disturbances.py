from __future__ import annotations

from spotkeeper_lab import disturbances
from spotkeeper_lab.local.moments import Moment
from spotkeeper_lab.timeline import Alarm, Fault


def moment(at: float, what: str, **detail) -> Moment:
    return Moment(at, what, None, detail)


MOMENTS = [
    moment(1, "fault-began", fault=1, kind="dark", seconds=4, bucket="b"),
    moment(2, "fault-began", fault=2, kind="crash", seconds=None),
    moment(5, "fault-ended", fault=1, kind="dark", hung={"agents": 3}, refused={}),
    moment(6, "launch-refused", group="spot", kind="quota"),
    moment(7, "launch-refused", group="spot", kind="capacity"),
    moment(8, "alarm", name="r-quota", state="ALARM", reason="why", meaning="what"),
    moment(9, "alarm", name="r-quota", state="OK", reason="why", meaning="what"),
    moment(10, "function-invoked", repeated=0),
    moment(11, "function-invoked", repeated=2),
]


def test_a_fault_is_its_beginning_and_its_end() -> None:
    dark, crash = disturbances.faults(MOMENTS)
    assert dark == Fault("dark", 1, 5, {"seconds": 4, "bucket": "b", "hung": {"agents": 3}, "refused": {}})
    assert crash == Fault("crash", 2, None, {"seconds": None})
    assert disturbances.lasting(MOMENTS) == 1


def test_only_a_lack_of_capacity_counts_as_refused() -> None:
    assert disturbances.refused(MOMENTS) == [(7, "spot")]
    assert disturbances.blocked(MOMENTS) == [(6, "quota")]


def test_an_alarm_counts_when_it_rings() -> None:
    assert disturbances.alarms(MOMENTS) == [Alarm(8, "r-quota", "why", "what")]


def test_messages_that_came_before() -> None:
    assert disturbances.repeated(MOMENTS) == [11]


def test_commands_of_a_time_that_nobody_could_remember_do_not_count() -> None:
    dark = disturbances.away(disturbances.faults(MOMENTS), 20)
    assert dark == [(1, 5)]
    assert disturbances.remembered([0.5, 2, 4, 6.9, 7.1, 8], dark) == 3


def test_darkness_without_an_end_lasts_to_the_end() -> None:
    assert disturbances.away(disturbances.faults(MOMENTS[:1]), 20) == [(1, 20)]


def test_a_cloud_that_refuses_calls_forgets_as_well_and_is_not_away() -> None:
    faults = [Fault("throttle", 2, 6), Fault("dark", 7, 9), Fault("crash", 3, 4)]
    assert disturbances.forgetful(faults, 20) == [(2, 6), (7, 9)]
    assert disturbances.away(faults, 20) == [(7, 9)]
