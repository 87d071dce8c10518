"""Small markets and jobs for the tests of the simulator, and where the public traces are."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import strategies as st

from spotkeeper_lab.simulator import Job, Market, traces_folder

needs_traces = pytest.mark.skipif(
    traces_folder() is None, reason="needs the public traces: SPOTKEEPER_TRACES names no folder"
)
TICK = 300.0
ON_DEMAND = 3.0


def market(*counts, prices=1.0, tick=TICK, on_demand=ON_DEMAND, pools=None, rates=()) -> Market:
    """A market with a pool for each list of counts."""
    rows = np.array(counts, dtype=np.int64)
    return Market(
        name="test",
        tick_seconds=tick,
        pools=tuple(pools or (f"zone-{'abcdefgh'[row]}_x" for row in range(len(rows)))),
        counts=rows,
        prices=np.broadcast_to(np.asarray(prices, dtype=float).reshape(-1, 1), rows.shape).copy(),
        on_demand_price=on_demand,
        rates=rates,
    )


@st.composite
def markets(draw, *, pools=1, most=1, ticks=40) -> Market:
    """Markets in which spot comes and goes in spells."""
    rows = []
    for _ in range(pools):
        row: list[int] = []
        while len(row) < ticks:
            row += [draw(st.integers(0, most))] * draw(st.integers(1, 8))
        rows.append(row[:ticks])
    prices = draw(st.lists(st.floats(0.1, 2.9), min_size=pools, max_size=pools))
    return market(*rows, prices=prices)


@st.composite
def jobs(draw, *, nodes=1, ticks=40, lossless=True) -> Job:
    """Jobs that can be done in so many ticks, some of them just so."""
    deadline = ticks * TICK
    restart = draw(st.sampled_from([0.0, 60.0, 300.0, 420.0]))
    boot = draw(st.sampled_from([0.0, 90.0, 360.0]))
    work = draw(st.floats(TICK, deadline - restart - boot - 1))
    losses = {}
    if not lossless:
        losses = {
            "checkpoint_seconds": draw(st.sampled_from([120.0, 900.0])),
            "save_seconds": draw(st.sampled_from([0.0, 30.0])),
            "notice_seconds": 120.0,
            "notice_coverage": draw(st.sampled_from([0.0, 0.5, 1.0])),
        }
        work = min(work, deadline - restart - boot - 31)
    return Job(
        work_seconds=work,
        deadline_seconds=deadline,
        nodes=nodes,
        restart_seconds=restart,
        boot_seconds=boot,
        single_zone=draw(st.booleans()) if nodes > 1 else True,
        traffic=None,
        **losses,
    )
