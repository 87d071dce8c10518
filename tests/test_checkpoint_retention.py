from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spotkeeper_ledger import Entry
from spotkeeper_ledger.checkpoints import Head
from spotkeeper_training.retention import Retention, expendable, orphans


def key(generation: int, number: int) -> str:
    return f"manifests/g{generation}-s{number * 10}-{number:08x}.json"


def entries(*keys: str) -> list[Entry]:
    return [Entry(name, "v", 1, float(at)) for at, name in enumerate(keys)]


def test_the_oldest_go_first_and_the_heads_two_stay() -> None:
    keys = [key(1, number) for number in range(5)]
    head = Head(1, manifest=keys[4], previous=keys[3])
    assert expendable(entries(*keys), head, keep=2) == keys[:3]
    assert expendable(entries(*keys), head, keep=4) == keys[:1]
    assert expendable(entries(*keys), head, keep=9) == []


def test_what_the_head_names_stays_however_old() -> None:
    keys = [key(1, number) for number in range(4)]
    head = Head(1, manifest=keys[3], previous=keys[0])  # the two between were damaged, and never loaded
    assert expendable(entries(*keys), head, keep=2) == keys[1:3]


def test_nothing_of_a_later_generation_and_nothing_unknown_is_touched() -> None:
    keys = [key(1, 0), key(3, 1), "manifests/notes.txt", "manifests/g1-s10-xyz.json", key(2, 2), key(2, 3)]
    head = Head(2, manifest=key(2, 3), previous=key(2, 2))
    assert expendable(entries(*keys), head, keep=2) == [key(1, 0)]


@given(
    generations=st.lists(st.integers(0, 4), min_size=1, max_size=12),
    named=st.tuples(st.integers(0, 11), st.integers(0, 11)),
    own=st.integers(0, 4),
    keep=st.integers(2, 6),
)
def test_never_too_much(generations: list[int], named: tuple[int, int], own: int, keep: int) -> None:
    keys = [key(generation, number) for number, generation in enumerate(generations)]
    manifest, previous = (keys[at % len(keys)] for at in named)
    gone = expendable(entries(*keys), Head(own, manifest=manifest, previous=previous), keep)
    assert not {manifest, previous} & set(gone)
    assert all(generations[keys.index(name)] <= own for name in gone)
    candidates = [name for name in keys if generations[keys.index(name)] <= own and name not in (manifest, previous)]
    assert gone == candidates[: max(0, len(candidates) - (keep - 2))]


def test_milestones_and_pins_stay() -> None:
    keys = [key(1, number) for number in range(6)]
    head = Head(1, manifest=keys[5], previous=keys[4])
    assert expendable(entries(*keys), head, Retention(every_steps=20)) == [keys[1], keys[3]]
    assert expendable(entries(*keys), head, Retention(), pinned={keys[0], keys[2]}) == [keys[1], keys[3]]
    assert expendable(entries(*keys), head, Retention(last=3, every_steps=20)) == [keys[1]]


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"last": 1}, "keep: was 1, expected at least 2"),
        ({"every_steps": 0}, "every_steps: was 0, expected at least 1"),
        ({"grace_seconds": -1.0}, "grace_seconds: was -1.0, expected at least 0"),
    ],
)
def test_a_retention_that_cannot_be_used_is_named(settings: dict[str, float], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Retention(**settings)  # type: ignore[arg-type]


HEAD = Head(2, step=30)


def objects(*found: tuple[str, float]) -> list[Entry]:
    return [Entry(name, "v", 1, at) for name, at in found]


def test_remains_go_by_folder_when_the_youngest_of_it_is_old_enough() -> None:
    found = objects(
        ("parts/g1-s10-r0-aa/weights~0", 5.0),
        ("parts/g1-s10-r0-aa/weights~1", 30.0),  # still on its way
        ("parts/g1-s20-r0-bb/weights", 5.0),
        ("parts/g2-s20-r0-cc/weights", 5.0),
        ("shards/g2-s20-dd/r1-ee.json", 5.0),
        ("loads/g2-dd/g1-s20-ff/decision.json", 5.0),
    )
    gone = orphans(found, {"parts/g2-s20-r0-cc/weights"}, [], HEAD, older_than=20.0)
    assert gone == [
        "parts/g1-s20-r0-bb/weights",
        "shards/g2-s20-dd/r1-ee.json",
        "loads/g2-dd/g1-s20-ff/decision.json",
    ]


def test_remains_of_a_later_generation_of_unclear_manifests_and_what_is_unknown_stay() -> None:
    found = objects(
        ("parts/g3-s10-r0-aa/weights", 0.0),
        ("parts/g1-s10-r0-bb/weights", 0.0),
        ("parts/g1-s100-r0-bb/weights", 0.0),
        ("parts/mine.txt", 0.0),
        ("notes/g1-s10-r0-bb/weights", 0.0),
    )
    assert orphans(found, set(), ["manifests/g1-s10-77.json"], HEAD, older_than=1.0) == ["parts/g1-s100-r0-bb/weights"]


def test_what_may_belong_to_the_next_save_stays_whatever_the_clock_says() -> None:
    found = objects(
        *((f"parts/g2-s{step}-r1-aa/weights", 0.0) for step in (20, 30, 31)),
        *((f"shards/g1-s{step}-bb/r1-cc.json", 0.0) for step in (20, 40)),
    )
    assert orphans(found, set(), [], HEAD, older_than=1e9) == [
        "parts/g2-s20-r1-aa/weights",
        "shards/g1-s20-bb/r1-cc.json",
        "shards/g1-s40-bb/r1-cc.json",
    ]
