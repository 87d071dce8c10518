"""What an agent is told once: ``agent.json``, written by user data, checked before anything starts."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Mapping, Optional, Union

from spotkeeper_agent.processes import signal_number
from spotkeeper_ledger import MalformedDocument, keys, load

CLOUDS = ("aws", "gcp", "local")
NODE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9.-]{0,62}")
"""What a node may be called: its name is that of a folder in the ledger."""
_TOPIC = re.compile(r"projects/[a-z0-9.:-]+/topics/[A-Za-z][A-Za-z0-9._~+%-]{2,254}")
_MAY_BE_ZERO = ("save_gap_seconds", "log_seconds", "hang_seconds")
_LEDGERS = "s3://bucket, gs://bucket, or file:///folder (a laptop, or a folder that all nodes share)"


class BadConfig(ValueError):
    """The configuration cannot be used; the message names the key, what it was and what is expected."""


JOINS = ("checkpoint", "now")


@dataclass(frozen=True)
class Elastic:
    """That all nodes of the fleet run the command together, as many as there are."""

    min_nodes: int = 1
    """With fewer the command does not run."""
    processes_per_node: int = 1
    """Told to the command as ``PET_NPROC_PER_NODE``."""
    join: str = "checkpoint"
    """When the command is stopped and started again for nodes that have come: after its next ``checkpoint``, or
    ``now``, after one that it is told to save."""
    single_zone: bool = False
    """Whether only nodes of one zone run it together."""


@dataclass(frozen=True)
class AgentConfig:
    """``agent.json``. Durations are seconds."""

    fleet: str
    incarnation: str
    """The fleet's creation that this node belongs to; objects of another one are ignored."""
    cloud: str
    """``aws``, ``gcp``, or ``local``: a machine of one's own, of which no cloud tells anything."""
    ledger: str
    """The responder's board: ``s3://bucket``, ``gs://bucket``, or ``file:///folder`` on a laptop."""
    checkpoint_uri: str
    region: str = ""
    """Such as ``eu-west-1``; ``local`` needs none."""
    node_name: str = ""
    """``local``: what this node is called, other than all others of the fleet; default its host name."""
    command: str = ""
    """The training command, run by ``/bin/sh -c``; ``run -- COMMAND`` replaces it."""
    run_dir: str = "/run/spotkeeper"
    """Where agent and training process meet; made if it is not there."""
    hook: str = "spotkeeper-terminate"
    """Name of the lifecycle hook that waits for this node when its group lets it go."""
    topic: str = ""
    """Google Cloud: ``projects/<project>/topics/<topic>``, where the responder is told that this node has written a
    notice."""
    node_prefix: str = ""
    """What precedes the instance id in the name of this node's folder in the ledger."""
    command_version: str = ""
    """Version of the launch template that this node was started from; reported as it is."""
    notice_seconds: float = 120.0
    """From an interruption warning to the reclaim, where the warning names no time."""
    report_seconds: float = 30.0
    """How often this node reports, changes apart, which it reports at once."""
    lease_seconds: float = 30.0
    """A holder of the job that has not been heard for so long is taken for dead."""
    signal_poll_seconds: float = 5.0
    """How often the ledger is asked for signals, the metadata service for what leaves more time than an interruption,
    and, by a spare, whether the job is free."""
    imds_poll_seconds: float = 1.0
    """How often the metadata service is asked for interruptions (AWS; that of GCP answers by itself, at once)."""
    hook_seconds: float = 600.0
    """Timeout of the terminate hook: the deadline of a scale-in or a drain that names none."""
    save_gap_seconds: float = 60.0
    """A rebalance recommendation that comes within this time of a whole checkpoint joins it."""
    rebalance_expiry_seconds: float = 1200.0
    """A rebalance recommendation that nothing follows is forgotten after this time."""
    notice_signal: str = ""
    """Signal, such as ``USR1``, that those processes of the command get which catch it, once the node will go; default
    none. After it, exit code 0 means that the command has stopped, not that its work is done."""
    notice_command: str = ""
    """Run by ``/bin/sh -c`` for every notice that comes while the training command runs; default none."""
    notice_command_seconds: float = 300.0
    """How long it may run; in any case no longer than until the training command is told to stop."""
    notice_command_confirms: bool = False
    """Whether its success (exit code 0) means that a whole checkpoint is saved: for jobs without a guard."""
    log_seconds: float = 60.0
    """How often the last lines of the training command's output are put into the ledger, besides at a notice and at its
    end; 0 means never."""
    hang_seconds: float = 600.0
    """A job that has reported steps and then makes none for so long, and for five times its usual step, hangs; 0 means
    that nobody watches."""
    max_restarts: int = 3
    """How many crashes of the command are answered with a restart on this node; notices do not count."""
    elastic: Optional[Elastic] = None
    """Without it one node runs the command, and the others wait to take over."""
    peer_port: int = 0
    """Elastic fleets: TCP port on which agents talk to each other; 0 for any that is free."""
    extra: Mapping[str, Any] = field(default_factory=dict)
    """Keys that this version does not know; they change nothing."""


def load_config(path: Union[str, Path], command: Optional[str] = None, **instead: Any) -> AgentConfig:
    """Read and check ``agent.json``.

    Args:
        path: the file.
        command: replaces the file's ``command`` where it is given.
        instead: replaces other keys of the file, where it is not ``None``.

    Raises:
        BadConfig: the file cannot be read, or a key is missing or of the wrong kind.
    """
    try:
        body = Path(path).read_bytes()
    except OSError as error:
        raise BadConfig(f"{path}: cannot be read ({error.strerror}), expected the agent's configuration") from None
    try:
        config = load(AgentConfig, body)
        keys.check_fleet(config.fleet)
    except (MalformedDocument, ValueError) as error:
        raise BadConfig(f"{path}: {error}") from None
    given = {name: value for name, value in {"command": command, **instead}.items() if value is not None}
    config = replace(config, **given)
    problem = _problem(config)
    if problem:
        raise BadConfig(f"{path}: {problem}")
    return config


def _problem(config: AgentConfig) -> Optional[str]:
    return _wrong_node(config) or _wrong_place(config) or _wrong_number(config) or _wrong_notice(config)


def _wrong_node(config: AgentConfig) -> Optional[str]:
    cloud, name = config.cloud, config.node_name
    if cloud not in CLOUDS:
        return f"cloud: was {cloud!r}, expected one of {', '.join(CLOUDS)}"
    if cloud != "local" and not config.region:
        return f"region: was '', expected that of the fleet, such as eu-west-1 (cloud {cloud})"
    if cloud != "local" and name:
        return f"node_name: was {name!r}, expected none: the metadata service of {cloud} tells it"
    if name and not NODE_NAME.fullmatch(name):
        return f"node_name: was {name!r}, expected letters, digits, dots and hyphens, at most 63"
    return None


def _wrong_place(config: AgentConfig) -> Optional[str]:
    if not config.command.strip():
        return "command: was empty, expected the training command (or `run -- COMMAND`)"
    if not config.ledger.startswith(("s3://", "gs://", "file:///")):
        return f"ledger: was {config.ledger!r}, expected {_LEDGERS}"
    if not config.checkpoint_uri.startswith(("s3://", "gs://", "file:///")):
        return f"checkpoint_uri: was {config.checkpoint_uri!r}, expected s3://…, gs://… or file:///…"
    if config.topic and not _TOPIC.fullmatch(config.topic):
        return f"topic: was {config.topic!r}, expected projects/<project>/topics/<topic>"
    return None


def _wrong_number(config: AgentConfig) -> Optional[str]:
    for name in (f.name for f in fields(config) if f.name.endswith("_seconds")):
        value, may_be_none = getattr(config, name), name in _MAY_BE_ZERO
        if value < 0 or (value == 0 and not may_be_none):
            return f"{name}: was {value:g}, expected {'at least' if may_be_none else 'more than'} 0"
    if config.max_restarts < 0:
        return f"max_restarts: was {config.max_restarts}, expected at least 0"
    return _elastic_problem(config) if config.elastic else None


def _elastic_problem(config: AgentConfig) -> Optional[str]:
    elastic = config.elastic or Elastic()
    if not 0 <= config.peer_port <= 65535:
        return f"peer_port: was {config.peer_port}, expected 0 to 65535"
    for name in ("min_nodes", "processes_per_node"):
        value = getattr(elastic, name)
        if value < 1:
            return f"elastic.{name}: was {value}, expected at least 1"
    if elastic.join not in JOINS:
        return f"elastic.join: was {elastic.join!r}, expected one of {', '.join(JOINS)}"
    return None


def _wrong_notice(config: AgentConfig) -> Optional[str]:
    if config.notice_signal:
        try:
            signal_number(config.notice_signal)
        except ValueError as error:
            return f"notice_signal: {error}"
    if config.notice_command_confirms and not config.notice_command:
        return "notice_command_confirms: was true without a notice_command, expected one"
    return None
