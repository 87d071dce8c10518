"""The one error that a wrong input raises."""

from typing import Any

import pulumi

_SHOWN = 160


class InputError(pulumi.RunError):
    """An input of a component cannot be used; the message names it, what it was and what is expected.

    It is a :class:`pulumi.RunError`, so that ``pulumi up`` prints the message and no stack trace; no ``ValueError``,
    because Pulumi buries one that comes out of an output in one of its own, which is printed otherwise.
    """

    def __init__(self, name: str, was: Any, expected: str, *, note: str = "") -> None:
        shown = repr(was)
        if len(shown) > _SHOWN:
            shown = shown[: _SHOWN - 1] + "…"
        super().__init__(f"{name}: was {shown}{note}, expected {expected}")
        self.input = name
        """Name of the input, such as ``nodes`` or ``timings.hook_seconds``."""
        self.was, self.expected, self.note = was, expected, note

    def renamed(self, name: str) -> "InputError":
        """Return the same error for whoever knows the input under another name."""
        return InputError(name, self.was, self.expected, note=self.note)
