"""What a deploy does to the job that a fleet runs. Pure.

Each function looks for one kind of change. What it says of the responder is what ``spotkeeper_responder`` does:
``updates`` (a new version), ``drains`` (who goes first), ``sizes``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from spotkeeper_lab.review.checkpoints import moved
from spotkeeper_lab.review.finding import DANGER, INTERRUPTS, NOTE, Finding, code, count
from spotkeeper_lab.review.fleets import GROUPS, IDENTITIES, OBJECTS, TEMPLATES, Fleet
from spotkeeper_lab.review.preview import REPLACE, UPDATE, State, Step, number
from spotkeeper_lab.review.settings import settings

WORDS: Mapping[str, str] = {
    "imageId": "the image",
    "userData": "the command, the agent or their settings",
    "tagSpecifications": "tags of instances and volumes",
    "blockDeviceMappings": "the root volume",
    "networkInterfaces": "security groups",
    "iamInstanceProfile": "the instance profile",
    "disks": "the image or the disk",
    "metadata": "the command, the agent or their settings",
    "machineType": "the machine type",
    "scheduling": "how nodes end",
    "labels": "labels",
    "serviceAccount": "the account",
}
"""What the inputs of a template are about, where a reviewer would not guess."""


def happenings(fleet: Fleet) -> list[Finding]:
    """Return what the deploy does to a fleet and its job; nothing for one that it leaves alone."""
    if not fleet.touched:
        return []
    if fleet.destroyed:
        return _destroyed(fleet)
    if fleet.created:
        return _created(fleet)
    found = [finding for look in LOOKS for finding in look(fleet)]
    if not found:
        names = ", ".join(sorted({code(step.name) for step in fleet.parts if step.operation != "same"}))
        found = [Finding(NOTE, f"Only what surrounds the nodes changes ({names}); the job goes on.")]
    return found


def _created(fleet: Fleet) -> list[Finding]:
    nodes = (fleet.after or {}).get("nodes")
    size = "Its nodes are" if nodes is None else f"{count(nodes, 'node')} {'is' if nodes == 1 else 'are'}"
    base = (fleet.after or {}).get("onDemandBase")
    always = f", {base:g} of them on-demand for good" if base else ""
    text = f"A new fleet. {size} asked for at once{always}; the job starts from the last checkpoint below its "
    return [Finding(NOTE, f"{text}`checkpointUri`, where there is one.")]


def _destroyed(fleet: Fleet) -> list[Finding]:
    kept = fleet.checkpoint_uris()[0]
    stays = f" Checkpoints stay at {code(kept)}." if kept else " Checkpoints stay where they are."
    if forced(fleet):
        text = "**The fleet is destroyed without saving** (`onDestroy: force`, as deployed): what its job has done "
        return [Finding(DANGER, f"{text}since its last checkpoint is lost.{stays} To save first, deploy `checkpoint`.")]
    if fleet.cloud == "gcp":
        how = "Nodes are shut down in order and save meanwhile, spot machines for up to 30 s, others for up to 120 s; "
        how += "of a save that takes longer the checkpoint before it stands."
    else:
        timings = (fleet.before or {}).get("timings")
        seconds = number(timings.get("hook_seconds")) if isinstance(timings, Mapping) else None
        limit = f", for up to {seconds:g} s" if seconds else ""
        how = f"Every node saves before it goes{limit}."
    return [Finding(INTERRUPTS, f"**The fleet is destroyed**, and its job ends. {how}{stays}")]


def forced(fleet: Fleet) -> bool:
    """Whether the fleet, as deployed last, does not save when it is destroyed."""
    deployed = fleet.of(GROUPS)
    return any(step.before is not None and step.before.inputs.get("forceDelete") is True for step in deployed)


def _groups(fleet: Fleet) -> list[Finding]:
    """A group that goes takes all its nodes along, whatever becomes of it."""
    return [
        Finding(
            DANGER,
            f"**Group {code(step.name)} is {_done(step)}**{_why(step)}: all its nodes leave at once, and the job "
            "with them until others have started. Nothing that a fleet takes is meant to do that.",
        )
        for step in fleet.of(GROUPS)
        if step.goes
    ]


def _identity(fleet: Fleet) -> list[Finding]:
    return [
        Finding(
            DANGER,
            f"**What nodes act as ({code(step.name)}) is {_done(step)}**{_why(step)}: the fleet becomes another one. "
            "Running nodes are not heard any more, and what the ledger holds of the job is ignored; only checkpoints "
            "stay.",
        )
        for step in fleet.of(IDENTITIES)
        if step.goes
    ]


def _ledger(fleet: Fleet) -> list[Finding]:
    before, after = fleet.ledgers()
    spec = fleet.of(OBJECTS, "-spec")
    moved = bool(before and after and before != after)
    if not moved and not (spec and spec[0].operation == REPLACE and "bucket" in spec[0].reasons):
        return []
    where = f"from {code(before)} to {code(after)}" if moved else "to another ledger"
    return [
        Finding(
            DANGER,
            f"**The fleet moves {where}**: another responder answers for it, which knows nothing of the running job "
            "and hears nothing from nodes that have started before.",
        )
    ]


def _version(fleet: Fleet) -> list[Finding]:
    """A new version of what nodes start from: kept for the next run, or brought to the running job."""
    changed = sorted(
        {name for step in fleet.of(TEMPLATES) if step.operation in {UPDATE, REPLACE} for name in _inside(step)}
    )
    what = ", ".join(WORDS.get(name, code(name)) for name in changed)
    groups = [step for step in fleet.of(GROUPS) if not step.goes and step.before and step.after]
    follows = bool(changed) and (fleet.after or {}).get("onUpdate") == "checkpoint-restart"
    if follows or any(_start(step.before) != _start(step.after) for step in groups):
        about = what or "all that has changed since the nodes started"
        return [
            Finding(
                INTERRUPTS,
                f"**The job restarts on a new version of its nodes** (`onUpdate: checkpoint-restart`): {about}. "
                "New nodes are started first, so that for a while there are more than `nodes`; then old ones that do "
                "not run the job leave, and at last those that do: each saves, and the job goes on from that "
                "checkpoint.",
            )
        ]
    if not changed:
        return []
    return [
        Finding(
            NOTE,
            f"What nodes start from has a new version ({what}). **The running job does not get it** (`onUpdate: "
            "next-run`), nor do nodes that replace others: start the next job under another `fleetName`.",
        )
    ]


def _inside(step: Step) -> list[str]:
    """What has changed in a template, its own name and description apart."""
    return [name for name in step.changed() if name not in {"name", "description", "tags"}]


def _start(state: State | None) -> Any:
    """Return what a group starts nodes from."""
    inputs = state.inputs if state else {}
    if "versions" in inputs:
        return inputs["versions"]
    found: Any = inputs
    for name in ("mixedInstancesPolicy", "launchTemplate", "launchTemplateSpecification"):
        found = found.get(name) if isinstance(found, Mapping) else None
    return found


LOOKS: Sequence[Callable[[Fleet], list[Finding]]] = (_groups, _identity, _ledger, moved, _version, settings)
"""What is looked for in a fleet that was there and stays."""


def _done(step: Step) -> str:
    return "replaced" if step.operation == REPLACE else "deleted"


def _why(step: Step) -> str:
    return f" ({', '.join(code(reason) for reason in step.reasons)})" if step.reasons else ""
