"""The options that ``simulate`` and ``plan`` share: which market, which job, and what interruptions cost it."""

from __future__ import annotations

import argparse
import dataclasses
import math
from pathlib import Path

import numpy as np

from spotkeeper_lab.commands import Refused
from spotkeeper_lab.commands.trace_options import add_trace, only_with_trace, read_trace
from spotkeeper_lab.commands.units import count, duration, price, speeds
from spotkeeper_lab.simulator.job import HOUR, Job, JobError, Traffic
from spotkeeper_lab.simulator.market import Market, MarketError, Windows
from spotkeeper_lab.simulator.markets import MARKETS, TRACES, named
from spotkeeper_lab.simulator.traces import FORMATS, TraceError, read_rates

STARTS = 200
"""How many starts there are unless somebody says."""
_LATEST = 2.0
"""Runs that are late go on for so many times the deadline, where the market is long enough."""


def add_market(parser: argparse.ArgumentParser) -> None:
    """Add what says which market it is."""
    group = parser.add_argument_group("market", "where the job would run: a market by name, or traces")
    add = group.add_argument
    add("--market", metavar="NAME", help="a market of --list")
    add("--pools", metavar="A,B", help="only these pools of the market")
    add(
        "--rates",
        metavar="POOL=RATE,…",
        help="how fast spot nodes are, on-demand being 1, by pool or type: g5=0.6; or a JSON file of such pairs. Nodes "
        "that work together are as fast as the slowest",
    )
    add("--apart", action="store_true", help="each pool alone, not all of them for one job to choose from")
    add("--traces", type=Path, metavar="DIR", help=f"the folder of public traces (default: ${TRACES})")
    add("--list", action="store_true", help="list markets, formats of traces and policies, and leave")
    add_trace(parser)


def add_job(parser: argparse.ArgumentParser) -> None:
    """Add what says what the job is and what interruptions cost it."""
    group = parser.add_argument_group("job")
    add = group.add_argument
    add("--work", type=duration, metavar="TIME", help="how long it takes with all its nodes, uninterrupted: 40h")
    add("--deadline", type=duration, metavar="TIME", help="by when it has to be done, from its start on: 60h")
    add("--nodes", type=count, default=1, metavar="N", help="how many nodes it runs on (default 1)")
    add("--minimum", type=count, metavar="N", help="fewest nodes it trains on, for elastic jobs (default: all)")
    add(
        "--speeds",
        type=speeds,
        default=(),
        metavar="A,B,…",
        help="its speed with 1, 2, … nodes relative to that with all: 0.3,0.6,0.8,1 (default: in proportion)",
    )
    add("--base", type=int, default=0, metavar="N", help="how many of its nodes are always on-demand (default 0)")
    add("--spread", action="store_true", help="its spot nodes may be in several zones at once; state --traffic")
    add(
        "--traffic",
        metavar="BYTES,STEP,$",
        help="bytes that all nodes send between zones in a step, how long a step takes, $ for a GB: 2e9,1s,0.01; "
        "0,1s,0 if it is free",
    )
    group = parser.add_argument_group("what interruptions cost", "measure yours: they decide whether spot pays")
    add = group.add_argument
    add("--boot", type=duration, default=180.0, metavar="TIME", help="from launch until a node can join (default 3m)")
    add("--restart", type=duration, default=300.0, metavar="TIME", help="standstill when nodes change (default 5m)")
    add("--checkpoint", type=duration, default=600.0, metavar="TIME", help="between periodic saves (default 10m)")
    add("--save", type=duration, default=30.0, metavar="TIME", help="until a save is published (default 30s)")
    add("--pause", type=duration, default=2.0, metavar="TIME", help="standstill for a periodic save (default 2s)")
    add("--notice", type=duration, default=120.0, metavar="TIME", help="the cloud's notice (default 2m)")
    add("--release", type=duration, default=60.0, metavar="TIME", help="a node given back is still paid (default 1m)")
    add(
        "--coverage",
        type=float,
        default=0.9,
        metavar="SHARE",
        help="share of interruptions before which it saves in time (default 0.9; no trace tells, it is an assumption)",
    )
    add("--hysteresis", type=duration, default=300.0, metavar="TIME", help="spot is back before on-demand goes (5m)")
    add(
        "--excess",
        type=price,
        metavar="$",
        help="what deadline may cost beyond on-demand (default: 2.5%% of it)",
    )
    group = parser.add_argument_group("sampling")
    add = group.add_argument
    add("--starts", type=count, metavar="N", help="how many starts, spread over the market (default 200)")
    add("--seed", type=int, default=0, help="of drawn markets and of which notices are missed (default 0)")


def job_of(options: argparse.Namespace) -> Job:
    """Return the job that was asked for.

    Raises:
        Refused: It cannot be run.
    """
    for name in ("work", "deadline"):
        if getattr(options, name) is None:
            raise Refused(f"--{name}: was not given, expected a time such as 40h")
    if options.speeds and options.minimum in {None, options.nodes}:
        raise Refused(f"--speeds: goes with --minimum, fewer than {options.nodes} nodes: a gang needs all of them")
    fits = options.save <= options.notice
    try:
        return Job(
            work_seconds=options.work,
            deadline_seconds=options.deadline,
            nodes=options.nodes,
            minimum=options.minimum,
            speeds=options.speeds,
            base=options.base,
            restart_seconds=options.restart,
            boot_seconds=options.boot,
            checkpoint_seconds=options.checkpoint,
            save_seconds=options.save,
            pause_seconds=options.pause,
            notice_seconds=options.notice,
            release_seconds=options.release,
            notice_coverage=options.coverage if fits else 0.0,
            single_zone=not options.spread,
            traffic=_traffic(options.traffic),
        )
    except JobError as error:
        raise Refused(f"--{error}") from None


def market_of(options: argparse.Namespace) -> Market | Windows:
    """Return the market that was asked for.

    Raises:
        Refused: It cannot be had, or has no room for the job.
    """
    if (options.market is None) == (options.trace is None):
        raise Refused("name a market (--market, see --list) or traces of your own (--trace FILE …), one of them")
    try:
        if options.market is not None:
            only_with_trace(options)
            found = named(options.market, root=options.traces, seed=options.seed)
        else:
            found = read_trace(options)
        if options.pools is not None:
            found = found.only([name.strip() for name in options.pools.split(",")])
        if options.rates is None:
            return found
        rates = _rates(options.rates)
        if isinstance(found, Windows):
            return dataclasses.replace(found, market=found.market.paced(rates))
        return found.paced(rates)
    except (MarketError, TraceError) as error:
        raise Refused(str(error)) from None


def windows_of(options: argparse.Namespace, market: Market | Windows, job: Job) -> Windows:
    """Return the windows in which the job is run.

    Raises:
        Refused: The market is shorter than the deadline, or never has room for the nodes.
    """
    try:
        if isinstance(market, Windows):
            windows = market.apart() if options.apart else market
            if options.starts is not None:
                windows = windows.of(np.unique(np.linspace(0, len(windows) - 1, options.starts).astype(np.int64)))
        else:
            hours, starts = job.deadline_seconds / HOUR, options.starts or STARTS
            starts = math.ceil(starts / len(market.pools)) if options.apart else starts
            windows = market.sampled(hours, starts, most_hours=_LATEST * hours)
            windows = windows.apart() if options.apart else windows
    except MarketError as error:
        raise Refused(str(error)) from None
    base = windows.market
    most = int((base.by_zone(base.counts.T) if job.single_zone else base.counts.sum(axis=0)).max())
    needed = max(1, job.least - job.base)
    if most < needed:
        raise Refused(
            f"market {base.name}: room for nodes: was {most} at most, expected {needed} for the job. A probe for one "
            "node says nothing of more; --room N if a 1 in your trace stands for N"
        )
    return windows


def listing() -> str:
    """Return the markets and the formats of traces for people."""
    lines = ["markets that are drawn from published statistics:"]
    lines += [f"  {name:22}{each.text}" for name, each in MARKETS.items() if not each.from_trace]
    lines += [f"markets of public traces, in the folder that --traces or ${TRACES} names:"]
    lines += [f"  {name:22}{each.text}" for name, each in MARKETS.items() if each.from_trace]
    lines += ["what --trace reads, by what is in the file:"]
    lines += [f"  {form}\n{'':24}{text}" for form, text in FORMATS.items()]
    return "\n".join(lines)


def _rates(text: str) -> dict[str, float]:
    """Return rates by pool or type."""
    if Path(text).is_file() or "=" not in text:
        return read_rates(Path(text))
    rates = {}
    for part in text.split(","):
        name, _, rate = part.rpartition("=")
        try:
            rates[name.strip()] = float(rate)
        except ValueError:
            raise Refused(f"--rates: was {part!r}, expected a pool or type and its rate, such as g5=0.6") from None
    return rates


def _traffic(text: str | None) -> Traffic | None:
    if text is None:
        return None
    expected = f"--traffic: was {text!r}, expected bytes,time of a step,$ for a GB, such as 2e9,1s,0.01"
    parts = text.split(",")
    if len(parts) != 3:
        raise Refused(expected)
    try:
        volume, step, dollars = price(parts[0]), duration(parts[1]), price(parts[2])
    except argparse.ArgumentTypeError:
        raise Refused(expected) from None
    if step <= 0:
        raise Refused(expected)
    return Traffic(bytes_per_step=volume, step_seconds=step, dollars_per_gb=dollars)
