import pytest

from spotkeeper_lab.local_aws.timing import Timing


@pytest.mark.parametrize("wrong", [{"notice_seconds": -1.0}, {"tick_seconds": 0.0}])
def test_durations_that_cannot_be_are_refused_by_name(wrong: dict[str, float]) -> None:
    (name,) = wrong
    with pytest.raises(ValueError, match=f"{name}: was {wrong[name]}, expected"):
        Timing(**wrong)


def test_a_cloud_may_take_no_time_for_anything_but_its_tick() -> None:
    assert Timing(notice_seconds=0, boot_seconds=0, replace_delay_seconds=0, reclaim_kill_seconds=0).boot_seconds == 0
