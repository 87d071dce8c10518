"""The options that say which traces a market is read from, and how."""

from __future__ import annotations

import argparse
from pathlib import Path

from spotkeeper_lab.commands import Refused
from spotkeeper_lab.commands.units import count, duration, price
from spotkeeper_lab.simulator.market import Market, Windows
from spotkeeper_lab.simulator.traces import CONVENTIONS, Draw, is_archive, read_archive, read_market

MEANINGS = (
    "available (how many nodes were to be had), preempted (1: none was), or lifetimes (for how many seconds a node "
    "lived)"
)


def add_trace(parser: argparse.ArgumentParser) -> None:
    """Add what says which traces, and what is in them."""
    group = parser.add_argument_group("traces", "for all formats see --list, and the examples below")
    add = group.add_argument
    add(
        "--trace",
        nargs="+",
        type=Path,
        metavar="FILE",
        help="a file for each pool, called <zone>_<type>.csv or .json; lifetimes; or one archive of windows",
    )
    add("--convention", choices=CONVENTIONS, help=f"what a value is: {MEANINGS}. Files of the first two look alike")
    add("--prices", nargs="+", type=Path, metavar="FILE", help="JSON: a spot price, or one a tick, for each pool")
    add("--spot-price", type=price, metavar="$", help="of a node and hour, where no file says it")
    add("--on-demand-price", type=price, metavar="$", help="of a node and hour, where no file says it")
    add(
        "--room",
        type=count,
        default=1,
        metavar="N",
        help="how many nodes a 1 in the trace stands for; of lifetimes, how many a pool has room for (default 1)",
    )
    add("--within", metavar="TEXT", help="archives: only what has this in its path")
    add(
        "--vacancy", type=duration, metavar="TIME", help="lifetimes: from a node's end until there is room for the next"
    )


def only_with_trace(options: argparse.Namespace) -> None:
    """Refuse what says how traces are to be read, where there are none.

    Raises:
        Refused: There is such an option.
    """
    for name in ("convention", "prices", "spot_price", "on_demand_price", "within", "vacancy"):
        if getattr(options, name) is not None:
            raise Refused(f"--{name.replace('_', '-')}: goes with --trace; a named market has its own")
    if options.room > 1:
        raise Refused("--room: goes with --trace; a named market says for how many nodes it has room")


def read_trace(options: argparse.Namespace) -> Market | Windows:
    """Return the market of the traces.

    Raises:
        Refused: Options are missing, or do not go together.
        TraceError: A file cannot be used.
        MarketError: Two files have the same name.
    """
    if options.convention is None:
        raise Refused(f"--convention: was not given, expected {MEANINGS}; files of the first two look alike")
    archives = [path for path in options.trace if is_archive(path)]
    lives = options.convention == "lifetimes"
    if len(archives) > 1 or (archives and len(options.trace) > 1):
        raise Refused(f"--trace: was {len(options.trace)} files, expected an archive alone, or none: {archives[0]}")
    if archives and options.prices:
        raise Refused("--prices: goes with files of one pool each; an archive holds prices, or --spot-price says them")
    if options.within is not None and not archives:
        raise Refused("--within: goes with an archive (.tar.gz)")
    if lives != (options.vacancy is not None):
        expected = "a time such as 10m: such data does not tell it" if lives else "none: it goes with lifetimes"
        raise Refused(f"--vacancy: was {'not given' if lives else 'given'}, expected {expected}")
    if archives:
        return read_archive(
            archives[0],
            convention=options.convention,
            within=options.within or "",
            together=True,
            spot_price=options.spot_price,
            on_demand_price=options.on_demand_price,
            room=options.room,
        )
    market = read_market(
        options.trace,
        convention=options.convention,
        draw=Draw(places=options.room, vacancy_seconds=options.vacancy, seed=options.seed) if lives else None,
        prices=options.prices or (),
        spot_price=options.spot_price,
        on_demand_price=options.on_demand_price,
        room=1 if lives else options.room,
    )
    if lives and options.pools is None and len(market.pools) > 1:
        raise Refused(
            f"--pools: was not given, expected some of {', '.join(market.pools)}: types differ in price and speed"
        )
    return market
