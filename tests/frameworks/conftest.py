"""What the tests of real trainers share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support import Runs


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Frameworks take seconds to import, and each test starts several processes that do."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.timeout(1200))


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
