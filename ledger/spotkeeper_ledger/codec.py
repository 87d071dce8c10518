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
from functools import cache, partial
from typing import Any, Callable, Tuple, Type, TypeVar, Union, get_args, get_origin, get_type_hints

Document = TypeVar("Document")

MAX_DOCUMENT_BYTES = 8 * 1024 * 1024
"""Largest document that is parsed at all: a ledger of 10,000 nodes that all go, and their substitutes, has 5 MB."""

_LEAST, _MOST = -sys.float_info.max, sys.float_info.max
"""What a number can be: beyond lie infinities and whole numbers that no clock or size will ever be. NaN is outside
too."""

Parser = Callable[[Any, str], Any]
"""Parses a value that lies at a path; raises :class:`MalformedDocument`."""


class MalformedDocument(ValueError):
    """The bytes are not the document that was asked for; the message names the field."""


def dump(document: Any) -> bytes:
    """Return ``document`` as compact JSON with sorted keys, unknown fields included."""
    return json.dumps(document, default=_plain, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()


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
    wanted: Any = kind
    document: Document = _parser(wanted)(raw, kind.__name__)
    known = getattr(kind, "VERSION", None)
    if known is not None and getattr(document, "version", known) > known:
        raise MalformedDocument(f"{kind.__name__}.version: was {raw.get('version')}, expected at most {known}")
    return document


def _plain(value: Any) -> Any:
    """Return what JSON can hold in place of something that it cannot."""
    if isinstance(value, Mapping):
        return dict(value)
    kind: Any = type(value)
    known = {name: getattr(value, name) for name in _names(kind)}
    return {**getattr(value, "extra", {}), **known}


@cache
def _names(kind: type) -> Tuple[str, ...]:
    return tuple(field.name for field in dataclasses.fields(kind) if field.name != "extra")


@cache
def _parser(kind: Any) -> Parser:
    """Return what parses a value of ``kind``. Made once: to look at annotations takes longer than to parse."""
    origin = get_origin(kind)
    if origin is Union:
        return _optional(_parser(next(choice for choice in get_args(kind) if choice is not type(None))))
    if dataclasses.is_dataclass(kind):
        return _object(kind)
    if origin is tuple:
        return _list(_parser(get_args(kind)[0]))
    if origin is not None and issubclass(origin, Mapping):
        return _mapping(_parser(get_args(kind)[1]))
    return partial(_scalar, kind)


def _optional(parse: Parser) -> Parser:
    return lambda raw, path: None if raw is None else parse(raw, path)


def _list(parse: Parser) -> Parser:
    def parse_list(raw: Any, path: str) -> Any:
        if not isinstance(raw, list):
            raise _wrong(path, raw, "a list")
        return tuple([parse(item, f"{path}[{n}]") for n, item in enumerate(raw)])

    return parse_list


def _mapping(parse: Parser) -> Parser:
    def parse_mapping(raw: Any, path: str) -> Any:
        if not isinstance(raw, dict):
            raise _wrong(path, raw, "an object")
        return {key: parse(item, f"{path}.{key}") for key, item in raw.items()}

    return parse_mapping


def _object(kind: Any) -> Parser:
    hints = get_type_hints(kind)
    parsers = [(name, _parser(hints[name])) for name in _names(kind)]
    required = {
        field.name
        for field in dataclasses.fields(kind)
        if field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
    }

    def parse_object(raw: Any, path: str) -> Any:
        if not isinstance(raw, dict):
            raise _wrong(path, raw, "an object")
        values = {}
        for name, parse in parsers:
            if name in raw:
                values[name] = parse(raw[name], f"{path}.{name}")
            elif name in required:
                raise MalformedDocument(f"{path}.{name}: missing")
        if "extra" in hints:
            values["extra"] = {key: item for key, item in raw.items() if key not in hints}
        return kind(**values)

    return parse_object


def _scalar(kind: Any, raw: Any, path: str) -> Any:
    if kind is str and isinstance(raw, str):
        return raw
    if kind is bool and isinstance(raw, bool):
        return raw
    number = isinstance(raw, (int, float)) and not isinstance(raw, bool) and _LEAST <= raw <= _MOST
    if kind is float and number:
        return float(raw)
    if kind is int and number and raw == int(raw):
        return int(raw)  # Pulumi and other writers have only one number type: 3.0 is a whole number here
    raise _wrong(path, raw, {float: "a number", int: "a whole number", bool: "true or false"}.get(kind, "a string"))


def _wrong(path: str, raw: Any, expected: str) -> MalformedDocument:
    shown = json.dumps(raw)
    return MalformedDocument(f"{path}: was {shown if len(shown) <= 80 else shown[:77] + '...'}, expected {expected}")
