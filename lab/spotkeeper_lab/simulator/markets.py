"""Markets that have a name: drawn from published statistics, or read from the folder of public traces.

Spells are those that facts about the public AWS traces of 2022 and 2023 give by zone (Can't Be Late, NSDI 2024, and
SkyNomad, NSDI 2027); prices are the least and the most of the price history of the same weeks. On-demand is $3.06 an
hour for a p3.2xlarge.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from spotkeeper_lab.simulator.market import Market, MarketError, Windows
from spotkeeper_lab.simulator.synthetic import Spells, drawn
from spotkeeper_lab.simulator.traces import TraceError, read_archive, read_market

TRACES = "SPOTKEEPER_TRACES"
"""The environment variable that names the folder of traces."""
ON_DEMAND = 3.06
"""Dollars for a p3.2xlarge and hour."""
FLOOR = 0.918
"""Dollars: the least that its spot price was in 2023; SkyNomad's reference where a trace has no prices."""
FLAT = 0.9731
"""Dollars: the one spot price of Can't Be Late."""

EAST_1 = (
    Spells(pool="us-east-1a_v100", up_hours=0.7, down_hours=3.6, low=1.10, high=1.85),
    Spells(pool="us-east-1c_v100", up_hours=1.5, down_hours=1.7, low=1.10, high=1.41),
    Spells(pool="us-east-1f_v100", up_hours=2.3, down_hours=1.6, low=1.10, high=1.40),
)
EAST_2 = (Spells(pool="us-east-2a_v100", up_hours=5.7, down_hours=1.8, low=0.92, high=1.09),)
WEST_2 = (Spells(pool="us-west-2b_v100", up_hours=10.4, down_hours=1.1, low=0.92, high=1.09),)
EIGHT = (
    Spells(pool="us-west-2a_8xv100", up_hours=1.2, down_hours=1.3, low=8 * 0.92, high=8 * 1.09),
    Spells(pool="us-west-2b_8xv100", up_hours=0.8, down_hours=0.9, low=8 * 0.92, high=8 * 1.09),
)
SIXTEEN = (Spells(pool="us-west-2a_16", up_hours=1.85, down_hours=2.4, low=0.92, high=1.09, nodes=16, partial=0.06),)


@dataclass(frozen=True)
class Named:
    """A market by name."""

    text: str
    """What it is, in a line."""
    make: Callable[[Path | None, int], Market | Windows]
    """Makes it, given the folder of traces and a seed."""
    from_trace: bool = False


def _drawn(name: str, pools: tuple[Spells, ...], price: float = ON_DEMAND) -> Callable[[Path | None, int], Market]:
    return lambda _, seed: drawn(name, pools, on_demand_price=price, seed=seed)


def _zones(name: str, *zones: str) -> Callable[[Path | None, int], Market]:
    def make(root: Path | None, _: int) -> Market:
        data = _folder(root, name) / "skynomad" / "data"
        folder = data / "real" / "availability" / "2023-02-15" / "processed"
        paths = sorted(folder.glob("*.csv")) if not zones else [folder / f"{zone}_v100_1.csv" for zone in zones]
        if not paths:
            raise TraceError(f"{folder}: was empty, expected files <zone>_v100_1.csv")
        return read_market(
            paths, convention="available", prices=[data / "v100_spot_prices.json"], on_demand_price=ON_DEMAND
        )

    return make


def _counted(name: str, place: str) -> Callable[[Path | None, int], Market]:
    def make(root: Path | None, _: int) -> Market:
        folder = _folder(root, name) / "skynomad" / "data" / place
        paths = sorted(folder.glob("*.json"))
        if not paths:
            raise TraceError(f"{folder}: was empty, expected files <zone>_v100_1.json")
        return read_market(paths, convention="available", spot_price=FLOOR, on_demand_price=ON_DEMAND)

    return make


def _cant_be_late(root: Path | None, _: int) -> Windows:
    return read_archive(
        _folder(root, "cant-be-late") / "frontier-cs" / "cant_be_late_real_traces.tar.gz",
        convention="preempted",
        within="overhead=0.20",
        together=False,
        spot_price=FLAT,
        on_demand_price=ON_DEMAND,
    )


def _parcae(root: Path | None, _: int) -> Market:
    path = _folder(root, "parcae") / "parcae" / "p3trace.csv"
    return read_market([path], convention="available", spot_price=FLOOR, on_demand_price=ON_DEMAND)


MARKETS: Mapping[str, Named] = {
    "us-east-1": Named(
        "three zones with little spot: 17 to 59 % of the time, $1.10 to 1.85", _drawn("us-east-1", EAST_1)
    ),
    "us-east-2": Named("one zone with spot for 76 % of the time, $0.92 to 1.09", _drawn("us-east-2", EAST_2)),
    "us-west-2": Named("one zone with spot for 90 % of the time, $0.92 to 1.09", _drawn("us-west-2", WEST_2)),
    "8xv100": Named(
        "two zones of large nodes, each for half of the time in short spells, at eight times the price",
        _drawn("8xv100", EIGHT, 8 * ON_DEMAND),
    ),
    "16-nodes": Named("one zone with room for 16 nodes or none, in turns of two hours", _drawn("16-nodes", SIXTEEN)),
    "v100-2023": Named("AWS, nine zones of three regions, 45 days, real prices", _zones("v100-2023"), True),
    "v100-2023-us-east-1": Named(
        "the same, zones a, c, d and f of us-east-1",
        _zones("v100-2023-us-east-1", *(f"us-east-1{zone}" for zone in "acdf")),
        True,
    ),
    "v100-2023-us-east-2": Named(
        "the same, zones a and b of us-east-2", _zones("v100-2023-us-east-2", "us-east-2a", "us-east-2b"), True
    ),
    "v100-2023-us-west-2": Named(
        "the same, zones a, b and c of us-west-2",
        _zones("v100-2023-us-west-2", *(f"us-west-2{zone}" for zone in "abc")),
        True,
    ),
    "v100-4-nodes": Named(
        "AWS, four nodes held in each of three zones, $0.918 flat",
        _counted("v100-4-nodes", "v100_multinode_raw/4-nodes-real-preemption"),
        True,
    ),
    "v100-16-nodes": Named(
        "AWS, probes for 16 nodes in each of three zones, $0.918 flat",
        _counted("v100-16-nodes", "v100_multinode_raw/16-nodes"),
        True,
    ),
    "cant-be-late": Named("AWS 2022, 2,400 windows of eight pools, $0.9731 flat", _cant_be_late, True),
    "parcae": Named("AWS, 32 p3.2xlarge held for 11 hours, $0.918 flat", _parcae, True),
}
"""What ``--market`` may name."""


def named(name: str, *, root: Path | None = None, seed: int = 0) -> Market | Windows:
    """Return a market of :data:`MARKETS`.

    Args:
        name: Its name.
        root: The folder of traces (default: what the environment variable ``SPOTKEEPER_TRACES`` names).
        seed: Of those that are drawn.

    Raises:
        MarketError: There is none of that name, or it needs the folder of traces and nobody has said where that is.
        TraceError: The folder lacks what it should have.
    """
    if name not in MARKETS:
        raise MarketError(f"market: was {name!r}, expected one of {', '.join(MARKETS)}")
    made = MARKETS[name].make(root, seed)
    if isinstance(made, Windows):
        return replace(made, market=replace(made.market, name=name))
    return replace(made, name=name)


def traces_folder(root: Path | None = None) -> Path | None:
    """Return the folder of traces, ``None`` where there is none."""
    told = root if root is not None else Path(os.environ[TRACES]) if os.environ.get(TRACES) else None
    return told if told is not None and told.is_dir() else None


def _folder(root: Path | None, name: str) -> Path:
    folder = traces_folder(root)
    if folder is None:
        raise MarketError(
            f"market {name}: needs the public traces; {TRACES} or --traces: was {root or os.environ.get(TRACES)!r},"
            " expected the folder that holds them"
        )
    return folder
