from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from spotkeeper_ledger import Entry, Head
from spotkeeper_training.retention import expendable


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
