"""``spotkeeper simulate``: what a job costs under several policies, over many starts."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from rich.console import Console

from spotkeeper_lab.commands import OK, Refused
from spotkeeper_lab.commands.market_options import (
    add_job,
    add_market,
    job_of,
    listing,
    market_of,
    windows_of,
)
from spotkeeper_lab.commands.units import duration
from spotkeeper_lab.simulator.comparison import Comparison, compare
from spotkeeper_lab.simulator.job import JobError
from spotkeeper_lab.simulator.player import Policy
from spotkeeper_lab.simulator.policies import POLICIES, USUAL, Settings, policy_of
from spotkeeper_lab.simulator.tables import comparison, supply

DESCRIPTION = """\
Runs a job in a spot market, once for each of many starts, under several policies: those of the literature, and the very
functions that decide in the cloud. Costs are distributions, and net of everything: starts, boots, notices, work done
twice. The same seed gives the same figures.
"""
_EPILOG = """\
examples:
  spotkeeper simulate --market us-east-2 --work 40h --deadline 60h
  spotkeeper simulate --market v100-2023-us-west-2 --work 40h --deadline 48h --policy deadline,uniform-progress --plot
  spotkeeper simulate --trace us-east-1a_p5.csv us-east-1b_p5.csv --convention available --prices prices.json \\
      --on-demand-price 98.32 --work 5d --deadline 7d
  spotkeeper simulate --market 16-nodes --work 20h --deadline 40h --nodes 4 --minimum 2 --speeds 0.3,0.6,0.8,1

what stands for --market with traces of each format (--list says how they look):
  one zone, room for four nodes (JSON), a flat price
      --trace us-east-2a_v100.json --convention available --spot-price 0.92 --on-demand-price 3.06 --nodes 4
  nodes that came and went, or how many there were (CSV)
      --trace p3trace.csv --convention available --spot-price 0.92 --on-demand-price 3.06 --nodes 16
  windows in an archive, those of one folder, each pool alone
      --trace cant_be_late_real_traces.tar.gz --convention preempted --within overhead=0.20 --apart \\
      --spot-price 0.97 --on-demand-price 3.06
  how long nodes lived, four at a time, the next ten minutes after one is gone
      --trace data.json --convention lifetimes --pools us-central1-c_n1-highcpu-16 --room 4 --vacancy 10m \\
      --spot-price 1 --on-demand-price 4 --nodes 4
  two types, one slower; prices.json: {"us-east-1a_p5": [a price a tick, …], "us-east-1a_p4d": one that never changes}
      --trace us-east-1a_p5.csv us-east-1a_p4d.csv --convention available --prices prices.json \\
      --rates p4d=0.4 --on-demand-price 98.32

No trace tells of notices: --coverage is an assumption, and so are the times unless you have measured yours.
spotkeeper plan answers the whole question: which policy, how much on-demand, which zones, how often to save.

exit codes: 0 done; 2 wrong input; 130 stopped with Ctrl-C
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``simulate``."""
    parser.epilog = _EPILOG
    parser.add_argument(
        "--policy",
        metavar="A,B",
        default=",".join(USUAL),
        help="what to compare, see --list; patient:20m and time-sliced:8 take a setting (default: %(default)s)",
    )
    add_market(parser)
    add_job(parser)
    group = parser.add_argument_group("output")
    group.add_argument("--json", action="store_true", help="for programs")
    group.add_argument(
        "--plot",
        nargs="?",
        type=Path,
        const=Path("out/simulate.png"),
        metavar="FILE",
        help="draw the costs and the course of one run (default %(const)s)",
    )
    group.add_argument("--follow", type=int, metavar="K", help="which start to draw (default: one in the middle)")
    group.add_argument("--no-optimum", action="store_true", help="leave out the optimum, which takes longest")


def run(options: argparse.Namespace) -> int:
    """Compare the policies and show what came of them."""
    if options.list:
        sys.stdout.write(f"{listing()}\npolicies:\n{_policies()}\n")
        return OK
    job, market = job_of(options), market_of(options)
    windows = windows_of(options, market, job)
    follow = len(windows) // 2 if options.follow is None else options.follow
    if not 0 <= follow < len(windows):
        raise Refused(f"--follow: was {follow}, expected 0 to {len(windows) - 1}")
    try:
        settings = Settings(job=job, hysteresis_seconds=options.hysteresis, excess=options.excess)
        policies = [_policy(text.strip(), settings) for text in options.policy.split(",")]
        found = compare(
            job,
            windows,
            policies,
            seed=options.seed,
            bound=not options.no_optimum,
            follow=follow if options.plot else None,
            told=told,
        )
    except JobError as error:
        raise Refused(str(error)) from None
    told("")
    if options.plot:
        draw(found, options.plot)
    if options.json:
        sys.stdout.write(json.dumps(found.plain(), indent=1) + "\n")
        return OK
    console = Console(highlight=False, markup=False)
    console.print(supply(windows.market))
    console.print()
    console.print(comparison(found))
    if options.plot:
        console.print(f"Picture: {options.plot}")
    return OK


def _policy(text: str, settings: Settings) -> Policy:
    name, _, parameter = text.partition(":")
    if not parameter:
        return policy_of(name, None, settings)
    try:
        value = float(parameter) if parameter.replace(".", "", 1).isdecimal() else duration(parameter)
    except argparse.ArgumentTypeError as error:
        raise Refused(f"--policy {text}: {error}") from None
    return policy_of(name, value, settings)


def _policies() -> str:
    lines = []
    for name, known in POLICIES.items():
        shown = f"{name}:{known.parameter}" if known.parameter else name
        lines.append(f"  {shown:22}{known.text}{' (a fleet can have it)' if known.deployable else ''}")
    return "\n".join(lines)


def draw(found: Comparison, path: Path) -> None:
    """Write the picture, its folder too."""
    from spotkeeper_lab.simulator import chart  # noqa: PLC0415 - takes a second to import

    path.parent.mkdir(parents=True, exist_ok=True)
    chart.draw(found, path)


def told(what: str) -> None:
    """Say what is being simulated, to a person who waits; the empty text says that it is over."""
    if sys.stderr.isatty():
        sys.stderr.write(f"\r\033[K{f'simulating {what} …' if what else ''}")
        sys.stderr.flush()
