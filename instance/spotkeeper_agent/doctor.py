"""``spotkeeper-agent doctor``: whether this node can do what it will have to. Looks, and changes nothing.

A right to write is tried with a condition that no object meets: who may write is told that the condition does not hold,
who may not is denied. The right to complete a lifecycle action is tried on a hook that does not exist.
"""

from __future__ import annotations

import json
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Callable, List, Optional

from spotkeeper_agent.clouds import identity
from spotkeeper_agent.config import AgentConfig
from spotkeeper_agent.hook import HookName, LifecycleHook
from spotkeeper_agent.node import Node
from spotkeeper_agent.server import NoAgent, ask
from spotkeeper_ledger import Board, BoardError, Conflict, Denied, FleetSpec, Unavailable, keys, load, open_board
from spotkeeper_ledger.codec import MAX_DOCUMENT_BYTES

OK, WARNING, FAILED = "ok", "warning", "failed"
_NO_VERSION, _NO_GENERATION = '"spotkeeper-doctor"', "1"
"""Versions that no object has, the second one where they are numbers."""
_NO_HOOK = "spotkeeper-doctor"


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at."""

    name: str
    state: str
    """``ok``, ``warning`` (it works, or cannot be told) or ``failed`` (it will not work)."""
    found: str
    do: str = ""
    """What to do about it; empty where nothing is."""


Look = Callable[[AgentConfig, Optional[Node]], Finding]


def examine(config: AgentConfig) -> List[Finding]:
    """Look at everything that an agent with this configuration needs, in the order in which it does."""
    who, node = _metadata(config)
    looks = (_ledger, _own_documents, _checkpoints, _uploads, _lifecycle_action)
    return [_run_dir(config), who, *(_guarded(look, config, node) for look in looks)]


def _guarded(look: Look, config: AgentConfig, node: Optional[Node]) -> Finding:
    try:
        return look(config, node)
    except Exception as error:  # noqa: BLE001 - one look that fails is a finding, and no reason to leave out the others
        return Finding(look.__name__.strip("_").replace("_", " "), FAILED, _said(error), "see what was said")


def _run_dir(config: AgentConfig) -> Finding:
    name, folder = "run directory", Path(config.run_dir)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / f".doctor.{os.getpid()}"
        probe.write_bytes(b"")
        probe.unlink()
    except OSError as error:
        todo = "let the agent's user write there, or set run_dir; in a container, mount it"
        return Finding(name, FAILED, f"{folder}: {error.strerror}", todo)
    try:
        role = ask(folder, {"request": "status"}).get("role")
    except NoAgent:
        return Finding(name, WARNING, f"{folder} can be written, but no agent answers there", "start the agent: run")
    return Finding(name, OK, f"{folder}: an agent answers, it is {role}")


def _metadata(config: AgentConfig) -> tuple[Finding, Optional[Node]]:
    if config.cloud == "local":
        node = identity(config)()
        return Finding("metadata server", OK, f"none is needed, this is {node.name} at {node.address}"), node
    name, began = "metadata server", time.monotonic()
    try:
        node = identity(config)()
    except Exception as error:  # noqa: BLE001 - as above
        todo = {
            "aws": "let this process reach 169.254.169.254; in a container, raise the metadata hop limit to 2",
            "gcp": "let this process reach 169.254.169.254; in a GKE pod, use the node's own network",
        }[config.cloud]
        return Finding(name, FAILED, _said(error), todo), None
    kind = "on-demand" if node.on_demand else "spot"
    took = (time.monotonic() - began) * 1000
    return Finding(name, OK, f"this is {node.name}, {kind}, in {node.zone or 'no zone'} ({took:.0f} ms)"), node


def _board(config: AgentConfig, uri: str) -> Board:
    return open_board(uri, region=config.region, most_bytes=MAX_DOCUMENT_BYTES)


def _ledger(config: AgentConfig, _: Optional[Node]) -> Finding:
    name, key = "ledger", keys.spec(config.fleet)
    try:
        found = _board(config, config.ledger).read(key)
    except Denied as error:
        right = "storage.objects.get" if config.ledger.startswith("gs://") else "s3:GetObject"
        todo = f"allow {right} on {config.ledger}/{keys.fleet_prefix(config.fleet)}* to this node's role"
        return Finding(name, FAILED, _said(error), todo)
    except BoardError as error:
        return Finding(name, FAILED, _said(error), "check the network's way to the ledger: endpoint, route, proxy")
    if config.cloud == "local":
        return Finding(name, OK, f"{config.ledger}: can be read; fleet {config.fleet} needs no spec")
    if found is None:
        return Finding(name, FAILED, f"{config.ledger}/{key} is not there", "deploy the fleet, or check `fleet`")
    spec = load(FleetSpec, found.body)
    if spec.incarnation != config.incarnation:
        todo = "this node is left from a fleet that is gone: end it"
        return Finding(name, FAILED, f"the fleet is of incarnation {spec.incarnation}", todo)
    return Finding(name, OK, f"{config.ledger}: fleet {config.fleet}, {spec.target} nodes")


def _own_documents(config: AgentConfig, node: Optional[Node]) -> Finding:
    name = "own documents"
    if node is None:
        return Finding(name, WARNING, "cannot be told without the node's name", "see metadata server")
    board, folder = _board(config, config.ledger), config.node_prefix + node.name
    own = [keys.notice(config.fleet, folder), keys.report(config.fleet, folder)]
    own += [keys.log(config.fleet, folder)] if config.log_seconds else []
    return _may_write(name, config.ledger, board, [*own, keys.generation(config.fleet), keys.progress(config.fleet)])


def _may_write(name: str, uri: str, board: Board, objects: List[str]) -> Finding:
    try:
        denied = [key for key in objects if not _is_allowed(board, key, uri)]
    except Unavailable as error:
        return Finding(name, WARNING, f"cannot be told: {_said(error)}", "run doctor again")
    if denied:
        rights = "storage.objects.create and .delete" if uri.startswith("gs://") else "s3:PutObject"
        todo = f"allow {rights} on them to this node's role"
        return Finding(name, FAILED, f"may not write {', '.join(denied)}", todo)
    return Finding(name, OK, f"may write all {len(objects)}")


def _is_allowed(board: Board, key: str, uri: str) -> bool:
    try:
        board.write(key, b"", expect=_NO_GENERATION if uri.startswith("gs://") else _NO_VERSION)
    except Denied:
        return False
    except Conflict:
        return True  # it would have been written, had it been of that version
    return True


def _checkpoints(config: AgentConfig, _: Optional[Node]) -> Finding:
    name, uri = "checkpoints", config.checkpoint_uri
    board = _board(config, uri)
    try:
        head = board.read("head.json")
    except Denied as error:
        rights = "storage.objects.get and .list" if uri.startswith("gs://") else "s3:GetObject and s3:ListBucket"
        return Finding(name, FAILED, _said(error), f"allow {rights} on {uri} to this node's role")
    except BoardError as error:
        return Finding(name, FAILED, _said(error), f"check that {uri} exists and can be reached from here")
    writing = _may_write(name, uri, board, ["head.json"])
    if writing.state != OK:
        return writing
    at = f"step {json.loads(head.body).get('step')}" if head else "no checkpoint yet"
    return Finding(name, OK, f"{uri}: can be read and written, {at}")


def _uploads(config: AgentConfig, _: Optional[Node]) -> Finding:
    """Parts of an upload that was cut off cost money for ever unless a rule removes them; no listing shows them."""
    name, uri = "incomplete uploads", config.checkpoint_uri
    if not uri.startswith("s3://"):
        return Finding(name, OK, f"{uri}: leaves none behind that cost anything")
    from spotkeeper_ledger.s3 import S3Board  # noqa: PLC0415 - as in open_board: only where it is needed

    bucket, _slash, prefix = uri[len("s3://") :].partition("/")
    todo = f"give bucket {bucket} a lifecycle rule AbortIncompleteMultipartUpload, of 7 days for instance"
    try:
        days = S3Board(bucket, region=config.region).days_of_incomplete_uploads(prefix)
    except Denied:
        may = "this node may not read its rules (s3:GetLifecycleConfiguration, which it does not need otherwise)"
        return Finding(name, WARNING, f"{bucket}: {may}", f"run doctor with a person's credentials, or {todo}")
    except BoardError as error:
        return Finding(name, WARNING, f"cannot be told: {_said(error)}", todo)
    if days is None:
        return Finding(name, WARNING, f"{bucket}: they are kept and paid for until somebody removes them", todo)
    return Finding(name, OK, f"{bucket}: removed after {days} days")


def _lifecycle_action(config: AgentConfig, node: Optional[Node]) -> Finding:
    name = "lifecycle action"
    if config.cloud != "aws":
        none = "nobody waits for this node" if config.cloud == "local" else f"{config.cloud} has none"
        return Finding(name, OK, none)
    if node is None:
        return Finding(name, WARNING, "cannot be told without the node's name", "see metadata server")
    found = _board(config, config.ledger).read(keys.spec(config.fleet))
    if found is None:
        return Finding(name, WARNING, "cannot be told without the fleet's spec", "see ledger")
    spec = load(FleetSpec, found.body)
    group = spec.backup_group if node.on_demand else spec.spot_group
    try:
        LifecycleHook(HookName(group, _NO_HOOK, node.name), config.region).try_to_complete()
    except Denied as error:
        todo = f"allow autoscaling:CompleteLifecycleAction on group {group} to this node's role"
        return Finding(name, FAILED, _said(error), todo)
    except Unavailable as error:
        return Finding(name, WARNING, f"cannot be told: {_said(error)}", "check the way to the Auto Scaling endpoint")
    return Finding(name, OK, f"may complete those of group {group}")


def as_lines(findings: List[Finding]) -> List[str]:
    """Return what a person reads: a line for each finding, and below it what to do."""
    marks = {OK: "ok     ", WARNING: "warning", FAILED: "FAILED "}
    lines = []
    for each in findings:
        lines.append(f"{marks[each.state]}  {each.name}: {each.found}")
        if each.do:
            lines.append(f"         -> {each.do}")
    return lines


def worst(findings: List[Finding]) -> str:
    """Return the gravest state."""
    states = {each.state for each in findings}
    return next(state for state in (FAILED, WARNING, OK) if state in states)


def _said(error: Exception) -> str:
    return f"{error}" if isinstance(error, BoardError) else f"{type(error).__name__}: {error}"
