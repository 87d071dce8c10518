"""What happens in a rehearsal, as sentences for whoever watches. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from spotkeeper_lab.timeline import called

if TYPE_CHECKING:  # the local cloud takes seconds to import
    from spotkeeper_lab.local import Moment

GROUPS = {"spot": "spot", "backup": "on-demand"}


def group(moment: Moment) -> str:
    """The group that a moment is about, in words."""
    return GROUPS.get(str(moment.detail.get("group", "")), "")


BEGINNINGS: Mapping[str, Callable[[Moment], str]] = {
    "crash": lambda _: "the function will die once it has remembered a notice",
    "throttle": lambda moment: f"{moment.detail['share']:.0%} of all calls are refused from now on",
    "dark": lambda _: "the ledger is away",
}
"""Kind of a fault to what is told of its beginning."""
ENDS: Mapping[str, Callable[[Moment], str]] = {
    "crash": lambda moment: f"function KILLED instead of {moment.detail.get('instead_of')}",
    "throttle": lambda _: "calls are answered again",
    "dark": lambda _: "the ledger is back",
}
"""Kind of a fault to what is told of its end."""
LEAVES: Mapping[str, str] = {
    "named": "is terminated by name",
    "chosen": "is chosen by its group to end",
    "rebalanced": "has been replaced and is to end",
    "forced": "ends with its group",
    "replaced": "is to be replaced by its group",
    "deleted": "is deleted behind its group's back",
}
"""Why a node leaves to what is told of it."""
SENTENCES: Mapping[str, Callable[[Moment], str]] = {
    "instance-launched": lambda moment: f"{group(moment)} node launched",
    "node-started": lambda _: "node started",
    "node-failed": lambda moment: f"node FAILED: {dict(moment.detail)}",
    "notice-injected": lambda moment: f"the cloud says to the node: {moment.detail.get('kind', 'notice')}",
    "warning-sent": lambda _: "the cloud's warning is on its way to the responder",
    "launch-refused": lambda moment: f"{group(moment)} launch refused: {moment.detail.get('kind', '')}",
    "reclaimed": lambda _: "node reclaimed",
    "killed": lambda _: "node died, and nobody was told",
    "frozen": lambda _: "everything on the node stands still",
    "woken": lambda moment: f"the node goes on: {'the training' if moment.detail['parts'] == 'job' else 'all of it'}",
    "hostile": lambda _: "the node turns hostile",
    "terminated": lambda _: "node terminated",
    "lifecycle-wait": lambda _: "waits for its terminate hook",
    "lifecycle-completed": lambda _: "terminate hook completed",
    "leaving": lambda moment: LEAVES[moment.detail["why"]],
    "deploying": lambda moment: f"pulumi: a {moment.detail['change']} begins",
    "deployed": lambda moment: f"pulumi: the {moment.detail['change']} is through",
    "deploy-failed": lambda moment: f"pulumi: the {moment.detail['change']} FAILED: {moment.detail['error']}",
    "resource-changing": lambda m: f"pulumi: changes {', '.join(m.detail['inputs'])} of {m.detail['name']}",
    "resource-deleting": lambda moment: f"pulumi: deletes {moment.detail['name']}",
    "desired-changed": lambda moment: f"{group(moment)} nodes asked for: {moment.detail.get('desired')}",
    "announced": lambda moment: f"people are told: {moment.detail['subject']}",
    "fault-began": lambda moment: BEGINNINGS[moment.detail["kind"]](moment),
    "fault-ended": lambda moment: ENDS[moment.detail["kind"]](moment),
    "alarm": lambda moment: f"alarm {moment.detail['name']}: {moment.detail['state']}",
    "function-failed": lambda moment: f"responder FAILED: {dict(moment.detail)}",
    "local-cloud-failed": lambda moment: f"local cloud FAILED: {dict(moment.detail)}",
}
"""Name of a moment to what is told of it; other moments are not told."""


def sentence(moment: Moment) -> str | None:
    """Return what is told of a moment, ``None`` for one that is too small."""
    tell = SENTENCES.get(moment.what)
    if tell is None:
        return None
    return f"{called(moment.node)}  {tell(moment)}" if moment.node else tell(moment)
