"""The simulator: what a job costs under a policy in a spot market, over many starts.

A :class:`Market` says what was to be had and for how much; it is read from a trace
(:mod:`spotkeeper_lab.simulator.traces`), drawn from published statistics (:mod:`spotkeeper_lab.simulator.synthetic`),
or has a name (:func:`named`). :func:`play` runs a :class:`Job` in windows of it under a policy: one of the
literature's, or one of the responder's, which is then the very function that decides in the cloud. :func:`optimum` is
what the job would cost at least, were the future known.
"""

from spotkeeper_lab.simulator.baselines import BASELINES, Greedy, OnDemand, SpotOnly, TimeSliced, UniformProgress
from spotkeeper_lab.simulator.engine import play
from spotkeeper_lab.simulator.job import Job, JobError, Traffic
from spotkeeper_lab.simulator.market import Market, MarketError, Windows
from spotkeeper_lab.simulator.markets import MARKETS, TRACES, named, traces_folder
from spotkeeper_lab.simulator.optimum import optimum
from spotkeeper_lab.simulator.player import Player, Policy, Seen, Wanted
from spotkeeper_lab.simulator.runs import Moment, Runs, Summary, summarize

__all__ = [
    "BASELINES",
    "MARKETS",
    "TRACES",
    "Greedy",
    "Job",
    "JobError",
    "Market",
    "MarketError",
    "Moment",
    "OnDemand",
    "Player",
    "Policy",
    "Runs",
    "Seen",
    "SpotOnly",
    "Summary",
    "TimeSliced",
    "Traffic",
    "UniformProgress",
    "Wanted",
    "Windows",
    "named",
    "optimum",
    "play",
    "summarize",
    "traces_folder",
]
