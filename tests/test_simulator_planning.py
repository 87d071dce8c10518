"""What a plan says besides what it has simulated."""

from __future__ import annotations

import pytest

from spotkeeper_lab.simulator.job import Job
from spotkeeper_lab.simulator.planning import first_excursion
from spotkeeper_responder import Deadline

HOUR = 3600.0


@pytest.mark.parametrize(
    ("spot_price", "save", "work", "fits"),
    [
        (1.0, 0.0, 1.0, True),
        (1.0, 3600.0, 1.0, False),  # what is not saved is lost
        (2.7, 0.0, 1.0, False),
        (2.7, 0.0, 10.0, True),  # the default is a part of what the job costs
    ],
)
def test_whether_the_excess_pays_for_a_first_try(spot_price: float, save: float, work: float, fits: bool) -> None:
    policy = Deadline(restart=720.0, release=60.0)
    job = Job(work_seconds=work * HOUR, deadline_seconds=99 * HOUR, nodes=4, save_seconds=save)
    assert first_excursion(policy, job, spot_price, 3.0) is fits
