"""Checked reading of mappings that people write: what is wrong is named with what is expected."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NoReturn

REQUIRED = object()
"""Default of a value that has to be given."""
_EXPECTED = {
    int: "a whole number",
    float: "a number",
    str: "a string",
    bool: "true or false",
    dict: "a mapping",
    list: "a list",
}


class ScenarioError(ValueError):
    """A scenario cannot be used; the message names file, key, value and what is expected."""


class Reader:
    """Takes values out of one mapping of a file, each checked, and refuses what is left over.

    Args:
        source: Name of the file, for errors.
        path: Where in the file the mapping is; empty for the whole file.
        raw: The mapping.
    """

    def __init__(self, source: str, path: str, raw: Any) -> None:
        self._source, self._path = source, path
        if not isinstance(raw, dict):
            self._refuse(path or "the file", raw, "a mapping")
        self._left = dict(raw)

    def take(
        self,
        key: str,
        kind: type,
        default: Any = REQUIRED,
        *,
        least: float | None = None,
        most: float | None = None,
    ) -> Any:
        """Return the value of ``key``, or ``default`` where it is not given."""
        if key not in self._left:
            if default is REQUIRED:
                self.refuse(key, None, _EXPECTED[kind])
            return default
        value = self._left.pop(key)
        if not _fits(value, kind):
            self.refuse(key, value, _EXPECTED[kind])
        if least is not None and value < least:
            self.refuse(key, value, f"at least {least:g}")
        if most is not None and value > most:
            self.refuse(key, value, f"at most {most:g}")
        return float(value) if kind is float else value

    def choice(self, key: str, choices: Mapping[str, Any], default: Any = REQUIRED) -> str:
        """Return the value of ``key``, which has to be one of ``choices``."""
        value = self.take(key, str, default)
        if value not in choices:
            self.refuse(key, value, f"one of {', '.join(sorted(choices))}")
        return str(value)

    def texts(self, key: str) -> list[str]:
        """Return the list of strings at ``key``, an empty one where it is not given."""
        values: list[str] = self.take(key, list, [])
        if not all(isinstance(value, str) for value in values):
            self.refuse(key, values, "a list of strings")
        return values

    def part(self, key: str) -> Reader:
        """Return a reader of the mapping at ``key``, of an empty one where it is not given."""
        return Reader(self._source, self._at(key), self.take(key, dict, {}))

    def finish(self, known: str) -> None:
        """Refuse keys that nobody asked for."""
        for key, value in self._left.items():
            self.refuse(str(key), value, f"no such key; known are {known}")

    def refuse(self, key: str, value: Any, expected: str) -> NoReturn:
        """Raise the error that names ``key``."""
        self._refuse(self._at(key), value, expected)

    def _refuse(self, place: str, value: Any, expected: str) -> NoReturn:
        raise ScenarioError(f"{self._source}: {place}: was {value!r}, expected {expected}")

    def _at(self, key: str) -> str:
        return f"{self._path}.{key}" if self._path else key


def _fits(value: Any, kind: type) -> bool:
    if isinstance(value, bool):
        return kind is bool
    return isinstance(value, (int, float) if kind is float else kind)
