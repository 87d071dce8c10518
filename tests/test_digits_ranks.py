"""Training on several ranks: the same samples in every step, whatever the number of ranks, and the same weights on all.

That ranks save after the same step, through their agents, is in the rehearsal of the scenario ``elastic``.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from spotkeeper_lab.trainers import digits, digits_ranks
from spotkeeper_lab.trainers.digits_ranks import Work
from spotkeeper_lab.trainers.sums import Place, Sums
from spotkeeper_training import Checkpoint, CheckpointStore, Restored
from test_sums import on_all_ranks

OPTIONS = digits.parser("digits_ranks", "").parse_args(["--epochs", "2", "--batch", "50"])
DATA = digits.load_digits()
PER_EPOCH = 29


def train(ranks: int, until: int, begun: Restored | None = None) -> list[Work]:
    """Train on so many ranks up to a step, from the beginning or from a checkpoint."""

    def work(place: Place) -> Work:
        found = Work(OPTIONS, DATA, place)
        if begun:
            found.restore(begun)
        with Sums(place) as sums:
            while found.state.step < until:
                found.step(sums)
        return found

    return on_all_ranks(ranks, work)


def saved(works: list[Work]) -> Restored:
    shards = {rank: work.parts() for rank, work in enumerate(works)}
    return Restored(Checkpoint(works[0].state.step, 1, "key"), shards[0], shards, len(works))


@pytest.fixture(scope="module")
def alone() -> Work:
    return train(1, PER_EPOCH + 5)[0]


def test_all_ranks_hold_the_same_weights_bit_for_bit_and_almost_those_of_one_rank(alone: Work) -> None:
    works = train(3, PER_EPOCH + 5)
    assert len({digits.digest(work.state.weights) for work in works}) == 1
    assert {work.samples for work in works} == {alone.samples}
    for name, weights in works[0].state.weights.items():
        np.testing.assert_allclose(weights, alone.state.weights[name], rtol=0, atol=1e-9)


def test_another_number_of_ranks_goes_on_with_the_same_samples(alone: Work) -> None:
    middle = train(2, PER_EPOCH - 3, saved(train(3, 7)))
    end = train(4, PER_EPOCH + 5, saved(middle))
    assert {work.samples for work in end} == {alone.samples}
    np.testing.assert_allclose(end[0].state.weights["w1"], alone.state.weights["w1"], rtol=0, atol=1e-9)


def test_a_step_that_is_left_out_or_made_twice_is_seen_in_the_samples(alone: Work) -> None:
    begun = saved(train(2, 7))
    twice = train(2, PER_EPOCH + 5, begun)[0]
    assert twice.samples == alone.samples
    skipped = Work(OPTIONS, DATA, Place())
    skipped.restore(begun)
    skipped._sampler.advance()
    with Sums(Place()) as sums:
        while skipped.state.step < PER_EPOCH + 5:
            skipped.step(sums)
    assert skipped.samples != alone.samples


def test_a_checkpoint_whose_ranks_were_at_different_steps_is_refused() -> None:
    one, other = train(2, 3)[0], train(2, 4)[1]
    with pytest.raises(ValueError, match=r"steps: were \[3, 4\], expected 3 on all ranks"):
        Work(OPTIONS, DATA, Place()).restore(saved([one, other]))


def test_it_is_a_program_that_goes_on_where_it_was(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    uri = (tmp_path / "checkpoints").as_uri()
    store = CheckpointStore(uri, generation=0)
    store.begin()
    work = train(1, 7)[0]
    store.publish(7, work.parts())
    arguments = ["--epochs", "2", "--batch", "50", "--checkpoint", uri, "--result", str(tmp_path / "result.json")]
    assert digits_ranks.main(arguments) == 0
    whole = train(1, 2 * PER_EPOCH)[0]
    written = (tmp_path / "result.json").read_text()
    assert f'"samples": "{whole.samples}"' in written
    assert f'"digest": "{digits.digest(whole.state.weights)}"' in written
    assert '"resume_step": 7' in capsys.readouterr().err
