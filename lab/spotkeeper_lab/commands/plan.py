"""``spotkeeper plan``: what to declare for a job, and what it will cost."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from rich.console import Console

from spotkeeper_lab.commands import OK, Refused
from spotkeeper_lab.commands.market_options import add_job, add_market, job_of, listing, market_of, windows_of
from spotkeeper_lab.commands.simulate import draw, told
from spotkeeper_lab.simulator.advice import advice
from spotkeeper_lab.simulator.job import JobError
from spotkeeper_lab.simulator.planning import plan
from spotkeeper_lab.simulator.policies import Settings
from spotkeeper_lab.simulator.tables import supply

DESCRIPTION = """\
Answers for a job: which policy, how much on-demand base, which zones, how often to save, what it will cost between the
5th and the 95th percentile, and what that is sensitive to. Everything that a fleet can have is tried in the simulator.
"""
_EPILOG = """\
examples:
  spotkeeper plan --market us-east-2 --work 40h --deadline 60h
  spotkeeper plan --market v100-2023-us-west-2 --work 40h --deadline 48h --boot 4m --restart 9m --json
  spotkeeper plan --trace us-east-1a_p5.csv --convention available --prices prices.json --on-demand-price 98.32 \\
      --work 5d --deadline 7d

Traces of every format may be named as for spotkeeper simulate, whose --help has an example of each.

exit codes: 0 done, also where the answer is to use on-demand; 2 wrong input; 130 stopped with Ctrl-C
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``plan``."""
    parser.epilog = _EPILOG
    add_market(parser)
    add_job(parser)
    group = parser.add_argument_group("output")
    group.add_argument("--json", action="store_true", help="for programs")
    group.add_argument(
        "--plot",
        nargs="?",
        type=Path,
        const=Path("out/plan.png"),
        metavar="FILE",
        help="draw the costs (default %(const)s)",
    )


def run(options: argparse.Namespace) -> int:
    """Find what to declare and say why."""
    if options.list:
        sys.stdout.write(f"{listing()}\n")
        return OK
    job, market = job_of(options), market_of(options)
    windows = windows_of(options, market, job)
    try:
        settings = Settings(job=job, hysteresis_seconds=options.hysteresis, excess=options.excess)
        found = plan(settings, windows, seed=options.seed, told=told)
    except JobError as error:
        raise Refused(str(error)) from None
    told("")
    if options.plot:
        draw(found.comparison, options.plot)
    if options.json:
        sys.stdout.write(json.dumps(found.plain(), indent=1) + "\n")
        return OK
    console = Console(highlight=False, markup=False)
    console.print(supply(windows.market))
    console.print()
    console.print(advice(found))
    if options.plot:
        console.print(f"Picture: {options.plot}")
    return OK
