from __future__ import annotations

import pytest

from spotkeeper_lab.simulator import Job, JobError, Traffic


def job(**changes) -> Job:
    return Job(**{"work_seconds": 3600.0, "deadline_seconds": 7200.0, "nodes": 4, **changes})


def test_a_gang_works_on_all_its_nodes_or_not_at_all():
    assert job().speed_by_nodes().tolist() == [0, 0, 0, 0, 1]
    assert job().gang


def test_an_elastic_job_works_on_fewer_and_as_fast_as_it_is_told():
    assert job(minimum=2).speed_by_nodes().tolist() == [0, 0, 0.5, 0.75, 1]
    assert job(minimum=1, speeds=(0.4, 0.7, 0.9, 1.0)).speed_by_nodes().tolist() == [0, 0.4, 0.7, 0.9, 1]


def test_pauses_for_checkpoints_slow_it():
    assert job(checkpoint_seconds=90.0, pause_seconds=10.0).usual_speed == pytest.approx(0.9)
    assert job(pause_seconds=10.0).usual_speed == 1, "it makes none"


def test_traffic_costs_by_the_second_of_work():
    assert Traffic(bytes_per_step=2e9, step_seconds=4.0, dollars_per_gb=0.01).dollars_per_second == pytest.approx(0.005)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"work_seconds": 0.0}, "work: was 0h, expected more than 0"),
        ({"nodes": 0}, "nodes: was 0, expected at least 1"),
        ({"minimum": 5}, "minimum: was 5, expected 1 to 4"),
        ({"base": 5}, "base: was 5, expected 0 to 4"),
        ({"notice_coverage": 1.5}, "notice_coverage: was 1.5, expected 0 to 1"),
        ({"checkpoint_seconds": 0.0}, "checkpoint: was 0.0, expected more than 0 seconds"),
        ({"restart_seconds": -1.0}, "restart_seconds: was -1.0, expected 0 or more seconds"),
        ({"speeds": (1.0,)}, "speeds: was .*, expected 4, one for each number of nodes"),
        ({"speeds": (0.4, 0.3, 0.9, 1.0)}, "speeds: was .*, expected more than 0, and with no node more less"),
        ({"speeds": (0.0, 0.3, 0.9, 1.0)}, "speeds: was .*, expected more than 0"),
        ({"deadline_seconds": 3600.0}, "deadline: was 1h, expected at least 1.2h: the work and one start take that"),
    ],
)
def test_what_cannot_be_run_is_refused(changes, message):
    with pytest.raises(JobError, match=message):
        job(**changes)
