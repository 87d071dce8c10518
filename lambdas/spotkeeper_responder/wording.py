"""What people are told, in words: what has happened to which fleet, since when, what it costs, and what to do. Pure."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass

from spotkeeper_ledger import AnnouncementRecord, FleetLedger, FleetSpec
from spotkeeper_responder import plans
from spotkeeper_responder.model import BACKUP, Announcement, FleetView


@dataclass(frozen=True, slots=True)
class Wording:
    """What is said of one thing that can happen. Names in braces are those of :func:`_names`."""

    subject: str
    what: str
    todo: str


WORDINGS: Mapping[tuple[str, str], Wording] = {
    ("drought", "begun"): Wording(
        subject="No spot capacity",
        what="The cloud refuses to launch spot nodes for lack of capacity, and {missing} are missing.",
        todo="Nothing, as long as on_demand_max covers it. Otherwise allow more instance types or zones.",
    ),
    ("drought", "over"): Wording(
        subject="Spot is no longer short",
        what="No spot node is missing any more.",
        todo="Nothing: on-demand nodes beyond the base are drained once spot has lasted {hysteresis:g} s.",
    ),
    ("job", "finished"): Wording(
        subject="The job has finished",
        what="The training command has ended with exit code 0.",
        todo="Nothing: {linger:g} s after that both groups go to zero. The checkpoints are in {checkpoints}.",
    ),
    ("job", "failed"): Wording(
        subject="The job has failed",
        what="The training command has crashed more often than max_restarts allows.",
        todo="Read its last output on the node ({linger:g} s after the failure all nodes go), mend it, and start it "
        "again as a fleet of another name: it goes on from the last checkpoint in {checkpoints}.",
    ),
    ("cap", "reached"): Wording(
        subject="The limit of on-demand is reached",
        what="The fleet has used the {limit:g} node-hours of on-demand beyond its base that max_on_demand_hours "
        "allows. Nodes beyond the base save and go, and no more are bought.",
        todo="Raise max_on_demand_hours and deploy, if the job has to keep its speed. Otherwise nothing: it goes on "
        "with spot and the base.",
    ),
    ("deadline", "risk"): Wording(
        subject="The deadline or its cost is not assured",
        what="The policy cannot promise that the job is done in time and no dearer than on-demand: {problem}.",
        todo="If time is short, give the job more nodes or a later deadline, and deploy; if it tells no progress or no "
        "price is known, see to that. The fleet goes on as well as it can.",
    ),
    ("quota", "failed"): Wording(
        subject="A quota keeps the fleet from growing",
        what="The cloud refuses to launch nodes: {quota}",
        todo="Raise the account's quota for these instance families. Nothing is bought in place of what it refuses.",
    ),
    ("configuration", "failed"): Wording(
        subject="Nodes cannot be started as configured",
        what="The cloud refuses to launch nodes: {configuration}",
        todo="Mend the image, subnet, key or permission that it names, and deploy. Sizes are held until then.",
    ),
}
"""By topic and by what has happened to it."""
_TEXT = """\
Fleet: {fleet} ({region})
What: {what}
Since: {since}
Cost: {on_demand} on-demand nodes now ({base} always, {maximum} at most), {used:.1f} node-hours beyond the base so far.
What to do: {todo}

`spotkeeper status {fleet}` shows it; docs/operations.md, "{topic}", says more.
"""


def worded(
    spec: FleetSpec, view: FleetView, ledger: FleetLedger, topic: str, record: AnnouncementRecord
) -> Announcement:
    """Return what is to be said of a topic."""
    wording, names = WORDINGS[topic, record.word], _names(spec, view, ledger)
    text = _TEXT.format(
        **names,
        topic=topic,
        since=time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(record.since)),
        what=wording.what.format(**names),
        todo=wording.todo.format(**names),
    )
    return Announcement(topic, record.word, f"Spotkeeper: {wording.subject} ({spec.fleet})", text)


def _names(spec: FleetSpec, view: FleetView, ledger: FleetLedger) -> Mapping[str, object]:
    """Return what wordings may name."""
    return {
        "fleet": spec.fleet,
        "region": spec.region,
        "base": spec.base,
        "maximum": spec.maximum,
        "missing": max(0, spec.spot_target - len(view.spot.live)),
        "on_demand": len(view.backup.instances),
        "used": ledger.fallback_node_seconds / 3600,
        "limit": spec.max_on_demand_hours or 0.0,
        "hysteresis": spec.hysteresis_seconds,
        "linger": spec.linger_seconds,
        "checkpoints": spec.checkpoint_uri,
        "problem": plans.problem(ledger),
        "quota": _said(ledger, "quota"),
        "configuration": _said(ledger, "configuration"),
    }


def _said(ledger: FleetLedger, failure_class: str) -> str:
    """Return the newest message of a class of launch failures, of either group."""
    keys = (failure_class, f"{BACKUP}-{failure_class}")
    found = [ledger.failures[key] for key in keys if key in ledger.failures]
    return max(found, key=lambda failure: failure.last_at).message if found else ""
