"""How the tests are shared out among processes, and what a busy machine must not be taken for."""

from __future__ import annotations

import ast
import functools
import gc
import os
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

# Other processes may take the machine while an example is made: that is no fault of the test.
settings.register_profile("busy", suppress_health_check=[HealthCheck.too_slow], deadline=None)
# The same examples in every run: a change that is refused is refused for what it changes. Everywhere else they are new
# each time, which is how they find something.
settings.register_profile("ci", settings.get_profile("busy"), derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "busy")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Rehearsals go first and to whoever is free, because they mostly wait; other tests stay together by file.

    What a file's tests share, a server or a deployed stack, is then made once. Tests that share nothing and take long
    name a group of their own.
    """
    items.sort(key=lambda item: item.get_closest_marker("rehearsal") is None)
    for item in items:
        if item.get_closest_marker("xdist_group") is not None:
            continue
        alone = item.get_closest_marker("rehearsal") is not None
        item.add_marker(pytest.mark.xdist_group(item.nodeid if alone else item.path.name))


def _uncollected(parse: Any) -> Any:
    """Keep the garbage collector from running while ``parse`` does.

    CPython 3.11 counts how deep it is in a syntax tree for all threads together. Collecting garbage in the middle may
    let another thread parse, a local cloud's server for one, and then both fail with a SystemError.
    """

    @functools.wraps(parse)
    def parsed(*args: Any, **kwargs: Any) -> Any:
        collects = gc.isenabled()
        gc.disable()
        try:
            return parse(*args, **kwargs)
        finally:
            if collects:
                gc.enable()

    return parsed


ast.parse = _uncollected(ast.parse)
