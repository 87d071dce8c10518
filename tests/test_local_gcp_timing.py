import pytest

from spotkeeper_lab.local_gcp import Timing


@pytest.mark.parametrize("wrong", [{"notice_seconds": -1.0}, {"retry_seconds": 0.0}])
def test_durations_that_cannot_be_are_refused_by_name(wrong: dict[str, float]) -> None:
    (name,) = wrong
    with pytest.raises(ValueError, match=f"{name}: was {wrong[name]}, expected"):
        Timing(**wrong)


def test_a_cloud_may_take_no_time_for_anything_but_trying_again() -> None:
    nothing = Timing(notice_seconds=0, shutdown_seconds=0, boot_seconds=0, status_lag_seconds=0, operation_seconds=0)
    assert nothing.retry_seconds > 0
