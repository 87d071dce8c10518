"""What a deploy does to what all fleets stand on: buckets with checkpoints or ledgers, and responders. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from spotkeeper_lab.review.finding import DANGER, INTERRUPTS, NOTE, Finding, code
from spotkeeper_lab.review.fleets import BUCKETS, RESPONDERS, Component, Fleet, bucket_name
from spotkeeper_lab.review.preview import CREATE, DELETE, REPLACE, SAME, UPDATE, Preview, Step, kind_of


def foundations(preview: Preview, fleets: Sequence[Fleet], responders: Sequence[Component]) -> list[Finding]:
    """Return what happens to buckets and responders."""
    found = [finding for step in preview.steps for finding in _bucket(step, fleets)]
    for responder in responders:
        found += _responder(responder, fleets)
    return found


def _bucket(step: Step, fleets: Sequence[Fleet]) -> list[Finding]:
    if step.kind not in BUCKETS or step.operation not in {DELETE, REPLACE}:
        return []
    name = bucket_name(step)
    shown = f"Bucket {code(name or step.name)}"
    kept = [fleet for fleet in fleets if _holds(name, fleet)]
    ledger = kind_of(step.parent) in RESPONDERS or any(name and name in fleet.ledgers() for fleet in fleets)
    if not kept and not ledger:
        return []
    held = (
        f"the checkpoints of {_names(kept)}" if kept else "a ledger: through it nodes and responder know of each other"
    )
    if not step.goes:
        return [Finding(NOTE, f"{shown} leaves the stack and stays in the cloud. It holds {held}.")]
    verb = "replaced" if step.operation == REPLACE else "deleted"
    emptied = step.before is not None and step.before.inputs.get("forceDestroy") is True
    how = (
        "**with everything in it** (`forceDestroy`)"
        if emptied
        else "which the cloud refuses as long as anything is in it, so that the deploy stops halfway"
    )
    return [Finding(DANGER, f"**{shown} is {verb}**, {how}. It holds {held}.")]


def _holds(name: str | None, fleet: Fleet) -> bool:
    return any(name and uri and uri.split("://")[-1].split("/")[0] == name for uri in fleet.checkpoint_uris())


def _responder(responder: Component, fleets: Sequence[Fleet]) -> list[Finding]:
    shown = f"Responder {code(responder.name)}"
    if not responder.touched:
        return []
    own = responder.own.operation if responder.own else SAME
    if own == CREATE:
        return [Finding(NOTE, f"{shown} is new: it answers for the fleets that name its `uri`.")]
    if own == DELETE:
        left = [fleet for fleet in fleets if not fleet.destroyed]
        text = f"**{shown} is deleted.** From then on nobody buys on-demand, gives it back or drains nodes"
        if left:
            return [Finding(DANGER, f"{text} for {_names(left)}, which stay.")]
        more = "; fleets of other stacks that name it are not in this preview: look with `spotkeeper status`."
        return [Finding(INTERRUPTS, text + more)]
    gone = [step for step in responder.parts if step.operation in {DELETE, REPLACE} and step.kind not in BUCKETS]
    if gone:
        names = ", ".join(code(f"{step.kind.rpartition(':')[2]} {step.name}") for step in gone)
        text = f"{shown}: {names} replaced or deleted. While that lasts nobody may hear of events; nodes hear of their "
        return [Finding(INTERRUPTS, f"{text}own interruptions all the same, and running jobs go on.")]
    changed = ", ".join(
        sorted({code(step.name) for step in responder.parts if step.operation in {UPDATE, CREATE}})
        or ["nothing of its parts"]
    )
    return [Finding(NOTE, f"{shown} changes in place ({changed}); running jobs and nodes are not disturbed.")]


def _names(fleets: Sequence[Fleet]) -> str:
    return ", ".join(code(fleet.id) for fleet in fleets)
