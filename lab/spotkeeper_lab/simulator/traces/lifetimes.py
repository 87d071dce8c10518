"""How long nodes lived, and the market of places that this makes: in each, one node follows another."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from spotkeeper_lab.simulator.market import Counts, Floats
from spotkeeper_lab.simulator.synthetic import luck
from spotkeeper_lab.simulator.traces.series import Convention, Series, accepted, json_of, positive, refuse, text_of

LEAST = 20
"""With fewer lifetimes than that a pool is left out: they are no sample."""
TICK_SECONDS = 300.0
TICKS = 30 * 288
"""How long a market is that is drawn: 30 days."""


@dataclass(frozen=True, kw_only=True)
class Draw:
    """How lifetimes become a market: what such data does not tell."""

    places: int
    """For how many nodes a pool has room at most."""
    vacancy_seconds: float
    """For how long a place is empty after a life, mean."""
    seed: int = 0


def read_lifetimes(path: Path, *, convention: Convention) -> dict[str, Floats]:
    """Read how long nodes lived: ``{"<node>": {"time_in_sec": …, "instance_data": {"ZONE": …, "MACHINE_TYPE": …}}}``.

    Args:
        path: The file.
        convention: Has to be ``lifetimes``.

    Returns:
        Seconds by pool, ``<zone>_<type>``, those with the most nodes first.

    Raises:
        TraceError: The file is not such a document.
    """
    accepted(f"{path}", convention, "lifetimes")
    told = json_of(f"{path}", text_of(path))
    if not isinstance(told, dict) or not told:
        refuse(f"{path}", "the file", told, "an object of nodes")
    lives: dict[str, list[float]] = {}
    for node, record in told.items():
        data = record.get("instance_data") if isinstance(record, dict) else None
        data = data if isinstance(data, dict) else {}
        for field in ("ZONE", "MACHINE_TYPE"):
            if not isinstance(data.get(field), str):
                refuse(f"{path}", f"{node}.instance_data.{field}", data.get(field), "a name")
        seconds = positive(f"{path}", f"{node}.time_in_sec", record.get("time_in_sec"))
        lives.setdefault(f"{data['ZONE']}_{data['MACHINE_TYPE']}", []).append(seconds)
    return {pool: np.array(lives[pool]) for pool in sorted(lives, key=lambda pool: -len(lives[pool]))}


def drawn_series(path: Path, *, convention: Convention, draw: Draw) -> list[Series]:
    """Return the pools that a file of lifetimes makes, those with enough of them; see :func:`read_lifetimes`."""
    lives = read_lifetimes(path, convention=convention)
    enough = [pool for pool in lives if len(lives[pool]) >= LEAST]
    if not enough:
        most = max(len(each) for each in lives.values())
        refuse(f"{path}", "the file", f"{most} lifetimes of a pool at most", f"{LEAST} of a zone and type at least")
    found = []
    for pool in enough:
        random = luck(pool, draw.seed)
        counts = sum((_place(lives[pool], draw, random) for _ in range(draw.places)), np.zeros(TICKS, dtype=np.int64))
        found.append(Series(source=f"{path}", pool=pool, tick_seconds=TICK_SECONDS, counts=counts))
    return found


def _place(lives: Floats, draw: Draw, random: np.random.Generator) -> Counts:
    """Return when there is a node in a place; at the beginning one has lived for a while."""
    there = np.zeros(TICKS, dtype=np.int64)
    at = -float(random.uniform(0, lives.mean()))
    while at < TICKS * TICK_SECONDS:
        life = float(random.choice(lives))
        first, end = (max(0, round(edge / TICK_SECONDS)) for edge in (at, at + life))
        there[first:end] = 1
        at += life + float(random.exponential(draw.vacancy_seconds))
    return there
