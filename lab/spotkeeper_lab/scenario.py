"""Scenarios: what happens to a fleet in a rehearsal, as data that a user can write.

A scenario is a YAML file; the ones that come with Spotkeeper lie in ``scenarios/``. Its keys::

    name: one-interruption               # default: the file's name
    description: The node that trains is interrupted.
    nodes: 4                             # default 4
    fleet:                               # inputs of the stack, by the names of its config keys
      policy: mirror
      aws: {onRebalance: replace}        # those of one cloud alone
    trainer: {epochs: 20}               # settings of the digits trainer
    durations: {notice_seconds: 8}       # any of `spotkeeper_lab.durations.SHORT`
    market: {capacity: 3, why: quota}    # what there is of spot when the fleet is made, default any number
    only: {cloud: gcp, because: "..."}   # where it can be played alone, and why; default everywhere
    steps:
      - when: training-mid-epoch         # default: now
        within: 60                       # seconds that it may take at most, by default plenty
        after: 0.5                       # seconds to wait once the condition holds, default 0
        do: interrupt
        target: holder
    expect: {returned_to_spot: true}

Everything is checked when the file is read; an error names the file, the key, what it was and what is expected.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from importlib import resources
from pathlib import Path
from typing import Any

import yaml

from spotkeeper_lab.durations import SHORT, Durations
from spotkeeper_lab.reading import Reader, ScenarioError
from spotkeeper_lab.stages import CLOUDS
from spotkeeper_lab.steps import NOT_ON, REFUSALS, Step, read_fleet, read_step

DEFAULT = "one-interruption"
"""The scenario that is played where none is named."""


@dataclass(frozen=True)
class Trainer:
    """Settings of the digits trainer."""

    epochs: int = 20
    save_every: float = 5.0
    """Seconds between checkpoints that nobody asked for."""
    batch: int = 16
    seed: int = 0


@dataclass(frozen=True)
class Expectations:
    """What has to hold at the end besides the promises, which always have to."""

    returned_to_spot: bool = True
    """On-demand nodes were bought, and are gone again because spot is back."""
    backup_before_reclaim: bool = True
    """On-demand was requested before the first interrupted node was gone."""
    held_on_demand: bool = False
    """The job has run on an on-demand node, and went on from its checkpoint on a spot node after that."""
    released: bool = False
    """After the job's end both groups went to zero."""
    alarms: tuple[str, ...] = ()
    """The alarms that ring, each by the last part of its name; no other may, but for the next ones."""
    may_ring: tuple[str, ...] = ()
    """Alarms that ring on one cloud sooner than on another."""


@dataclass(frozen=True)
class Market:
    """The spot market when the fleet is made."""

    capacity: int | None = None
    """How many spot nodes may run in all; by default any number."""
    why: str = "capacity"
    """Why no more: one of :data:`REFUSALS`."""


@dataclass(frozen=True)
class Only:
    """The one cloud that a scenario can be played on."""

    cloud: str = ""
    """One of :data:`~spotkeeper_lab.stages.CLOUDS`; empty for any."""
    because: str = ""


@dataclass(frozen=True)
class Scenario:
    """A whole scenario, checked."""

    name: str
    description: str
    steps: tuple[Step, ...]
    nodes: int = 4
    fleet: Mapping[str, Any] = field(default_factory=dict)
    own: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Inputs of the stack that one cloud has alone, by cloud."""
    trainer: Trainer = field(default_factory=Trainer)
    durations: Durations = SHORT
    market: Market = field(default_factory=Market)
    expect: Expectations = field(default_factory=Expectations)
    only: Only = field(default_factory=Only)

    def notice_seconds(self, cloud: str) -> float:
        """Return how long before it goes a node is told that it does."""
        unannounced = self.own.get(cloud, {}).get("preemptionNoticeSeconds") == 0
        return 0.0 if unannounced else self.durations.notice_seconds

    def refusal(self, cloud: str) -> str:
        """Return why it cannot be played on a cloud, empty where it can."""
        if self.only.cloud not in ("", cloud):
            return self.only.because
        reasons = (NOT_ON.get(step.do, {}).get(cloud, "") for step in self.steps)
        return next(filter(None, reasons), "")

    @property
    def elastic(self) -> bool:
        """Whether all nodes train together."""
        return bool(self.fleet.get("elastic"))

    @property
    def on_destroy(self) -> str:
        """What the fleet is asked to do when it is destroyed: the last that was deployed."""
        configured = [self.fleet, *(step.config for step in self.steps)]
        return str(["checkpoint", *(each["onDestroy"] for each in configured if "onDestroy" in each)][-1])


def _durations(reader: Reader) -> Durations:
    fleet = {name: reader.take(name, float, value, least=0) for name, value in SHORT.fleet.items()}
    least = {"tick_seconds": 0.1}  # a clock that does not stand still
    cloud = {name: reader.take(name, float, value, least=least.get(name, 0)) for name, value in SHORT.cloud.items()}
    step_seconds = reader.take("step_seconds", float, SHORT.step_seconds, least=0.001)
    reader.finish(", ".join(sorted(SHORT.plain())))
    return Durations(fleet, cloud, step_seconds)


def _market(reader: Reader) -> Market:
    market = Market(reader.take("capacity", int, None, least=0), reader.choice("why", REFUSALS, "capacity"))
    reader.finish("capacity, why")
    return market


def _only(reader: Reader) -> Only:
    only = Only(reader.choice("cloud", dict.fromkeys(("", *CLOUDS)), ""), reader.take("because", str, ""))
    reader.finish("cloud, because")
    return only


def _settings(reader: Reader, kind: type) -> Any:
    """Read an object whose keys are the fields of the dataclass ``kind``, all of which have defaults."""
    values = {}
    for item in fields(kind):
        default = item.default
        if isinstance(default, tuple):
            values[item.name] = tuple(reader.texts(item.name))
            continue
        least = (
            None if isinstance(default, bool) else 0 if item.name == "seed" else 1 if isinstance(default, int) else 0
        )
        values[item.name] = reader.take(item.name, type(default), default, least=least)
    reader.finish(", ".join(item.name for item in fields(kind)))
    return kind(**values)


def parse(content: str, source: str) -> Scenario:
    """Return the scenario that ``content`` describes; ``source`` names it in errors.

    Raises:
        ScenarioError: It cannot be used.
    """
    try:
        raw = yaml.safe_load(content)
    except yaml.YAMLError as error:
        raise ScenarioError(f"{source}: not YAML: {error}") from None
    top = Reader(source, "", raw)
    steps = top.take("steps", list)
    fleet, own = read_fleet(top.part("fleet"))
    scenario = Scenario(
        name=top.take("name", str, Path(source).stem),
        description=" ".join(top.take("description", str).split()),
        nodes=top.take("nodes", int, 4, least=1),
        fleet=fleet,
        own=own,
        trainer=_settings(top.part("trainer"), Trainer),
        durations=_durations(top.part("durations")),
        market=_market(top.part("market")),
        steps=tuple(read_step(Reader(source, f"steps[{n}]", step)) for n, step in enumerate(steps)),
        expect=_settings(top.part("expect"), Expectations),
        only=_only(top.part("only")),
    )
    top.finish("name, description, nodes, fleet, trainer, durations, market, steps, expect, only")
    if not scenario.steps:
        top.refuse("steps", [], "at least one step")
    return scenario


def names(cloud: str = "") -> list[str]:
    """Return the names of the scenarios that come with Spotkeeper, the default first.

    Args:
        cloud: leave out those that cannot be played there; by default none is.
    """
    found = [path.name.removesuffix(".yaml") for path in _folder().iterdir() if path.name.endswith(".yaml")]
    ordered = sorted(found, key=lambda name: (name != DEFAULT, name))
    return [name for name in ordered if not (cloud and load(name).refusal(cloud))]


def text(name: str) -> str:
    """Return the YAML of a scenario that comes with Spotkeeper."""
    return str((_folder() / f"{name}.yaml").read_text("utf-8"))


def load(name_or_file: str) -> Scenario:
    """Return a scenario by its name, or from a file.

    Raises:
        ScenarioError: There is none, or it cannot be used.
    """
    if name_or_file in names():
        return parse(text(name_or_file), f"{name_or_file}.yaml")
    path = Path(name_or_file)
    if not path.is_file():
        raise ScenarioError(f"scenario: was {name_or_file!r}, expected a YAML file or one of {', '.join(names())}")
    try:
        return parse(path.read_text("utf-8"), str(path))
    except (OSError, UnicodeDecodeError) as error:
        raise ScenarioError(f"{path}: cannot be read: {error}") from None


def _folder() -> Any:
    return resources.files(__package__) / "scenarios"
