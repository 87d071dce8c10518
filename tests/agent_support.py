"""What the agent's tests share: a metadata service that tests write, and a fleet's ledger in a folder."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from ledger_support import Answer, Asked, answering
from spotkeeper_agent.node import Node
from spotkeeper_ledger import (
    ANY,
    Board,
    Entry,
    FleetSpec,
    Generation,
    NodeNotice,
    NodeReport,
    Progress,
    Signal,
    SignalBoard,
    Stored,
    Unavailable,
    dump,
    keys,
    load,
    open_board,
)
from spotkeeper_ledger.board import Expected

FLEET, INCARNATION, PREFIX = "vision-test-resnet", "AROAFLEET", "AROAFLEET:"
Found = TypeVar("Found")


def wait_until(ask: Callable[[], Found | None], seconds: float = 15.0, what: str = "") -> Found:
    """Return what ``ask`` returns once that is true."""
    give_up_at = time.monotonic() + seconds
    while True:
        found = ask()
        if found:
            return found
        if time.monotonic() > give_up_at:
            raise AssertionError(f"not within {seconds} s: {what or ask}")
        time.sleep(0.02)


@dataclass
class Metadata:
    """One node's metadata: what is in ``values`` is served, what is in ``faults`` answers with that status instead."""

    values: dict[str, str]
    faults: dict[str, int] = field(default_factory=dict)
    tokens: int = 0
    url: str = ""

    def answer(self, asked: Asked) -> Answer:
        if asked.path == "/latest/api/token":
            if asked.method != "PUT" or "x-aws-ec2-metadata-token-ttl-seconds" not in asked.headers:
                return Answer(400)
            self.tokens += 1
            return Answer(body=f"token-{self.tokens}".encode())
        if asked.headers.get("x-aws-ec2-metadata-token") != f"token-{self.tokens}":
            return Answer(401)
        path = asked.path.removeprefix("/latest/meta-data/")
        if path in self.faults:
            return Answer(self.faults[path])
        return Answer(body=self.values[path].encode()) if path in self.values else Answer(404)


@contextmanager
def serving_metadata(node: str, *, on_demand: bool = False, **values: str) -> Iterator[Metadata]:
    metadata = Metadata(
        {
            "instance-id": node,
            "instance-life-cycle": "on-demand" if on_demand else "spot",
            "local-ipv4": "10.0.0.7",
            "placement/availability-zone": "eu-west-1b",
            "autoscaling/target-lifecycle-state": "InService",
            **values,
        }
    )
    with answering(metadata.answer) as server:
        metadata.url = server.url
        yield metadata


def a_node(name: str = "i-1", **changes: Any) -> Node:
    facts = {"name": name, "on_demand": False, "address": "10.0.0.7", "zone": "eu-west-1b", "boot_id": "b"}
    return Node(**{**facts, **changes})


def utc(moment: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(moment))


@dataclass
class Fleet:
    """A fleet's ledger and checkpoints in a folder, as tests write and read them."""

    folder: Path

    @property
    def uri(self) -> str:
        return f"file://{self.folder}/ledger"

    @property
    def checkpoint_uri(self) -> str:
        return f"file://{self.folder}/checkpoints"

    @property
    def board(self) -> Board:
        return open_board(self.uri)

    def write_spec(self, incarnation: str = INCARNATION) -> None:
        spec = FleetSpec(FLEET, incarnation, "aws", "eu-west-1", 2, 0, 2, "the-spot-group", "the-backup-group")
        self.board.write(keys.spec(FLEET), dump(spec), expect=ANY)

    def signal(self, node: str, kind: str, deadline: float | None = None, *, drill: bool = False) -> None:
        one = Signal("any", node, kind, time.time(), deadline, drill)
        self.board.write(keys.signals(FLEET), dump(SignalBoard(FLEET, INCARNATION, 1, (one,))), expect=ANY)

    def _read(self, kind: type[Found], key: str) -> Found | None:
        found = self.board.read(key)
        return load(kind, found.body) if found else None

    @property
    def generation(self) -> Generation | None:
        return self._read(Generation, keys.generation(FLEET))

    @property
    def progress(self) -> Progress | None:
        return self._read(Progress, keys.progress(FLEET))

    def report(self, node: str) -> NodeReport | None:
        return self._read(NodeReport, keys.report(FLEET, PREFIX + node))

    def notice(self, node: str) -> NodeNotice | None:
        return self._read(NodeNotice, keys.notice(FLEET, PREFIX + node))

    def holder(self) -> str | None:
        """The node that runs the job now."""
        generation = self.generation
        return generation.members[0].node if generation and generation.state == "running" else None


class FaultyBoard:
    """A real board behind a network that fails: all of it, or only the answers to writes that take effect."""

    def __init__(self, board: Board) -> None:
        self._board = board
        self.away = False
        self.answers_are_lost = False

    def _reach(self) -> Board:
        if self.away:
            raise Unavailable("nothing answers")
        return self._board

    def read(self, key: str) -> Stored | None:
        return self._reach().read(key)

    def read_changed(self, key: str, version: str) -> Stored | None:
        return self._reach().read_changed(key, version)

    def write(self, key: str, body: bytes, *, expect: Expected) -> str:
        version = self._reach().write(key, body, expect=expect)
        if self.answers_are_lost:
            raise Unavailable("the answer was lost")
        return version

    def list(self, prefix: str) -> Iterable[Entry]:
        return self._reach().list(prefix)

    def list_folders(self, prefix: str) -> Iterable[str]:
        return self._reach().list_folders(prefix)

    def delete(self, key: str) -> None:
        self._reach().delete(key)


SHORT = {
    "notice_seconds": 6.0,
    "report_seconds": 1.0,
    "lease_seconds": 1.5,
    "signal_poll_seconds": 0.2,
    "imds_poll_seconds": 0.1,
    "hook_seconds": 6.0,
    "save_gap_seconds": 0.2,
    "rebalance_expiry_seconds": 20.0,
}


def write_config(folder: Path, home: Fleet, /, **changes: object) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    config = {
        "fleet": FLEET,
        "incarnation": INCARNATION,
        "cloud": "aws",
        "region": "eu-west-1",
        "ledger": home.uri,
        "checkpoint_uri": home.checkpoint_uri,
        "run_dir": str(folder / "run"),
        "node_prefix": PREFIX,
        **SHORT,
        **changes,
    }
    path = folder / "agent.json"
    path.write_text(json.dumps(config))
    return path
