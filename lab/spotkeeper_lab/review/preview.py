"""What ``pulumi preview --json`` prints, as far as a review needs it.

The format is Pulumi's ``display.PreviewDigest`` (``sdk/go/common/display/json.go``), which writes a resource as in a
deployment (``apitype.ResourceV3``). Secrets come as ``[secret]``, what is not known yet as a placeholder.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

UNKNOWN = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
"""What stands for a value that is not known before the deploy (``computedValuePlaceholder`` of the engine)."""

SAME, CREATE, UPDATE, REPLACE, DELETE = "same", "create", "update", "replace", "delete"
OPERATIONS: Mapping[str, str] = {
    **{name: name for name in (SAME, CREATE, UPDATE, REPLACE, DELETE)},
    "create-replacement": REPLACE,
    "delete-replaced": REPLACE,
    "read-replacement": REPLACE,
    "import-replacement": REPLACE,
    "import": CREATE,
    "read": SAME,
    "refresh": SAME,
    "discard": SAME,
    "discard-replaced": SAME,
    "remove-pending-replace": SAME,
}
"""What each operation of the engine comes to: with ``--show-replacement-steps`` a replacement is told three times."""
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")


_MOST = 1e15
"""No size, price or time is larger."""


class PreviewError(ValueError):
    """The text is not what ``pulumi preview --json`` prints."""


@dataclass(frozen=True)
class State:
    """A resource before the deploy, or after it."""

    inputs: Mapping[str, Any]
    outputs: Mapping[str, Any]
    parent: str = ""
    retained: bool = False
    """Whether it stays in the cloud when it is deleted from the stack."""


@dataclass(frozen=True)
class Step:
    """What is to happen to one resource."""

    operation: str
    """One of the values of :data:`OPERATIONS`."""
    urn: str
    before: State | None = None
    after: State | None = None
    reasons: Sequence[str] = ()
    """The inputs that make a replacement necessary."""

    @property
    def kind(self) -> str:
        """Its type, such as ``aws:s3/bucket:Bucket``."""
        return kind_of(self.urn)

    @property
    def name(self) -> str:
        """Its name in the program."""
        return name_of(self.urn)

    @property
    def parent(self) -> str:
        """URN of what it is a part of; empty for none."""
        state = self.after or self.before
        return state.parent if state else ""

    @property
    def goes(self) -> bool:
        """Whether what is there now is deleted, for good or for a replacement."""
        retained = self.before is not None and self.before.retained
        return self.operation in {DELETE, REPLACE} and not retained

    def changed(self) -> list[str]:
        """Return the names of the inputs that differ, in order; what is not known yet counts as different."""
        before, after = self.before.inputs if self.before else {}, self.after.inputs if self.after else {}
        return sorted(
            name for name in {*before, *after} if not name.startswith("__") and before.get(name) != after.get(name)
        )


@dataclass(frozen=True)
class Preview:
    """What a deploy would do."""

    stack: str = ""
    """``project/stack``; empty where no step says it."""
    steps: Sequence[Step] = ()
    """One for each resource, by URN."""
    problems: Sequence[str] = ()
    """Why the preview failed; empty if it did not."""
    warnings: Sequence[str] = ()
    """What Pulumi, a provider or a component warns of."""


def kind_of(urn: str) -> str:
    """Return a resource's type, without those of what it is a part of."""
    return urn.split("::")[2].rpartition("$")[2] if urn.count("::") >= 3 else ""


def name_of(urn: str) -> str:
    """Return a resource's name in the program."""
    return "::".join(urn.split("::")[3:])


def read_preview(text: str, *, failed: bool = False) -> Preview:
    """Read what ``pulumi preview --json`` has printed.

    Args:
        text: all of it.
        failed: whether it has failed, as its exit code says; the text alone does not always.

    Raises:
        PreviewError: It is something else, or of a kind that is not known here; the message says what and where.
    """
    try:
        document = json.loads(text or "{}")
    except ValueError as error:
        hint = " (streamed events are no preview: unset PULUMI_ENABLE_STREAMING_JSON_PREVIEW)"
        raise PreviewError(f"the preview: was no JSON document: {error}{hint}") from None
    if not isinstance(document, dict) or "sequence" in document:
        raise PreviewError("the preview: was other JSON, expected the document that `pulumi preview --json` prints")
    told = _list(document, "steps")
    steps: dict[str, Step] = {}
    for number, each in enumerate(told):
        step = _step(each, f"steps[{number}]")
        steps[step.urn] = _merged(steps.get(step.urn), step)
    diagnostics = _list(document, "diagnostics")
    # What a program writes to stderr is ``info#err``, whether it failed or not.
    problems = _messages(diagnostics, ("error", "info#err") if failed else ("error",))
    if not problems and (failed or not steps):
        problems = ["Its output says why; what it has printed as JSON does not."]
    parts = next(iter(steps), "").split("::")
    ordered = sorted(steps.values(), key=lambda step: step.urn)  # Pulumi tells them as they come
    stack = f"{parts[1]}/{parts[0].rpartition(':')[2]}" if len(parts) > 1 else ""
    return Preview(stack, tuple(ordered), tuple(problems), tuple(_messages(diagnostics, ("warning",))))


def known(value: Any) -> Any:
    """Return a value, or ``None`` if it is not known yet or secret."""
    return None if value in (UNKNOWN, "[secret]") else value


def number(value: Any) -> float | None:
    """Return a value that is a number, or ``None``: what a program registers may be anything."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return value if -_MOST <= value <= _MOST else None


def _list(document: Mapping[str, Any], name: str) -> list[Any]:
    value = document.get(name) or []
    if not isinstance(value, list):
        raise PreviewError(f"{name}: was {type(value).__name__}, expected a list")
    return value


def _step(raw: Any, path: str) -> Step:
    if not isinstance(raw, dict) or not isinstance(raw.get("urn"), str) or raw["urn"].count("::") < 3:
        raise PreviewError(f"{path}: was {raw!r:.80}, expected an object with op and urn")
    if raw.get("op") not in OPERATIONS:
        raise PreviewError(f"{path}.op: was {raw.get('op')!r}, expected one of {', '.join(OPERATIONS)}")
    reasons = raw.get("replaceReasons") or ()
    return Step(
        operation=OPERATIONS[raw["op"]],
        urn=raw["urn"],
        before=_state(raw.get("oldState"), f"{path}.oldState"),
        after=_state(raw.get("newState"), f"{path}.newState"),
        reasons=tuple(str(reason) for reason in reasons),
    )


def _state(raw: Any, path: str) -> State | None:
    if raw is None:
        return None
    inputs, outputs = (raw.get(name) or {} for name in ("inputs", "outputs")) if isinstance(raw, dict) else (None, None)
    if not isinstance(inputs, dict) or not isinstance(outputs, dict):
        raise PreviewError(f"{path}: was {raw!r:.80}, expected a resource with inputs and outputs")
    return State(inputs, outputs, str(raw.get("parent") or ""), bool(raw.get("retainOnDelete")))


def _merged(first: Step | None, second: Step) -> Step:
    """One step of several about the same resource: a replacement, with the state of before and the one after it."""
    if first is None:
        return second
    both = {first.operation, second.operation}
    operation = REPLACE if both & {REPLACE} or both == {CREATE, DELETE} else second.operation
    return Step(
        operation,
        first.urn,
        first.before or second.before,
        second.after or first.after,
        first.reasons or second.reasons,
    )


def _messages(told: Sequence[Any], severities: Collection[str]) -> list[str]:
    """Return the diagnostics of these severities, each once."""
    found: dict[str, None] = {}
    for each in told:
        if isinstance(each, dict) and each.get("severity") in severities:
            message = _COLOURS.sub("", f"{each.get('prefix') or ''}{each.get('message') or ''}").strip()
            if message:
                found[message] = None
    return list(found)
