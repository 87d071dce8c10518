"""The simulator's fleets and the function's decide alike."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from same_decisions_world import changes, compare
from simulator_support import TICK, market
from spotkeeper_lab.simulator import Job
from spotkeeper_responder import Deadline, Mirror, Never, Patient


@st.composite
def courses(draw, ticks=24):
    """A market, and a job that can be done in it, on on-demand at least."""
    nodes = draw(st.sampled_from([1, 1, 2, 3]))
    base = draw(st.integers(0, nodes - 1)) if nodes > 1 else 0
    row: list[int] = []
    while len(row) < ticks:
        row += [draw(st.sampled_from([0, nodes - base, (nodes - base) // 2]))] * draw(st.integers(1, 5))
    prices = np.repeat(draw(st.lists(st.sampled_from([0.4, 1.0, 2.8]), min_size=4, max_size=4)), ticks // 4)
    whole = replace(market(row[:ticks]), prices=prices.reshape(1, -1))
    restart, boot = draw(st.sampled_from([0.0, 60.0, 200.0])), draw(st.sampled_from([0.0, 90.0, 360.0]))
    full = draw(st.sampled_from([0.3, 0.6, 0.8, 0.95]))
    saves = {"checkpoint_seconds": draw(st.sampled_from([240.0, 2400.0])), "notice_coverage": 0.0, "save_seconds": 30.0}
    saves = draw(st.sampled_from([{}, saves]))
    most = ticks * TICK - restart - boot - 31
    job = Job(
        work_seconds=full * most + draw(st.floats(0, 0.05)) * most,
        deadline_seconds=ticks * TICK,
        nodes=nodes,
        minimum=draw(st.integers(1, nodes)),
        base=base,
        restart_seconds=restart,
        boot_seconds=boot,
        **saves,
    )
    return whole, job


def policies(job: Job, kind: str):
    restart = job.changeover_seconds + job.save_seconds
    return {
        "never": Never(),
        "mirror": Mirror(),
        "patient": Patient(450.0),
        "deadline": Deadline(restart=restart, release=0.0),
        "deadline with an excess": Deadline(restart=restart, release=0.0, excess=2.0),
        "deadline without money": Deadline(restart=restart, release=0.0, money=False),
    }[kind]


KINDS = ["never", "mirror", "patient", "deadline", "deadline with an excess", "deadline without money"]


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=20)
@given(course=courses(), hysteresis=st.sampled_from([0.0, 300.0, 1000.0]), warned=st.booleans())
def test_the_simulator_decides_as_the_function_does(kind, course, hysteresis, warned):
    whole, job = course
    warned = warned and not kind.startswith("deadline")  # which counts the notice of a node among what it has lasted
    looks = compare(policies(job, kind), whole, job, hysteresis, warned=warned)
    assert len(looks) >= job.work_seconds // 60


TWO_HOURS = Job(work_seconds=3600.0, deadline_seconds=24 * TICK, restart_seconds=60.0)


def test_mirror_buys_at_the_loss_and_gives_back_after_the_hysteresis_in_steps():
    """Two of three come back, then all of them: what is too much is counted anew for the rest."""
    job = replace(TWO_HOURS, nodes=4, base=1, minimum=1)
    looks = compare(Mirror(), market([3] * 2 + [0] * 4 + [2] * 2 + [3] * 16), job, 900.0)
    assert changes(looks, "on demand") == [(0, 1), (600, 4), (2700, 2), (3600, 1)]


def test_patient_waits_and_then_buys():
    looks = compare(Patient(450.0), market([1] * 2 + [0] * 1 + [1] * 3 + [0] * 8 + [1] * 10), TWO_HOURS)
    assert changes(looks, "on demand") == [(0, 0), (2280, 1), (4200, 0)]


def test_the_deadline_policy_waits_buys_and_asks_for_spot_again_once_it_is_ahead():
    """Lost at 1,200 with 2,460 seconds to do, of which nine tenths have to be to spare, and a start: until 2,466."""
    policy = Deadline(restart=60.0, release=0.0, excess=50.0)
    looks = compare(policy, market([1] * 4 + [0] * 20), TWO_HOURS)
    bought = [(0, 0, 1, False), (2520, 1, 0, False), (2700, 1, 1, False)]
    assert changes(looks, "on demand", "spot", "final")[:3] == bought


def test_the_deadline_policy_ends_on_on_demand_when_no_money_is_left():
    looks = compare(Deadline(restart=60.0, release=0.0, excess=0.02), market([1] * 4 + [0] * 20), TWO_HOURS)
    assert changes(looks, "on demand", "spot", "final") == [(0, 0, 1, False), (60, 1, 0, True)]


def test_a_gang_with_a_base_buys_once_it_is_behind_and_goes_back_to_spot():
    job = replace(TWO_HOURS, nodes=3, base=1)
    looks = compare(Deadline(restart=600.0, release=0.0, excess=50.0), market([0] * 6 + [2] * 18), job)
    assert changes(looks, "on demand", "final") == [(0, 1, False), (600, 3, False), (1800, 1, False)]


def test_spot_that_becomes_dearer_than_on_demand_is_given_up_when_the_money_runs_out():
    whole = market([1] * 40)
    dearer = replace(whole, prices=np.repeat([2.0, 30.0], [12, 28]).reshape(1, -1))
    job = replace(TWO_HOURS, work_seconds=9000.0, deadline_seconds=40 * TICK)
    looks = compare(Deadline(restart=60.0, release=0.0, excess=0.2), dearer, job)
    assert changes(looks, "on demand", "spot", "final") == [(0, 0, 1, False), (3720, 1, 0, True)]


def test_a_save_is_asked_for_whenever_one_is_needed():
    """Each time that more is unsaved than the job makes in a tick."""
    job = Job(
        work_seconds=5000.0,
        deadline_seconds=40 * TICK,
        restart_seconds=60.0,
        checkpoint_seconds=1e5,
        notice_coverage=0.0,
    )
    looks = compare(Deadline(restart=1200.0, release=0.0, money=False), market([1] * 40), job)
    saves = [look["at"] for look in looks if look["saves"]]
    assert len(saves) > 3
    assert max(later - sooner for sooner, later in pairwise(saves)) < 1200, "before a recommendation would expire"
