"""What a hostile node of a fleet writes: documents that are forged, oversized, foreign or stale. Pure.

Every one of them is to change nothing, except the last one that :func:`confession` makes: a node is believed about
itself. What a node can do to its own fleet's job by ``job/generation.json`` and by a well-made ``job/progress.json`` is
not among them: whoever may run the job may also end it (docs/design.md, "Trust").
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

from spotkeeper_ledger import NodeNotice, NodeReport, Progress, dump, keys
from spotkeeper_ledger.documents import DRAIN, INTERRUPTION, Signal, SignalBoard, notice_id

FORGED, OVERSIZED, FOREIGN, STALE = "forged", "oversized", "foreign", "stale"
SORTS = (FORGED, OVERSIZED, FOREIGN, STALE)
ITSELF = "about itself"
THIRD = "a third document of its own"
LIMIT_BYTES = 64 * 1024
"""Largest document of a node that is read."""
HUGE_BYTES = 5 * 1024 * 1024
NEVER, LONG_AGO, FAR_AHEAD = 10**9, 1.0, 4e9
"""A step that no job here reaches, and times in 1970 and in 2096."""
ELSEWHERE = "AROAELSEWHERE0000000"
"""An incarnation that is nobody's."""


@dataclass(frozen=True)
class Forger:
    """What the hostile node knows, all of it by its own right to read its fleet's ledger."""

    fleet: str
    incarnation: str
    prefix: str
    """What precedes an instance id in the name of a node's folder."""
    node: str
    victim: str
    """Another node of the fleet."""
    report_of_victim: bytes
    at: float
    own_folder_only: bool = True
    """Whether the cloud's policies know which node asks, and let it write into its own folder alone."""

    @property
    def notice_key(self) -> str:
        """Where its own notice lies."""
        return keys.notice(self.fleet, self.prefix + self.node)

    @property
    def report_key(self) -> str:
        """Where its own report lies."""
        return keys.report(self.fleet, self.prefix + self.node)

    def notice(self, node: str, **changes: object) -> NodeNotice:
        """A notice that says of ``node`` that it is interrupted."""
        told = NodeNotice(
            fleet=self.fleet,
            incarnation=self.incarnation,
            node=node,
            notice_id=notice_id(node, INTERRUPTION),
            kind=INTERRUPTION,
            heard_at=self.at,
            deadline=self.at + 5,
            source="imds",
        )
        return replace(told, **changes)  # type: ignore[arg-type]  # callers name fields

    def report(self, node: str, **changes: object) -> NodeReport:
        """A report that confirms, for ``node``, a step that never was."""
        said = NodeReport(
            fleet=self.fleet,
            incarnation=self.incarnation,
            node=node,
            boot_id="forged",
            at=self.at,
            notice_id=notice_id(node, INTERRUPTION),
            confirmed_step=NEVER,
            confirmed_at=self.at,
        )
        return replace(said, **changes)  # type: ignore[arg-type]  # callers name fields


@dataclass(frozen=True)
class Forgery:
    """One document, and where it is to go."""

    sort: str
    """One of :data:`SORTS`, or :data:`ITSELF`."""
    what: str
    key: str
    body: bytes


Made = Callable[[Forger], tuple[str, bytes]]


def _padded(document: NodeNotice | NodeReport, size: int) -> bytes:
    """The document made larger than ``size`` by a field that nobody knows; it would be read if it were smaller."""
    return dump(replace(document, extra={"padding": "x" * size}))


def _theirs(forger: Forger, name: str) -> str:
    return f"{keys.nodes(forger.fleet)}{forger.prefix}{forger.victim}/{name}"


def _drain_everybody(forger: Forger) -> bytes:
    signal = Signal(notice_id(forger.victim, DRAIN), forger.victim, DRAIN, forger.at, FAR_AHEAD)
    return dump(SignalBoard(forger.fleet, forger.incarnation, NEVER, (signal,)))


def _progress(forger: Forger, **changes: object) -> bytes:
    said = Progress(forger.fleet, forger.incarnation, 0, forger.node, forger.at, step=NEVER)
    return dump(replace(said, **changes))  # type: ignore[arg-type]  # callers name fields


KINDS: Mapping[str, Mapping[str, Made]] = {
    FORGED: {
        "a notice of another node": lambda f: (f.notice_key, dump(f.notice(f.victim))),
        "one whose time was long ago": lambda f: (f.notice_key, dump(f.notice(f.victim, deadline=LONG_AGO))),
        "one whose time is far ahead": lambda f: (f.notice_key, dump(f.notice(f.victim, deadline=FAR_AHEAD))),
        "another node's notice id": lambda f: (f.notice_key, dump(f.notice(f.node, notice_id=f"{f.victim}:leaving"))),
        "a notice of no known kind": lambda f: (f.notice_key, dump(f.notice(f.node, kind="meteor"))),
        "a version yet to come": lambda f: (f.notice_key, dump(f.notice(f.node, version=99))),
        "a time that is no number": lambda f: (
            f.notice_key,
            dump(f.notice(f.node, deadline=FAR_AHEAD)).replace(b"4000000000.0", b"NaN"),
        ),
        "no JSON": lambda f: (f.notice_key, b'{"fleet": "'),
        "brackets without end": lambda f: (f.notice_key, b"[" * 60_000),
        "a report of another node": lambda f: (f.report_key, dump(f.report(f.victim))),
        "a step that never was": lambda f: (
            f.report_key,
            dump(f.report(f.node, notice_id=notice_id(f.victim, INTERRUPTION))),
        ),
    },
    OVERSIZED: {
        "a notice just too large": lambda f: (f.notice_key, _padded(f.notice(f.node), LIMIT_BYTES)),
        "a huge notice": lambda f: (f.notice_key, _padded(f.notice(f.node), HUGE_BYTES)),
        "a huge report": lambda f: (f.report_key, _padded(f.report(f.node), HUGE_BYTES)),
    },
    FOREIGN: {
        "another node's notice": lambda f: (_theirs(f, "notice.json"), dump(f.notice(f.victim))),
        "another node's report": lambda f: (_theirs(f, "report.json"), dump(f.report(f.victim))),
        THIRD: lambda f: (
            keys.notice(f.fleet, f"{f.prefix}{f.node}/more"),
            dump(f.notice(f.node)),
        ),
        "a third document of the job": lambda f: (f"{keys.fleet_prefix(f.fleet)}job/more.json", b"{}"),
        "the spec": lambda f: (keys.spec(f.fleet), b'{"maximum": 1000}'),
        "the ledger": lambda f: (keys.ledger(f.fleet), b"{}"),
        "the signals": lambda f: (keys.signals(f.fleet), _drain_everybody(f)),
        "the roster": lambda _: (keys.MEMBERS, b"{}"),
        "another fleet's node": lambda f: (
            keys.notice("another-fleet", f.prefix + f.node),
            dump(f.notice(f.node, fleet="another-fleet")),
        ),
        "another fleet's job": lambda f: (keys.progress("another-fleet"), _progress(f, state="finished")),
        "the agent of all nodes": lambda _: ("agent/forged.pyz", b"PK"),
    },
    STALE: {
        "a notice of another incarnation": lambda f: (f.notice_key, dump(f.notice(f.node, incarnation=ELSEWHERE))),
        "another node's report again": lambda f: (f.report_key, f.report_of_victim),
        "a folder of another incarnation": lambda f: (
            keys.notice(f.fleet, f"{ELSEWHERE}:{f.victim}"),
            dump(f.notice(f.victim, incarnation=ELSEWHERE)),
        ),
        "the end of another incarnation's job": lambda f: (
            keys.progress(f.fleet),
            _progress(f, incarnation=ELSEWHERE, generation=NEVER, state="finished"),
        ),
        "progress of an earlier generation": lambda f: (keys.progress(f.fleet), _progress(f)),
    },
}
"""Every kind of forgery by its sort: what it is, to its key and its body."""


BELIEVED = ("another node's notice", "another node's report")
"""Forgeries that would have an effect where a node may write into the folders of others: on that node."""


def forgeries(forger: Forger, count: int, seed: int) -> Iterator[Forgery]:
    """Return ``count`` forgeries in an order that ``seed`` decides: every kind once, then any.

    Those that a cloud cannot refuse are left out if they would be believed; of the others nothing may come.
    """
    kinds = [(sort, what) for sort, each in KINDS.items() for what in each]
    if not forger.own_folder_only:
        kinds = [(sort, what) for sort, what in kinds if what not in BELIEVED]
    dice = random.Random(seed)  # noqa: S311 - a mix that can be played again, no secret
    dice.shuffle(kinds)
    for sort, what in [*kinds, *dice.choices(kinds, k=max(0, count - len(kinds)))][:count]:
        open_to_it = what == THIRD and not forger.own_folder_only
        yield Forgery(FORGED if open_to_it else sort, what, *KINDS[sort][what](forger))


def confession(forger: Forger) -> Forgery:
    """Return what a node is believed, because it concerns nobody else: that it should have been gone long ago."""
    return Forgery(ITSELF, "its own end", forger.notice_key, dump(forger.notice(forger.node, deadline=LONG_AGO)))
