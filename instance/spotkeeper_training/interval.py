"""How often to save when nobody asks: Young's and Daly's optimum, as a pure function."""

from __future__ import annotations

import math
from typing import Optional, Tuple

BOUNDS = (600.0, 1800.0)
"""Seconds between saves, at least and at most, unless told otherwise."""
UNHEARD = 0.1
"""Share of losses whose notice is taken to come too late, or not at all. An assumption, not a measurement."""


def save_interval(
    save_seconds: float,
    mean_spell: float,
    notice_seconds: float,
    bounds: Tuple[float, float] = BOUNDS,
    *,
    unheard: float = UNHEARD,
) -> float:
    """Return the seconds to train between two saves.

    Daly's refinement of Young's ``sqrt(2 * save_seconds * M)`` balances what saves cost against what a loss costs,
    ``M`` being the mean time between losses that only an earlier save helps against. Where a save fits into the notice,
    those are the share ``unheard`` of all losses; where it does not, all of them.

    Args:
        save_seconds: how long a save takes until it is published, as measured.
        mean_spell: mean seconds that a node stays.
        notice_seconds: from word that the node goes to its end; 0 where there is none.
        bounds: the least and the most that is returned.
        unheard: share of losses without usable notice, above 0 and at most 1.

    Raises ``ValueError`` for numbers that cannot be: negative, or bounds the wrong way round.
    """
    lowest, highest = bounds
    if not 0 < lowest <= highest:
        raise ValueError(f"bounds: was {bounds}, expected two numbers above 0, the lower one first")
    if save_seconds < 0 or mean_spell <= 0 or notice_seconds < 0 or not 0 < unheard <= 1:
        raise ValueError(
            f"save_seconds, mean_spell, notice_seconds, unheard: were {save_seconds}, {mean_spell}, {notice_seconds}, "
            f"{unheard}, expected at least 0, above 0, at least 0, and above 0 up to 1"
        )
    between = mean_spell / unheard if save_seconds <= notice_seconds else mean_spell
    return min(highest, max(lowest, _daly(save_seconds, between)))


def _daly(cost: float, between: float) -> float:
    if cost >= 2 * between:
        return between
    ratio = cost / (2 * between)
    return math.sqrt(2 * cost * between) * (1 + math.sqrt(ratio) / 3 + ratio / 9) - cost


class StepInterval:
    """An interval counted in steps: it is over at the same boundary on all ranks, by itself.

    Args:
        steps: how many; ``None`` for an interval that is never over.
        step: completed steps so far.
    """

    def __init__(self, steps: Optional[int], step: int) -> None:
        self._steps, self._previous = steps, step

    def is_over(self, step: int) -> bool:
        """Whether a multiple of the interval has been reached since this was last asked."""
        if self._steps is None:
            return False
        previous, self._previous = self._previous, step
        return previous // self._steps < step // self._steps
