"""What the tests of real trainers share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from support import Runs


@pytest.fixture
def started() -> Iterator[Callable[..., Runs]]:
    """Makes runs, and ends what is left of them."""
    made: list[Runs] = []

    def make(*arguments: Any, **options: Any) -> Runs:
        made.append(Runs(*arguments, **options))
        return made[-1]

    yield make
    for runs in made:
        runs.end()
