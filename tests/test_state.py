from __future__ import annotations

import json
import math
import random
import sys
from collections import OrderedDict, namedtuple
from enum import IntEnum
from pathlib import Path
from typing import Any

import numpy
import pytest
from hypothesis import given
from hypothesis import strategies as some

from spotkeeper_training.leaves import NotExpressible
from spotkeeper_training.staging import Staging
from spotkeeper_training.state import from_parts, plan, to_parts
from spotkeeper_training.tree import INLINE_BYTES

PLAIN = (
    some.none()
    | some.booleans()
    | some.integers()
    | some.floats(allow_nan=False)
    | some.text(max_size=5)
    | some.binary(max_size=3)
)
KEYS = some.text(max_size=4) | some.integers() | some.sampled_from(["$map", "$tensor"])
NESTED = some.recursive(
    PLAIN,
    lambda inner: (
        some.lists(inner, max_size=3)
        | some.lists(inner, max_size=3).map(tuple)
        | some.dictionaries(KEYS, inner, max_size=3)
    ),
    max_leaves=12,
)


def joined(state: dict[str, Any]) -> dict[str, bytes]:
    return {name: body if isinstance(body, bytes) else b"".join(body) for name, body in to_parts(state).items()}


def back(state: dict[str, Any]) -> dict[str, Any]:
    return from_parts(joined(state))


@given(NESTED)
def test_nested_state_comes_back_as_it_was(value: Any) -> None:
    found = back({"entry": value, "other": 1})["entry"]
    assert found == value
    assert repr(found) == repr(value)  # tuples are tuples, 1 is not True, -0.0 is not 0.0


def test_numbers_that_json_cannot_hold() -> None:
    found = back({"x": [math.inf, -math.inf, 2**200, 1e-320, complex(1, -2)], "nan": math.nan})
    assert found["x"] == [math.inf, -math.inf, 2**200, 1e-320, complex(1, -2)]
    assert math.isnan(found["nan"])


def test_random_states_go_on_where_they_were() -> None:
    generator = numpy.random.default_rng(5)
    numpy.random.seed(3)
    random.seed(4)
    state = {
        "python": random.getstate(),
        "numpy": numpy.random.get_state(),
        "generator": generator.bit_generator.state,
    }
    expected = [random.random(), numpy.random.rand(), generator.random()]
    found = back({"random": state, "step": 1})["random"]
    random.setstate(found["python"])
    numpy.random.set_state(found["numpy"])
    generator.bit_generator.state = found["generator"]
    assert [random.random(), numpy.random.rand(), generator.random()] == expected


@pytest.mark.parametrize(
    "array",
    [
        numpy.arange(6.0).reshape(2, 3),
        numpy.arange(6, dtype="i2").reshape(2, 3).T,
        numpy.arange(10, dtype="u4")[::3],
        numpy.array(7),
        numpy.empty((0, 4), dtype="f4"),
        numpy.array([1 + 2j]),
        numpy.arange(3, dtype=">i4"),
        numpy.array([True, False]),
        numpy.array(["2026-01-01"], dtype="M8[D]"),
        numpy.float32(1.5),
    ],
)
def test_arrays_of_every_kind(array: Any) -> None:
    state = {"x": {"a": array, "again": array}, "n": 0}
    region = Staging()
    copied: dict[str, Any] = {**region.take(plan(state)), **plan(state).text()}
    for found in (back(state)["x"], from_parts(copied)["x"]):
        assert found["a"].dtype == numpy.asarray(array).dtype
        assert found["a"].shape == numpy.shape(array)
        assert (found["a"] == array).all()
        assert found["again"] is found["a"]


def test_memory_that_is_shared_is_saved_once() -> None:
    weights = numpy.ones(1000)
    parts = joined({"model": {"in": weights, "out": weights, "half": weights[:500]}, "n": 0})
    assert 8000 + 4000 < len(parts["model.safetensors"]) < 8000 + 4000 + 1000


def test_names_that_meet_are_kept_apart() -> None:
    state = {"m": {"a.b": numpy.zeros(1), "a": {"b": numpy.ones(2)}, "a.b~2": numpy.ones(3)}, "n": 0}
    found = back(state)["m"]
    assert (len(found["a.b"]), len(found["a"]["b"]), len(found["a.b~2"])) == (1, 2, 3)


def test_bytes_are_in_the_document_up_to_a_size() -> None:
    small, large = b"s" * INLINE_BYTES, bytearray(b"l" * (INLINE_BYTES + 1))
    parts = joined({"x": {"small": small, "large": large}, "n": 0})
    assert len(parts["x.safetensors"]) < 2 * INLINE_BYTES + 200
    assert from_parts(parts)["x"] == {"small": small, "large": bytes(large)}


Pair = namedtuple("Pair", "a b")


class Colour(IntEnum):
    RED = 1


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ({"deep": [object()]}, "x.deep.0: was a builtins.object|deep.0: was a builtins.object"),
        ({"s": {1, 2}}, "s: was a builtins.set"),
        ({"f": print}, "f: was a builtins.builtin_function_or_method"),
        ({"e": Colour.RED}, "Colour"),
        ({"p": Pair(1, 2)}, "named tuple Pair"),
        ({"a": numpy.array([object()])}, "a: was an array of object"),
        ({frozenset(): 1}, "a key of type frozenset"),
        ({"v": memoryview(b"x" * 1000)[::2]}, "v: was a view with gaps"),
        ({"p": Path("/")}, "p: was a pathlib"),
    ],
)
def test_what_only_a_pickle_can_hold_is_refused_by_name(value: Any, words: str) -> None:
    with pytest.raises(NotExpressible, match=words):
        plan({"x": value, "n": 0})


@pytest.mark.parametrize("entry", ["", "a/b", "../x", "a" * 200, 5])
def test_an_entry_is_a_file_name(entry: Any) -> None:
    with pytest.raises(ValueError, match="state: had an entry"):
        plan({entry: 1})


def test_parts_stay_parts() -> None:
    parts = {"a.bin": b"abc", "b.bin": bytearray(b"def"), "c.bin": [memoryview(b"gh"), memoryview(b"i")]}
    planned = plan(parts)
    assert planned.ready == {"a.bin": b"abc"}
    assert planned.text() == {}
    copied = {name: bytes(body) for name, body in Staging().take(planned).items()}
    assert copied == {"b.bin": b"def", "c.bin": b"ghi"}
    assert joined(parts) == {"a.bin": b"abc", "b.bin": b"def", "c.bin": b"ghi"}


def test_parts_of_something_else_are_refused() -> None:
    with pytest.raises(ValueError, match=r"had no state\.json \(weights\.npz\)"):
        from_parts({"weights.npz": b""})
    with pytest.raises(ValueError, match="of format 9"):
        from_parts({"state.json": b'{"format": 9}'})
    with pytest.raises(ValueError, match=r"has no .w., to which state\.json refers"):
        from_parts({"state.json": json.dumps({"format": 1, "state": {"m": {"w": {"$array": "w"}}}}).encode()})
    with pytest.raises(ValueError, match=r"system' is unknown"):
        from_parts({"state.json": json.dumps({"format": 1, "state": {"m": {"$os.system": "true"}}}).encode()})


def test_nothing_here_pickles() -> None:
    folder = Path(sys.modules["spotkeeper_training.state"].__file__ or "").parent
    for name in ("state", "tree", "leaves", "tensors", "staging", "copying", "saver", "tier"):
        text = (folder / f"{name}.py").read_text()
        assert "import pickle" not in text
        assert "torch.load" not in text
        assert "torch.save" not in text


def test_ordered_dictionaries_keep_their_order() -> None:
    found = back({"x": OrderedDict([("b", 1), ("a", 2)]), "n": 0})["x"]
    assert list(found) == ["b", "a"]


def test_arrays_lie_over_the_memory_that_was_loaded() -> None:
    parts: dict[str, Any] = dict(joined({"m": {"w": numpy.zeros(4)}, "n": 0}))
    parts["m.safetensors"] = bytearray(parts["m.safetensors"])
    from_parts(parts)["m"]["w"][:] = 1
    assert parts["m.safetensors"][-8:] == numpy.ones(1).tobytes()
