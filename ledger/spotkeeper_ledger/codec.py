"""JSON in and out for frozen dataclasses: checked on the way in, unknown fields kept.

A document written by a newer version is read by an older one without losing what the older one does not
know: unknown top-level fields are kept in ``extra`` and written back. What is missing takes the field's default; what
is of the
wrong type is refused with its path, so that a malformed object is one clear error and never a half-read document.
"""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Mapping
from typing import Any, Type, TypeVar, Union, get_args, get_origin, get_type_hints

Document = TypeVar("Document")

MAX_DOCUMENT_BYTES = 4 * 1024 * 1024
"""Largest document that is parsed at all: 10,000 notices of one fleet fit four times over."""

_LEAST, _MOST = -sys.float_info.max, sys.float_info.max
"""What a number can be: beyond lie infinities and whole numbers that no clock or size will ever be. NaN is outside
too."""

_hints: dict[type, dict[str, Any]] = {}


class MalformedDocument(ValueError):
    """The bytes are not the document that was asked for; the message names the field."""


def dump(document: Any) -> bytes:
    """Return ``document`` as compact JSON with sorted keys, unknown fields included."""
    return json.dumps(_plain(document), sort_keys=True, separators=(",", ":"), allow_nan=False).encode()


def load(kind: Type[Document], body: bytes, *, max_bytes: int = MAX_DOCUMENT_BYTES) -> Document:
    """Parse ``body`` as ``kind``.

    Raises :class:`MalformedDocument` for anything that is not a JSON object of the right shape, larger than
    ``max_bytes``,
    or written in a format version that this code does not know.
    """
    if len(body) > max_bytes:
        raise MalformedDocument(f"{kind.__name__}: {len(body)} bytes, expected at most {max_bytes}")
    try:
        raw = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise MalformedDocument(f"{kind.__name__}: not JSON ({error})") from None
    document: Document = _parse(kind, raw, kind.__name__)
    known = getattr(kind, "VERSION", None)
    if known is not None and getattr(document, "version", known) > known:
        raise MalformedDocument(f"{kind.__name__}.version: was {raw.get('version')}, expected at most {known}")
    return document


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value):
        fields = {f.name: _plain(getattr(value, f.name)) for f in dataclasses.fields(value) if f.name != "extra"}
        return {**getattr(value, "extra", {}), **fields}
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value


def _fields(kind: type) -> dict[str, Any]:
    if kind not in _hints:
        _hints[kind] = get_type_hints(kind)
    return _hints[kind]


def _parse(kind: Any, raw: Any, path: str) -> Any:
    origin = get_origin(kind)
    if origin is Union:
        if raw is None:
            return None
        inner = [choice for choice in get_args(kind) if choice is not type(None)]
        return _parse(inner[0], raw, path)
    if dataclasses.is_dataclass(kind):
        return _parse_dataclass(kind, raw, path)
    if origin is tuple:
        if not isinstance(raw, list):
            raise _wrong(path, raw, "a list")
        return tuple(_parse(get_args(kind)[0], item, f"{path}[{n}]") for n, item in enumerate(raw))
    if origin is not None and issubclass(origin, Mapping):
        if not isinstance(raw, dict):
            raise _wrong(path, raw, "an object")
        return {key: _parse(get_args(kind)[1], item, f"{path}.{key}") for key, item in raw.items()}
    return _parse_scalar(kind, raw, path)


def _parse_dataclass(kind: Any, raw: Any, path: str) -> Any:
    if not isinstance(raw, dict):
        raise _wrong(path, raw, "an object")
    hints, values = _fields(kind), {}
    for field in dataclasses.fields(kind):
        if field.name == "extra":
            continue
        if field.name in raw:
            values[field.name] = _parse(hints[field.name], raw[field.name], f"{path}.{field.name}")
        elif field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
            raise MalformedDocument(f"{path}.{field.name}: missing")
    if "extra" in hints:
        values["extra"] = {key: item for key, item in raw.items() if key not in hints}
    return kind(**values)


def _parse_scalar(kind: Any, raw: Any, path: str) -> Any:
    number = isinstance(raw, (int, float)) and not isinstance(raw, bool) and _LEAST <= raw <= _MOST
    if kind is float and number:
        return float(raw)
    if kind is int and number and raw == int(raw):
        return int(raw)  # Pulumi and other writers have only one number type: 3.0 is a whole number here
    if kind is bool and isinstance(raw, bool):
        return raw
    if kind is str and isinstance(raw, str):
        return raw
    raise _wrong(path, raw, {float: "a number", int: "a whole number", bool: "true or false"}.get(kind, "a string"))


def _wrong(path: str, raw: Any, expected: str) -> MalformedDocument:
    shown = json.dumps(raw)
    return MalformedDocument(f"{path}: was {shown if len(shown) <= 80 else shown[:77] + '...'}, expected {expected}")
