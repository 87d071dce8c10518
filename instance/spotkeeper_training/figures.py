"""What a guard tells of its steps and saves."""

from __future__ import annotations

import math
from typing import Collection, Deque, Optional, Tuple


def rate(reported: Deque[Tuple[float, int]]) -> Optional[float]:
    """Return the steps per second over ``reported``: when, and how many steps were completed."""
    if len(reported) < 2:
        return None
    (began, first), (ended, last) = reported[0], reported[-1]
    return (last - first) / (ended - began) if ended > began and last >= first else None


def p95(seconds: Collection[float]) -> Optional[float]:
    """Return what 95 of 100 do not exceed; ``None`` where there are none."""
    return sorted(seconds)[math.ceil(0.95 * len(seconds)) - 1] if seconds else None
