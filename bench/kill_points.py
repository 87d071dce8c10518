"""Kills a process in the middle of a save, again and again, and looks at what the next one can resume from.

The process saves checkpoints of several parts, one of which has several pieces, to a folder and to a bucket on this
machine, and deletes old ones. It is killed at each boundary before or after a system call with an effect, and in each
request to the bucket, before the request has its effect and after; five times each; then at moments drawn at random
from several saves in a row. Each time a new generation begins. It must find the last checkpoint that was said to be
published, or the one after it, with every byte as it was, and without falling back. The process loads nothing but the
store.

Exits with 1 where a resume was broken, or fewer than 80 % of the kills were inside a save.
"""

from __future__ import annotations

import collections
import random
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import support

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))
from bucket_support import a_bucket
from kill_support import BEFORE, BROKEN, MISSED, SAVED, SAVES, Victim

LEAST_INSIDE = 0.8
Kill = Callable[[], str]


def in_folder(victim: Victim, times: int, at_random: int, draw: random.Random) -> Iterator[tuple[str, Kill]]:
    boundaries = victim.boundaries()
    for number in range(1, len(boundaries) + 1):
        for _ in range(times):
            yield "system call", lambda number=number: victim.killed_at(number)  # type: ignore[misc]
    yield from drawn(victim, at_random, draw)


def in_bucket(victim: Victim, times: int, at_random: int, draw: random.Random) -> Iterator[tuple[str, Kill]]:
    for number in range(victim.requests()):
        for done in (False, True):
            for _ in range(times):
                yield (
                    "request",
                    lambda number=number, done=done: victim.killed_in_request(number, done=done),  # type: ignore[misc]
                )
    yield from drawn(victim, at_random, draw)


def drawn(victim: Victim, at_random: int, draw: random.Random) -> Iterator[tuple[str, Kill]]:
    usual = SAVES * victim.seconds()
    for _ in range(at_random):
        seconds = draw.uniform(0, usual)
        yield "random", lambda seconds=seconds: victim.killed_after(seconds)  # type: ignore[misc]


def tried(place: str, victim: Victim, kills: Iterator[tuple[str, Kill]]) -> list[dict[str, object]]:
    outcomes: dict[str, collections.Counter[str]] = {}
    inside: collections.Counter[str] = collections.Counter()
    shown = time.monotonic()
    for kind, kill in kills:
        before = victim.inside
        outcome = kill()
        inside[kind] += victim.inside - before
        outcomes.setdefault(kind, collections.Counter())[outcome] += 1
        if outcome.startswith(BROKEN):
            print(f"{place}, {kind}: {outcome}", flush=True)
        if time.monotonic() > shown + 60:
            shown = time.monotonic()
            so_far = {kind: dict(counted) for kind, counted in outcomes.items()}
            print(f"{place}: {victim.killed} kills so far: {so_far}", flush=True)
    return [
        {
            "place": place,
            "killed_at": kind,
            "kills": sum(counted.values()) - counted[MISSED],
            MISSED: counted[MISSED],
            "inside_a_save": inside[kind],
            BEFORE: counted[BEFORE],
            SAVED: counted[SAVED],
            "broken": sum(number for outcome, number in counted.items() if outcome.startswith(BROKEN)),
        }
        for kind, counted in outcomes.items()
    ]


def main() -> None:
    options = support.parser(__doc__)
    options.add_argument("--times", type=int, default=5, help="kills at each boundary (default %(default)s)")
    options.add_argument("--random", type=int, default=1000, help="kills at random moments (default %(default)s)")
    options.add_argument("--seed", type=int, default=0, help="of the random moments (default %(default)s)")
    asked = options.parse_args()
    draw = random.Random(asked.seed)
    half = asked.random // 2
    with tempfile.TemporaryDirectory() as folder, Victim(Path(folder, "c").as_uri(), Path(folder)) as victim:
        rows = tried("folder", victim, in_folder(victim, asked.times, asked.random - half, draw))
    with (
        tempfile.TemporaryDirectory() as folder,
        a_bucket() as bucket,
        Victim(bucket.uri, Path(folder), bucket) as victim,
    ):
        rows += tried("bucket", victim, in_bucket(victim, asked.times, half, draw))
    support.deliver("kill points", rows, asked.json)
    kills, inside = (sum(int(str(row[name])) for row in rows) for name in ("kills", "inside_a_save"))
    print(f"{kills} kills, {inside} of them inside a save")
    if any(row["broken"] for row in rows) or inside < LEAST_INSIDE * kills:
        sys.exit(1)


if __name__ == "__main__":
    main()
