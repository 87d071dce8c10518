"""The steps of a scenario: what each can do, and with which settings."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from spotkeeper_lab.durations import SHORT
from spotkeeper_lab.reading import Reader
from spotkeeper_lab.situation import CONDITIONS, TARGETS


@dataclass(frozen=True)
class Step:
    """One thing that a scenario does, once its condition holds."""

    do: str
    """One of :data:`ACTIONS`."""
    when: str = "now"
    """One of :data:`spotkeeper_lab.situation.CONDITIONS`."""
    after: float = 0.0
    """Seconds to wait once the condition holds."""
    within: float | None = None
    """Seconds that the condition may take at most; by default what :attr:`Durations.patience_seconds` says."""
    target: str = "holder"
    """What is done to nodes is done to one of :data:`spotkeeper_lab.situation.TARGETS`."""
    warn: bool = True
    """``interrupt``, ``rebalance``: whether the cloud's event is sent; the node's own metadata always says it."""
    capacity: int = 0
    """``drought``, ``refuse``: how many spot nodes may run in all from now on. Those that run stay."""
    why: str = "capacity"
    """``refuse``: one of :data:`REFUSALS`."""
    sort: str = "foreign"
    """``send-events``: ``foreign`` (of instances that are nobody's) or ``malformed``."""
    count: int = 1
    """``send-events``: how many; ``forge``: how many documents."""
    seed: int = 0
    """``forge``: decides which documents come in which order."""
    share: float = 0.5
    """``throttle``: how much of all calls is refused, 0 to 1."""
    seconds: float = 8.0
    """``throttle``, ``dark``: for how long."""
    parts: str = "all"
    """``thaw``: ``all``, or ``job`` to wake the training command and leave the agent asleep."""
    config: Mapping[str, Any] = field(default_factory=dict)
    """``deploy``: configuration of the stack that is other from now on, by key."""


REFUSALS: Mapping[str, str] = {
    "capacity": "there is no spot capacity",
    "quota": "a quota of the account is used up",
    "configuration": "what is asked for cannot be launched",
}
"""Reasons for which spot launches can be refused."""
NOT_ON: Mapping[str, Mapping[str, str]] = {
    "rebalance": {"gcp": "Google Cloud recommends no rebalancing: the first that it says is that a node is taken back"}
}
"""What cannot be done, on which cloud, and why."""
_TARGET = frozenset({"target"})
_TARGETED = _TARGET | {"warn"}
ACTIONS: Mapping[str, tuple[str, frozenset[str]]] = {
    "interrupt": ("take nodes back after the notice, as the spot market does", _TARGETED),
    "rebalance": ("recommend to rebalance nodes, which then stay", _TARGETED),
    "kill": ("let nodes die, with no notice and no event", _TARGET),
    "freeze": ("stop everything that runs on nodes, which stay as they are for the cloud", _TARGET),
    "thaw": ("let stopped nodes go on, or only the training on them", _TARGET | {"parts"}),
    "forge": (
        "let one node write `count` documents that it should not, and then that it should be gone itself",
        _TARGET | {"count", "seed"},
    ),
    "drought": ("refuse spot launches beyond `capacity` nodes", frozenset({"capacity"})),
    "refuse": ("refuse spot launches beyond `capacity` nodes for the reason `why`", frozenset({"capacity", "why"})),
    "restore": ("launch spot again without limit", frozenset()),
    "drop-warnings": ("lose every warning that the cloud sends from now on; nodes still see theirs", frozenset()),
    "duplicate": ("deliver every event of the cloud several times from now on", frozenset()),
    "shuffle": ("deliver events of the cloud late and out of order from now on", frozenset()),
    "send-events": ("send `count` events that mean nothing to the fleet", frozenset({"sort", "count"})),
    "crash": ("kill the responder's function once, between remembering a notice and acting on it", frozenset()),
    "throttle": (
        "refuse a `share` of all calls to the cloud for some `seconds`, as throttled or with an internal error",
        frozenset({"share", "seconds"}),
    ),
    "dark": ("let the ledger be away for some `seconds`: calls to it hang or are refused", frozenset({"seconds"})),
    "deploy": (
        "run the program of the stack again with another `config`, as `pulumi up` does; the next step does not wait",
        frozenset({"config"}),
    ),
    "destroy": ("destroy the fleet, as `pulumi destroy` does; the next step does not wait", frozenset()),
    "finish": ("let the training run to its end at full speed", frozenset()),
    "wait": ("nothing but wait for the condition", frozenset()),
}
"""What a step can do: name to explanation and the settings it takes besides ``when`` and ``after``."""

FLEET_KEYS: Mapping[str, type] = {
    "onDemandBase": int,
    "onDemandMax": int,
    "policy": str,
    "policyWaitSeconds": float,
    "deadline": dict,
    "onUpdate": str,
    "onDestroy": str,
    "gang": str,
    "elastic": dict,
}
"""The fleet's inputs that a scenario can set, by the names of the stack's config keys."""
CLOUD_KEYS: Mapping[str, Mapping[str, type]] = {
    "aws": {"instanceTypes": list, "onRebalance": str},
    "gcp": {"machineTypes": list, "preemptionNoticeSeconds": int},
}
"""The same of the inputs that one cloud has alone."""


def read_step(reader: Reader) -> Step:
    """Return a step that somebody has written.

    Raises:
        ScenarioError: It cannot be used.
    """
    do = reader.choice("do", ACTIONS)
    takes = ACTIONS[do][1]
    values: dict[str, Any] = {
        "do": do,
        "when": reader.choice("when", CONDITIONS, "now"),
        "after": reader.take("after", float, 0.0, least=0),
        "within": reader.take("within", float, None, least=0),
        **{name: read(reader) for name, read in _SETTINGS.items() if name in takes},
    }
    reader.finish(", ".join(["do", "when", "within", "after", *sorted(takes)]))
    return Step(**values)


def read_fleet(reader: Reader) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    """Return the fleet's inputs that somebody has written: those for all clouds, and by cloud those for one."""
    common = _inputs(reader, FLEET_KEYS)
    own = {}
    for cloud, known in CLOUD_KEYS.items():
        part = reader.part(cloud)
        own[cloud] = _inputs(part, known)
        part.finish(", ".join(known))
    reader.finish(", ".join((*FLEET_KEYS, *CLOUD_KEYS)))
    return common, own


def _inputs(reader: Reader, known: Mapping[str, type]) -> dict[str, Any]:
    values = {key: reader.take(key, kind, None) for key, kind in known.items()}
    return {key: value for key, value in values.items() if value is not None}


def _config(reader: Reader) -> dict[str, Any]:
    """Read the configuration of a deploy: that of ``fleet``, the size, and timings."""
    nodes = reader.take("nodes", int, None, least=1)
    part = reader.part("timings")
    timings = {name: part.take(name, float, None, least=0) for name in SHORT.fleet}
    part.finish(", ".join(SHORT.fleet))
    values = _inputs(reader, FLEET_KEYS)
    reader.finish(", ".join(("nodes", "timings", *FLEET_KEYS)))
    values |= {"nodes": nodes, "timings": {name: value for name, value in timings.items() if value is not None}}
    return {key: value for key, value in values.items() if value not in (None, {})}


_SETTINGS: Mapping[str, Callable[[Reader], Any]] = {
    "target": lambda reader: reader.choice("target", TARGETS, "holder"),
    "warn": lambda reader: reader.take("warn", bool, True),
    "parts": lambda reader: reader.choice("parts", {"all": None, "job": None}, "all"),
    "config": lambda reader: _config(reader.part("config")),
    "capacity": lambda reader: reader.take("capacity", int, 0, least=0),
    "why": lambda reader: reader.choice("why", REFUSALS, "capacity"),
    "share": lambda reader: reader.take("share", float, 0.5, least=0, most=1),
    "seconds": lambda reader: reader.take("seconds", float, 8.0, least=0),
    "sort": lambda reader: reader.choice("sort", {"foreign": None, "malformed": None}, "foreign"),
    "count": lambda reader: reader.take("count", int, 1, least=1),
    "seed": lambda reader: reader.take("seed", int, 0, least=0),
}
"""Setting of a step to how it is read."""
