"""Checks that all components share: each returns the value it let through, in the type it is used in.

Numbers that come through Pulumi's wire format are floats, so ``3.0`` is a whole number here.
"""

import inspect
import math
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import pulumi

from spotkeeper.errors import InputError

Checked = TypeVar("Checked")


def known_only(args: Mapping[str, Any], known: Mapping[str, Any], reasons: Mapping[str, str], path: str = "") -> None:
    """Refuse an input that does not exist: a misspelt option must not be silently left out.

    Args:
        args: what was given.
        known: names that exist (the annotations of a TypedDict).
        reasons: why names that one may look for do not exist.
        path: what precedes a name in messages, such as ``timings.``.
    """
    for name in args:
        if name not in known:
            expected = reasons.get(name) or f"one of {', '.join(sorted(known))}"
            raise InputError(path + name, args[name], expected)


def required(args: Mapping[str, Any], *names: str) -> None:
    """Refuse where an input that has no default is missing."""
    for name in names:
        if args.get(name) is None:
            raise InputError(name, None, "a value; this input is required")


def whole_number(
    args: Mapping[str, Any], name: str, default: int | None, least: int, most: float = math.inf, *, path: str = ""
) -> int:
    """Return ``args[name]`` as an int between ``least`` and ``most``, both included."""
    value = _given(args, name, default)
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or not math.isfinite(value) or value != int(value) or not least <= value <= most:
        bounds = f"at least {least}" if most == math.inf else f"from {least} to {most:g}"
        raise InputError(path + name, value, f"a whole number, {bounds}")
    return int(value)


def seconds(args: Mapping[str, Any], name: str, default: float, *, path: str = "", zero: bool = False) -> float:
    """Return ``args[name]`` as seconds: finite and more than 0 (or at least 0 where ``zero`` makes sense)."""
    value = _given(args, name, default)
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or not math.isfinite(value) or value < 0 or (value == 0 and not zero):
        raise InputError(path + name, value, f"seconds, {'at least' if zero else 'more than'} 0")
    return float(value)


def positive(args: Mapping[str, Any], name: str, *, path: str = "") -> float | None:
    """Return ``args[name]`` as a finite number more than 0; ``None`` where it is not given."""
    value = args.get(name)
    if value is None:
        return None
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or not math.isfinite(value) or value <= 0:
        raise InputError(path + name, value, "a number, more than 0")
    return float(value)


def choice(args: Mapping[str, Any], name: str, default: str, choices: Mapping[str, str], *, path: str = "") -> str:
    """Return ``args[name]`` if it is one of ``choices``.

    ``choices`` maps each name to ``""`` if it may be used, else to the reason why it may not.
    """
    value = _given(args, name, default)
    allowed = [name for name, reason in choices.items() if not reason]
    if value in allowed:
        return str(value)
    expected = " or ".join(repr(name) for name in allowed)
    reason = choices.get(value, "") if isinstance(value, str) else ""
    raise InputError(path + name, value, f"{expected} ({reason})" if reason else expected)


def flag(args: Mapping[str, Any], name: str) -> bool:
    """Return ``args[name]`` if it is ``True`` or ``False``; ``False`` where it is not given."""
    value = _given(args, name, False)
    if not isinstance(value, bool):
        raise InputError(name, value, "true or false")
    return value


def text(args: Mapping[str, Any], name: str, *, path: str = "") -> str:
    """Return ``args[name]`` if it is a string; empty where it is not given."""
    value = _given(args, name, "")
    if not isinstance(value, str):
        raise InputError(path + name, value, "a string")
    return value


def now_or_later(args: Mapping[str, Any], name: str, check: Callable[[str], Checked]) -> "pulumi.Output[Checked]":
    """Check a string at once where it is one, so that it is refused where it was written, else when it is known."""
    value = args[name]

    def checked(known: Any) -> Checked:
        if not isinstance(known, str):
            raise InputError(name, known, "a string")
        return check(known)

    if isinstance(value, pulumi.Output) or inspect.isawaitable(value):
        return pulumi.Output.from_input(value).apply(checked)
    result: Any = checked(value)
    return pulumi.Output.from_input(result)


def _given(args: Mapping[str, Any], name: str, default: Any) -> Any:
    value = args.get(name)
    return default if value is None else value
