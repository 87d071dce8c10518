"""What a reviewer is told, and how grave it is."""

from __future__ import annotations

from dataclasses import dataclass

NOTE, INTERRUPTS, DANGER = "note", "interrupts", "danger"
LEVELS = (NOTE, INTERRUPTS, DANGER)
"""Nothing happens to running jobs; nodes leave or the job restarts, in order and saved; work or records are lost."""


@dataclass(frozen=True)
class Finding:
    """One thing that a deploy does, in a sentence or two of Markdown."""

    level: str
    text: str


def code(value: object, most: int = 200) -> str:
    """Return a value as Markdown that shows it and nothing else: it may come from anybody's branch."""
    text = " ".join(str(value).split()).replace("`", "'").replace("|", "¦")
    return f"`{text if len(text) <= most else text[: most - 1] + '…'}`" if text else "(empty)"


def count(number: float, what: str) -> str:
    """Return a number of things: ``1 node``, ``2 nodes``."""
    return f"{number:g} {what}{'' if number == 1 else 's'}"
