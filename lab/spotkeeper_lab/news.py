"""What happens in a rehearsal, as sentences for whoever watches. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # the local cloud takes seconds to import
    from spotkeeper_lab.local_aws import Moment

GROUPS = {"spot": "spot", "backup": "on-demand"}


def group(moment: Moment) -> str:
    """The group that a moment is about, in words."""
    return GROUPS.get(str(moment.detail.get("group", "")), "")


SENTENCES: Mapping[str, Callable[[Moment], str]] = {
    "instance-launched": lambda moment: f"{group(moment)} node launched",
    "node-started": lambda _: "node started",
    "node-failed": lambda moment: f"node FAILED: {dict(moment.detail)}",
    "notice-injected": lambda moment: f"the cloud says to the node: {moment.detail.get('kind', 'notice')}",
    "warning-sent": lambda _: "the cloud's warning is on its way to the responder",
    "launch-refused": lambda moment: f"{group(moment)} launch refused: {moment.detail.get('kind', '')}",
    "reclaimed": lambda _: "node reclaimed",
    "terminated": lambda _: "node terminated",
    "lifecycle-wait": lambda _: "waits for its terminate hook",
    "lifecycle-completed": lambda _: "terminate hook completed",
    "desired-changed": lambda moment: f"{group(moment)} nodes asked for: {moment.detail.get('desired')}",
    "function-failed": lambda moment: f"responder FAILED: {dict(moment.detail)}",
    "local-cloud-failed": lambda moment: f"local cloud FAILED: {dict(moment.detail)}",
}
"""Name of a moment to what is told of it; other moments are not told."""


def sentence(moment: Moment) -> str | None:
    """Return what is told of a moment, ``None`` for one that is too small."""
    tell = SENTENCES.get(moment.what)
    if tell is None:
        return None
    return f"{moment.node}  {tell(moment)}" if moment.node else tell(moment)
