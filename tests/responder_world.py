"""A whole world for a responder: a folder for its ledger, simulated fleets for its cloud, a clock set by hand."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar

from responder_support import SimCloud, SimFleet, spec
from spotkeeper_ledger import (
    ANY,
    Board,
    Entry,
    FleetLedger,
    FleetSpec,
    Members,
    NodeNotice,
    NodeReport,
    SignalBoard,
    Stored,
    Unavailable,
    dump,
    keys,
    load,
    notice_id,
    open_board,
)
from spotkeeper_ledger.board import Expected
from spotkeeper_responder import Event, Heard, Responder, Tick, TimeLeft

Document = TypeVar("Document")


@dataclass
class FlakyBoard:
    """Another board that can be away, wholly or in part, and that says what it was asked."""

    board: Board
    away: Callable[[str, str], bool] = lambda _what, _key: False
    """Whether a call (``read``, ``write``, ``list``) about a key comes to nothing."""
    waits: Callable[[], None] = lambda: None
    """Called before a call comes to nothing: for the time that passes."""
    asked: list[tuple[str, str]] = field(default_factory=list)

    def read(self, key: str) -> Stored | None:
        self._ask("read", key)
        return self.board.read(key)

    def read_changed(self, key: str, version: str) -> Stored | None:
        self._ask("read", key)
        return self.board.read_changed(key, version)

    def write(self, key: str, body: bytes, *, expect: Expected) -> str:
        self._ask("write", key)
        return self.board.write(key, body, expect=expect)

    def list(self, prefix: str) -> Iterable[Entry]:
        self._ask("list", prefix)
        return self.board.list(prefix)

    def list_folders(self, prefix: str) -> Iterable[str]:
        self._ask("list", prefix)
        return self.board.list_folders(prefix)

    def delete(self, key: str) -> None:
        self._ask("delete", key)
        self.board.delete(key)

    def _ask(self, what: str, key: str) -> None:
        self.asked.append((what, key))
        if self.away(what, key):
            self.waits()
            raise Unavailable(f"{what} {key}")


class World:
    """Fleets that serve, and the responder that looks after them.

    Args:
        folder: for the ledger.
        fleets: their specs; default is one.
    """

    def __init__(self, folder: Path, *fleets: FleetSpec) -> None:
        self.folder = folder
        self.now = time.time()
        self.monotonic = 0.0
        self.board = FlakyBoard(open_board(folder.as_uri()))
        self.specs = {each.fleet: each for each in fleets or (spec(),)}
        self.cloud = SimCloud({name: SimFleet.of(each) for name, each in self.specs.items()})
        self.logged: list[tuple[str, str, dict[str, object]]] = []
        self.lines: list[str] = []
        self.pauses: list[float] = []
        self.remaining = 13.0
        for number, (name, each) in enumerate(self.specs.items()):
            self.put(keys.spec(name), each)
            self.cloud.fleets[name].launched = 100 * number
            self.cloud.fleets[name].launch(self.now)
            self.cloud.fleets[name].boot()
        self.report()
        self.respond(Tick())
        self.board.asked.clear()
        self.lines.clear()
        self.cloud.done.clear()

    def sim(self, fleet: str | None = None) -> SimFleet:
        return self.cloud.fleets[fleet or next(iter(self.specs))]

    def spot(self, fleet: str | None = None) -> list[str]:
        return self.sim(fleet).spot.live()

    def pass_time(self, seconds: float) -> None:
        """Time passes; groups launch what they are asked for, nodes boot and report."""
        self.now += seconds
        for each in self.cloud.fleets.values():
            each.launch(self.now)
            each.boot()
        self.report()

    def report(self) -> None:
        for name, each in self.cloud.fleets.items():
            for member in (*each.spot.members, *each.backup.members):
                self.report_of(member, name)

    def report_of(self, node: str, of: str | None = None, /, **changes: object) -> None:
        """Let a node's agent report."""
        wanted = self.specs[of or next(iter(self.specs))]
        said = NodeReport(wanted.fleet, wanted.incarnation, node, boot_id="boot", at=self.now)
        key = keys.report(wanted.fleet, wanted.node_prefix + node)
        self._file(key, dump(replace(said, **changes)))  # type: ignore[arg-type]

    def write_notice(self, node: str, kind: str, of: str | None = None, /, **changes: object) -> str:
        """Let a node's agent write what it has heard; return the name of its folder."""
        wanted = self.specs[of or next(iter(self.specs))]
        said = NodeNotice(wanted.fleet, wanted.incarnation, node, notice_id(node, kind), kind, heard_at=self.now)
        folder = wanted.node_prefix + node
        self._file(keys.notice(wanted.fleet, folder), dump(replace(said, **changes)))  # type: ignore[arg-type]
        return folder

    def put(self, key: str, document: object) -> None:
        self.board.board.write(key, dump(document), expect=ANY)

    def responder(self) -> Responder:
        return Responder(
            "ledger",
            board=self.board,
            cloud=self.cloud,
            time_left=TimeLeft(lambda: self.remaining, lambda: self.monotonic),
            now=lambda: self.now,
            clock=lambda: self.monotonic,
            log=lambda level, message, **fields: self.logged.append((level, message, fields)),
            emit=self.lines.append,
            pause=self.pauses.append,
        )

    def respond(self, *events: Event | Heard) -> set[str]:
        """Let the responder hear events, each in a message of its own (``m0``, ``m1``, …)."""
        heard = [e if isinstance(e, Heard) else Heard(f"m{n}", e) for n, e in enumerate(events)]
        return self.responder().respond(heard)

    def ledger(self, fleet: str | None = None) -> FleetLedger:
        return self._load(FleetLedger, keys.ledger(fleet or next(iter(self.specs))))

    def signals(self, fleet: str | None = None) -> SignalBoard:
        return self._load(SignalBoard, keys.signals(fleet or next(iter(self.specs))))

    def members(self) -> Members:
        return self._load(Members, keys.MEMBERS)

    def has(self, key: str) -> bool:
        return self.board.board.read(key) is not None

    def writes(self) -> list[str]:
        return [key for what, key in self.board.asked if what == "write"]

    def _load(self, kind: type[Document], key: str) -> Document:
        stored = self.board.board.read(key)
        assert stored is not None, f"no {key}"
        return load(kind, stored.body)

    def _file(self, key: str, body: bytes) -> None:
        """A file whose age is by this world's clock."""
        path = self.folder / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(body)
        os.utime(path, (self.now, self.now))
