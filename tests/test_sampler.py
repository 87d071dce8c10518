"""Global batches: the same samples in every step however many ranks share them, whatever happened in between."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import lineage
from spotkeeper_training.sampler import GlobalBatchSampler, Position, Resize


@dataclass(frozen=True)
class Spell:
    """One generation of a job: so many ranks, so many steps, the last ``lost`` of them not saved."""

    world_size: int
    steps: int
    lost: int = 0


@dataclass
class Job:
    """A job that is interrupted: its samplers are real, its model is one number."""

    size: int
    batch_size: int
    micro_batch: int | None = None
    drop_last: bool = False
    batch: str = "global"
    diary: list[lineage.Entry] = field(default_factory=list)
    resumed_at: list[int] = field(default_factory=list)
    resizes: list[Resize] = field(default_factory=list)
    weight: float = 0.0
    saved: tuple[str, float] | None = None

    def run(self, spells: Sequence[Spell]) -> float:
        for attempt, spell in enumerate(spells):
            self._spell(attempt, spell)
        return self.weight

    def findings(self) -> lineage.Findings:
        worlds = {entry.attempt: entry.rank + 1 for entry in sorted(self.diary, key=lambda entry: entry.rank)}
        most = max(worlds.values(), default=1) * self.batch_size if self.batch == "per_rank" else self.batch_size
        return lineage.check(self.diary, self.resumed_at, self.size, may_drop=(most - 1) if self.drop_last else 0)

    def _samplers(self, world_size: int) -> list[GlobalBatchSampler]:
        return [
            GlobalBatchSampler(
                self.size,
                self.batch_size,
                rank=rank,
                world_size=world_size,
                micro_batch=self.micro_batch,
                batch=self.batch,
                on_resize=self.resizes.append,
                drop_last=self.drop_last,
                seed=3,
            )
            for rank in range(world_size)
        ]

    def _spell(self, attempt: int, spell: Spell) -> None:
        samplers = self._samplers(spell.world_size)
        if self.saved:
            state, self.weight = json.loads(self.saved[0]), self.saved[1]
            for sampler in samplers:
                sampler.load_state_dict(state)
        self.resumed_at.append(samplers[0].position.step)
        for number in range(spell.steps):
            self._step(attempt, samplers)
            if number < spell.steps - spell.lost:
                self.saved = json.dumps(samplers[-1].state_dict()), self.weight

    def _step(self, attempt: int, samplers: Sequence[GlobalBatchSampler]) -> None:
        gradient = 0.0
        for sampler in samplers:
            batch = sampler.batch()
            for micro in batch.micro:
                gradient += micro.weight * sum(map(math.sin, micro.ids)) / len(micro.ids)
            weight = sum(micro.weight for micro in batch.micro)
            entry = lineage.Entry(attempt, sampler.rank, batch.epoch, batch.step, batch.ids, weight)
            self.diary.append(entry)
            sampler.advance()
        self.weight -= 0.1 * gradient + 0.01 * self.weight


SPELLS = st.builds(
    lambda world, kept, lost: Spell(world, kept + lost, lost), st.integers(1, 5), st.integers(0, 12), st.integers(0, 4)
)


@settings(max_examples=60)
@given(
    st.integers(1, 60),
    st.integers(1, 20),
    st.none() | st.integers(1, 6),
    st.booleans(),
    st.sampled_from(["global", "per_rank"]),
    st.lists(SPELLS, max_size=4),
    st.integers(1, 4),
)
def test_every_sample_once_per_epoch_in_the_lineage_of_the_weights(
    size: int, batch: int, micro: int | None, drop: bool, mode: str, spells: list[Spell], last_world: int
) -> None:
    if drop and mode == "per_rank":
        batch = min(batch, 3)
    if drop:
        size = max(size, batch * 5)
    job = Job(size, batch, micro, drop, mode)
    job.run([*spells, Spell(last_world, 40)])
    found = job.findings()
    assert found.problems == []
    assert len(found.lost) == sum(spell.lost for spell in spells)


def test_the_checker_finds_what_is_wrong() -> None:
    job = Job(30, 4)
    job.run([Spell(2, 5, lost=2), Spell(3, 12)])
    right = job.diary
    assert job.findings().problems == []
    assert job.findings().lost == [(0, 3), (0, 4)]

    def found(diary: list[lineage.Entry]) -> str:
        return " ".join(lineage.check(diary, job.resumed_at, 30).problems)

    first = right[0]
    assert "seen 2 times" in found([replace(first, ids=[*first.ids[1:], right[1].ids[0]]), *right[1:]])
    assert "not seen" in found([replace(first, ids=first.ids[1:]), *right[1:]])
    assert "weight" in found([replace(first, weight=0.7), *right[1:]])
    assert "counted 2 times" in found([first, *right])
    assert "in no attempt" in found([entry for entry in right if entry.step != 1])
    assert "there is no sample" in found([replace(first, ids=[30, *first.ids[1:]]), *right[1:]])


@given(st.integers(1, 80), st.integers(1, 30), st.integers(1, 7), st.none() | st.integers(1, 5))
def test_batches_do_not_depend_on_the_ranks(size: int, batch_size: int, world_size: int, micro: int | None) -> None:
    alone = GlobalBatchSampler(size, batch_size, rank=0, world_size=1)
    shared = [
        GlobalBatchSampler(size, batch_size, rank=rank, world_size=world_size, micro_batch=micro)
        for rank in range(world_size)
    ]
    for _ in range(2 * alone.steps_per_epoch):
        batches = [sampler.batch() for sampler in shared]
        assert [sample for batch in batches for sample in batch.ids] == list(alone.batch().ids)
        sizes = [len(batch.ids) for batch in batches]
        assert max(sizes) - min(sizes) <= 1
        assert len({len(batch.micro) for batch in batches}) == 1, "ranks meet in every forward pass"
        assert all(1 <= len(part.ids) <= (micro or size) for batch in batches for part in batch.micro)
        assert sum(part.weight for batch in batches for part in batch.micro) == pytest.approx(1)
        for sampler in (alone, *shared):
            sampler.advance()


def test_replay_of_the_same_members_and_stop_steps_is_the_same_to_the_last_bit() -> None:
    spells = [Spell(4, 7, 2), Spell(3, 5), Spell(4, 9, 1), Spell(1, 20)]
    first, second = Job(101, 16, 3), Job(101, 16, 3)
    assert first.run(spells).hex() == second.run(spells).hex()
    assert first.diary == second.diary
    alone = Job(101, 16)
    assert alone.run([Spell(1, 5 + 5 + 8 + 20)]) == pytest.approx(first.weight, rel=1e-9)


def test_an_interruption_alone_changes_not_one_bit() -> None:
    through, broken = Job(50, 8, 3), Job(50, 8, 3)
    assert through.run([Spell(2, 30)]).hex() == broken.run([Spell(2, 9, 3), Spell(2, 4), Spell(2, 20)]).hex()


def test_reading_ahead_moves_nothing() -> None:
    sampler = GlobalBatchSampler(20, 6, rank=0, world_size=2, micro_batch=2)
    sampler.advance()
    read = [list(ids) for ids in sampler]
    assert sampler.position == Position(epoch=0, offset=6, step=1)
    assert read == [list(micro.ids) for batch in sampler.batches() for micro in batch.micro]
    assert len(sampler) == 7
    assert len(read) == 5
    assert len(list(GlobalBatchSampler(20, 6, rank=0, world_size=2, micro_batch=2))) == 7


def test_an_epoch_ends_with_a_smaller_batch_or_without_it() -> None:
    whole = GlobalBatchSampler(10, 4, rank=0, world_size=1, shuffle=False)
    assert list(whole) == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
    assert whole.steps_per_epoch == len(whole) == 3
    dropping = GlobalBatchSampler(10, 4, rank=0, world_size=1, shuffle=False, drop_last=True)
    assert list(dropping) == [[0, 1, 2, 3], [4, 5, 6, 7]]
    assert dropping.steps_per_epoch == len(dropping) == 2


def test_a_rank_without_a_sample_takes_part_with_weight_zero() -> None:
    batches = [GlobalBatchSampler(5, 2, rank=rank, world_size=3, shuffle=False).batch() for rank in range(3)]
    assert [batch.micro[0].weight for batch in batches] == [0.5, 0.5, 0.0]
    assert [batch.ids for batch in batches] == [(0,), (1,), ()]
    assert batches[2].micro[0].ids == (0,)


def test_a_batch_per_rank_grows_with_the_ranks_and_says_so() -> None:
    heard: list[Resize] = []
    before = GlobalBatchSampler(100, 8, rank=0, world_size=2, batch="per_rank", on_resize=heard.append)
    before.advance()
    after = GlobalBatchSampler(100, 8, rank=2, world_size=3, batch="per_rank", on_resize=heard.append)
    after.load_state_dict(before.state_dict())
    assert heard == [Resize(2, 3, 16, 24)]
    assert after.position == Position(epoch=0, offset=16, step=1)
    assert after.batch().size == 24
    same = GlobalBatchSampler(100, 8, rank=1, world_size=2, batch="per_rank", on_resize=heard.append)
    same.load_state_dict(before.state_dict())
    assert len(heard) == 1


def test_a_grown_batch_that_no_longer_fits_the_epoch_begins_the_next() -> None:
    heard: list[Resize] = []
    before = GlobalBatchSampler(20, 4, rank=0, world_size=2, batch="per_rank", on_resize=heard.append, drop_last=True)
    before.advance()
    after = GlobalBatchSampler(20, 4, rank=0, world_size=4, batch="per_rank", on_resize=heard.append, drop_last=True)
    after.load_state_dict(before.state_dict())
    assert after.position == Position(epoch=1, offset=0, step=1)


def test_ranks_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RANK", "2")
    monkeypatch.setenv("WORLD_SIZE", "3")
    sampler = GlobalBatchSampler(9, 3)
    assert (sampler.rank, sampler.world_size) == (2, 3)


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({"size": 0}, "size: was 0, expected at least 1"),
        ({"batch_size": 0}, "batch_size: was 0"),
        ({"rank": 2}, "rank: was 2, expected 0 to 1"),
        ({"micro_batch": 0}, "micro_batch: was 0"),
        ({"batch": "both"}, "batch: was 'both'"),
        ({"batch": "per_rank"}, "on_resize: was None"),
        ({"drop_last": True, "batch_size": 11}, "batch_size: was 11"),
    ],
)
def test_what_cannot_be_used_is_refused(inputs: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        GlobalBatchSampler(**{"size": 10, "batch_size": 4, "rank": 0, "world_size": 2, **inputs})  # type: ignore[arg-type]


@pytest.mark.parametrize("change", [{"size": 11}, {"seed": 1}, {"shuffle": False}, {"batch_size": 5}])
def test_another_data_set_is_not_gone_on_with(change: dict[str, int]) -> None:
    state = GlobalBatchSampler(10, 4, rank=0, world_size=1).state_dict()
    other = GlobalBatchSampler(**{"size": 10, "batch_size": 4, "rank": 0, "world_size": 1, **change})  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=f"{next(iter(change))}: was .*as in the checkpoint"):
        other.load_state_dict(state)
