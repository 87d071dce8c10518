"""A process that is killed in the middle of a save leaves a whole checkpoint: a sample of bench/kill_points.py."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path

from bucket_support import a_bucket
from kill_support import BEFORE, MISSED, SAVED, Victim


def test_killed_between_system_calls(tmp_path: Path) -> None:
    draw = random.Random(1)
    with Victim((tmp_path / "checkpoints").as_uri(), tmp_path) as victim:
        boundaries = victim.boundaries()
        kinds = {name: [at for at, each in enumerate(boundaries, 1) if each == name] for name in set(boundaries)}
        assert {"after fsync", "after replace", "before unlink", "after write"} <= set(kinds)
        outcomes = Counter(victim.killed_at(draw.choice(places)) for places in kinds.values())
        outcomes += Counter(victim.killed_at(draw.randint(1, len(boundaries))) for _ in range(4))
        missed = outcomes.pop(MISSED, 0)
        assert set(outcomes) == {BEFORE, SAVED}
        assert victim.inside == victim.killed >= 4 * missed


def test_killed_at_any_moment(tmp_path: Path) -> None:
    draw = random.Random(2)
    with Victim((tmp_path / "checkpoints").as_uri(), tmp_path) as victim:
        usual = 2 * victim.seconds()
        outcomes = Counter(victim.killed_after(draw.uniform(0, usual)) for _ in range(6))
        assert set(outcomes) <= {BEFORE, SAVED}
        assert victim.inside >= 0.8 * victim.killed


def test_killed_in_a_request(tmp_path: Path) -> None:
    with a_bucket() as bucket, Victim(bucket.uri, tmp_path, bucket) as victim:
        asked = victim.requests()
        numbers = random.Random(3).sample(range(asked), 6)
        outcomes = Counter(victim.killed_in_request(number, done=done) for number in numbers for done in (False, True))
        assert set(outcomes) == {BEFORE, SAVED}
