"""Nested state to a JSON document and the leaves it refers to, and back. What neither can hold is refused by name.

Dictionaries keep their order and the types of their keys, tuples stay tuples. A JSON object with a key that begins
with ``$`` is what JSON has no word for.
"""

from __future__ import annotations

import base64
import math
from typing import Any, Callable, Dict, Hashable, List, Mapping, Tuple, Type

from spotkeeper_training.leaves import Leaf, NotExpressible, imported, leaf_of, needed, torch_type, where

INLINE_BYTES = 256
"""Plain bytes up to this size are written into the document itself."""
_LEAVES = frozenset({"$tensor", "$array", "$bytes"})
_GROUPS: Dict[Type[Any], str] = {}
_PLAIN = frozenset({bool, int, str, type(None)})


class Walk:
    """One pass over a state: the document, and the leaves by name, each memory once."""

    def __init__(self) -> None:
        self.leaves: Dict[str, Leaf] = {}
        self._names: Dict[Hashable, str] = {}
        self._seen: List[Any] = []
        """What was met stays, so that no address is another's meanwhile."""

    def document(self, value: Any, path: Tuple[str, ...]) -> Any:
        """Return ``value`` as something JSON can hold.

        Args:
            value: anything made of dictionaries, lists, tuples, numbers, strings, bytes, tensors and arrays.
            path: how to get there, for the names of tensors and for errors.

        Raises :class:`NotExpressible` for anything else.
        """
        kind = type(value)
        if kind in _PLAIN:
            return value
        if kind is float:
            return value if math.isfinite(value) else {"$float": repr(value)}
        group = _GROUPS.get(kind) or _group(kind)
        if group == "mapping":
            return self._mapping(value, path)
        return self._row(value, path) if group == "row" else self._leaf(value, path)

    def _leaf(self, value: Any, path: Tuple[str, ...]) -> Any:
        leaf = leaf_of(value, path)
        if leaf is None:
            return _other(value, path)
        if leaf.size <= INLINE_BYTES and isinstance(value, (bytes, bytearray)):
            return {"$base64": base64.b64encode(value).decode()}
        self._seen.append(value)
        return self._refer(leaf, path)

    def _mapping(self, value: Mapping[Any, Any], path: Tuple[str, ...]) -> Any:
        if not [key for key in value if type(key) is not str or key.startswith("$")]:
            return {key: self.document(item, (*path, key)) for key, item in value.items()}
        pairs: List[Any] = []
        for key, item in value.items():
            if type(key) not in _PLAIN and type(key) not in (float, tuple):
                raise NotExpressible(f"{where(path)}: had a key of type {type(key).__name__}, expected plain ones")
            pairs.append([self.document(key, path), self.document(item, (*path, str(key)))])
        return {"$map": pairs}

    def _row(self, value: Any, path: Tuple[str, ...]) -> Any:
        if hasattr(value, "_fields"):
            raise NotExpressible(f"{where(path)}: was the named tuple {type(value).__name__}, expected a dictionary")
        row = [self.document(item, (*path, str(number))) for number, item in enumerate(value)]
        return {"$tuple": row} if isinstance(value, tuple) else row

    def _refer(self, leaf: Leaf, path: Tuple[str, ...]) -> Any:
        known, wanted = len(self._names), ".".join(path) or "value"
        name = self._names.setdefault((leaf.kind, leaf.identity), wanted)
        if len(self._names) > known:
            number = 2
            while name in self.leaves or name == "__metadata__":
                name, number = f"{wanted}~{number}", number + 1
            if number > 2:
                self._names[leaf.kind, leaf.identity] = name
            self.leaves[name] = leaf
        return {f"${leaf.kind}": [name, *leaf.given] if leaf.given else name}


def value_of(document: Any, leaf: Callable[[str, Any], Any]) -> Any:
    """Return the value that a document stands for.

    Args:
        document: what :meth:`Walk.document` returned, also after a way through JSON.
        leaf: given a kind and what refers to it, returns a tensor, array or bytes.

    Raises ``ValueError`` for a document that cannot be one.
    """
    if isinstance(document, list):
        return [value_of(item, leaf) for item in document]
    if not isinstance(document, dict):
        return document
    if len(document) == 1 and next(iter(document)).startswith("$"):
        return _special(*next(iter(document.items())), leaf)
    return {key: value_of(item, leaf) for key, item in document.items()}


def _special(word: str, held: Any, leaf: Callable[[str, Any], Any]) -> Any:
    if word == "$map":
        return {value_of(key, leaf): value_of(item, leaf) for key, item in held}
    if word == "$tuple":
        return tuple(value_of(item, leaf) for item in held)
    if word in _WORDS:
        return _WORDS[word](held)
    if word not in _LEAVES:
        raise ValueError(f"state: {word!r} is unknown")
    return leaf(word[1:], held)


def _group(kind: Type[Any]) -> str:
    """Return what a type is, and remember it: this is asked for every tensor of every save."""
    row = "row" if issubclass(kind, (list, tuple)) else "leaf"
    group = "mapping" if issubclass(kind, Mapping) else row
    _GROUPS[kind] = group
    return group


def _other(value: Any, path: Tuple[str, ...]) -> Any:
    torch = imported("torch")
    if isinstance(value, complex):
        return {"$complex": [repr(value.real), repr(value.imag)]}
    if torch is not None and isinstance(value, torch.dtype):
        return {"$dtype": str(value).split(".")[-1]}
    if torch is not None and isinstance(value, torch.device):
        return {"$device": str(value)}
    kind = type(value)
    raise NotExpressible(
        f"{where(path)}: was a {kind.__module__}.{kind.__qualname__}, expected dictionaries, lists, tuples, numbers, "
        "strings, bytes, tensors or arrays: nothing is pickled, so keep what makes this object again instead"
    )


def _device(name: str) -> Any:
    return needed("torch").device(name)


_WORDS: Dict[str, Callable[[Any], Any]] = {
    "$float": float,
    "$base64": base64.b64decode,
    "$complex": lambda parts: complex(float(parts[0]), float(parts[1])),
    "$dtype": torch_type,
    "$device": _device,
}
