"""The job that is run in a market, and what its interruptions cost."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from spotkeeper_lab.simulator.market import Floats

HOUR = 3600.0


class JobError(ValueError):
    """A job cannot be run; the message names the field, its value and what is expected."""


@dataclass(frozen=True, kw_only=True)
class Traffic:
    """What nodes in different zones pay to talk to each other."""

    bytes_per_step: float
    """Bytes that all nodes together send from zone to zone in a step, when they are in more than one; 0: none."""
    step_seconds: float = 1.0
    """How long a step takes."""
    dollars_per_gb: float
    """Price of a gigabyte (10⁹ bytes) from zone to zone; 0: it costs nothing."""

    @property
    def dollars_per_second(self) -> float:
        """What a second of work costs."""
        return self.bytes_per_step / self.step_seconds / 1e9 * self.dollars_per_gb


@dataclass(frozen=True, kw_only=True)
class Job:
    """A training job: how much work it is, by when, on how many nodes, and what stops and starts cost it."""

    work_seconds: float
    """How long it takes with all its nodes and no interruption."""
    deadline_seconds: float
    """When it has to be done, from its start on."""
    nodes: int = 1
    minimum: int | None = None
    """The fewest nodes that it trains on; ``None``: all of them (a gang). Less: an elastic job."""
    speeds: Sequence[float] = ()
    """Speed with 1, 2, … nodes relative to that with all, never less with more; empty: in proportion to the nodes."""
    base: int = 0
    """How many of its nodes are on-demand in any case."""
    restart_seconds: float = 720.0
    """How long it stands still when its nodes change: forming anew, loading the checkpoint, compiling."""
    boot_seconds: float = 0.0
    """From a node's launch, from which on it is paid, until it can join the job."""
    checkpoint_seconds: float = math.inf
    """Time between two periodic checkpoints. With none in between, what no notice saves is lost back to the last
    start."""
    save_seconds: float = 0.0
    """From the beginning of a save until it is published."""
    pause_seconds: float = 0.0
    """How long training stands still for a periodic checkpoint: nothing, where it is copied and sent behind it."""
    notice_seconds: float = 0.0
    """For how long a node that the cloud takes back is still paid: the notice, in which it saves and waits."""
    release_seconds: float = 0.0
    """For how long a node that is given back is still paid: until somebody looks, and its last save is confirmed."""
    notice_coverage: float = 1.0
    """The share of interruptions before which the job saves: a notice was given, heard, and long enough."""
    single_zone: bool = True
    """Whether all its spot nodes have to be in one zone."""
    traffic: Traffic | None = None
    """What it costs to be in several zones; has to be stated where that may be."""
    whole_ticks: bool = False
    """Whether the last tick is paid whole, as some published simulators do; else it is paid by the second."""

    def __post_init__(self) -> None:
        """Refuse what cannot be run."""
        need(self.work_seconds > 0, "work", hours(self.work_seconds), "more than 0")
        need(self.nodes >= 1, "nodes", self.nodes, "at least 1")
        need(1 <= self.least <= self.nodes, "minimum", self.minimum, f"1 to {self.nodes}, the number of nodes")
        need(0 <= self.base <= self.nodes, "base", self.base, f"0 to {self.nodes}, the number of nodes")
        need(0 <= self.notice_coverage <= 1, "notice_coverage", self.notice_coverage, "0 to 1")
        need(self.checkpoint_seconds > 0, "checkpoint", self.checkpoint_seconds, "more than 0 seconds")
        for name in (
            "restart_seconds",
            "boot_seconds",
            "save_seconds",
            "pause_seconds",
            "notice_seconds",
            "release_seconds",
        ):
            need(0 <= getattr(self, name) < math.inf, name, getattr(self, name), "0 or more seconds")
        need(len(self.speeds) in {0, self.nodes}, "speeds", self.speeds, f"{self.nodes}, one for each number of nodes")
        rises = all(0 < less <= more for less, more in pairwise((*self.speeds, math.inf)))
        need(rises, "speeds", self.speeds, "more than 0, and with no node more less than without it")
        least = self.work_seconds / self.usual_speed + self.changeover_seconds
        need(
            self.deadline_seconds >= least,
            "deadline",
            hours(self.deadline_seconds),
            f"at least {hours(least)}: the work and one start take that long even on on-demand alone",
        )

    @property
    def least(self) -> int:
        """The fewest nodes that it trains on."""
        return self.nodes if self.minimum is None else self.minimum

    @property
    def gang(self) -> bool:
        """Whether it needs all its nodes."""
        return self.least == self.nodes

    @property
    def usual_speed(self) -> float:
        """Work done in a second with all nodes: less than 1 where training stands still for checkpoints."""
        if math.isinf(self.checkpoint_seconds):
            return 1.0
        return self.checkpoint_seconds / (self.checkpoint_seconds + self.pause_seconds)

    @property
    def changeover_seconds(self) -> float:
        """From a node's launch until the job works on it."""
        return self.boot_seconds + self.restart_seconds

    def speed_by_nodes(self) -> Floats:
        """Return the work done in a second on 0, 1, … nodes."""
        numbers = np.arange(self.nodes + 1)
        whole = np.array([0.0, *self.speeds]) if self.speeds else numbers / self.nodes
        return np.asarray(np.where(numbers >= self.least, whole, 0.0) * self.usual_speed)

    def plain(self) -> dict[str, Any]:
        """Return it for JSON, infinity as ``None``."""
        every = None if math.isinf(self.checkpoint_seconds) else self.checkpoint_seconds
        names = [name for name in self.__dataclass_fields__ if name != "traffic"]
        told = {name: getattr(self, name) for name in names}
        return {**told, "speeds": list(self.speeds), "checkpoint_seconds": every}


def need(holds: bool, field: str, was: object, expected: str) -> None:
    """Raise :class:`JobError` unless ``holds``."""
    if not holds:
        raise JobError(f"{field}: was {was}, expected {expected}")


def hours(seconds: float) -> str:
    """Return seconds as hours for people."""
    return f"{seconds / HOUR:.4g}h"
