"""One ``labels`` input for everything: resources, and through them instances and disks."""

import re
from collections.abc import Mapping
from typing import Any

import pulumi

from spotkeeper.errors import InputError

Labels = dict[str, str]

FLEET, RESPONDER, GROUP = "spotkeeper-fleet", "spotkeeper-responder", "spotkeeper-group"
MAX_LABELS = 60
"""Google Cloud takes 64 labels; the others are ours."""
_KEY, _VALUE = re.compile(r"[a-z][a-z0-9_-]{0,62}"), re.compile(r"[a-z0-9_-]{0,63}")


def user_labels(labels: pulumi.Input[Mapping[str, pulumi.Input[str]]] | None) -> pulumi.Output[Labels]:
    """Return the ``labels`` input, checked as soon as it is known: at once, where it is written down."""
    if isinstance(labels, Mapping) and all(isinstance(value, str) for value in labels.values()):
        check_labels(labels)
    return pulumi.Output.from_input(labels or {}).apply(check_labels)


def check_labels(labels: Mapping[str, Any]) -> Labels:
    """Refuse labels that Google Cloud does not take, or that would say something else than Spotkeeper does."""
    for key, value in labels.items():
        if not _KEY.fullmatch(key) or key.startswith(("spotkeeper-", "goog")):
            expected = "a key of lower-case letters, digits, - and _ that starts with a letter, not with 'spotkeeper-'"
            raise InputError("labels", key, expected)
        if not isinstance(value, str) or not _VALUE.fullmatch(value):
            raise InputError(f"labels.{key}", value, "at most 63 lower-case letters, digits, - and _")
    if len(labels) > MAX_LABELS:
        raise InputError("labels", f"{len(labels)} labels", f"at most {MAX_LABELS}")
    return dict(labels)
