"""How the tests are shared out among processes."""

from __future__ import annotations

import pytest


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Rehearsals go first and to whoever is free, because they mostly wait; other tests stay together by file.

    What a file's tests share, a server or a deployed stack, is then made once.
    """
    items.sort(key=lambda item: item.get_closest_marker("rehearsal") is None)
    for item in items:
        alone = item.get_closest_marker("rehearsal") is not None
        item.add_marker(pytest.mark.xdist_group(item.nodeid if alone else item.path.name))
