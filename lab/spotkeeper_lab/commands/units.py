"""Times, numbers and prices as people write them."""

from __future__ import annotations

import argparse
import math
import re

_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 24 * 3600.0}


def duration(text: str) -> float:
    """Return the seconds that a text such as ``40h``, ``12m`` or ``1h30m`` means."""
    parts = re.findall(r"(\d+(?:\.\d+)?)([smhd])", text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise argparse.ArgumentTypeError(f"was {text!r}, expected a time such as 40h, 12m, 90s or 1h30m")
    return sum(float(number) * _UNITS[unit] for number, unit in parts)


def count(text: str) -> int:
    """Return a whole number above 0."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"was {text!r}, expected a whole number, at least 1")
    return int(text)


def price(text: str) -> float:
    """Return dollars."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value < math.inf:
        raise argparse.ArgumentTypeError(f"was {text!r}, expected dollars, 0 or more")
    return value


def speeds(text: str) -> tuple[float, ...]:
    """Return the speed with 1, 2, … nodes relative to that with all."""
    try:
        values = tuple(float(part) for part in text.split(","))
    except ValueError:
        values = ()
    if not values or not all(0 < value <= 1 for value in values) or values[-1] != 1:
        raise argparse.ArgumentTypeError(
            f"was {text!r}, expected the speed with 1, 2, … nodes relative to that with all, such as 0.3,0.6,0.8,1"
        )
    return values
