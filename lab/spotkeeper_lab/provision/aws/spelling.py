"""From Pulumi's names to boto3's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

SPELLING = {
    "id": "ID",
    "vcpuCount": "VCpuCount",
    "memoryMib": "MemoryMiB",
    "acceleratorTotalMemoryMib": "AcceleratorTotalMemoryMiB",
    "sseAlgorithm": "SSEAlgorithm",
    "okActions": "OKActions",
}
"""Names that do not follow from Pulumi's by a capital first letter."""


def pascal(value: Any) -> Any:
    """Return nested inputs with the names that boto3 uses."""
    if isinstance(value, Mapping):
        return {
            SPELLING.get(key, key[:1].upper() + key[1:]): pascal(item)
            for key, item in value.items()
            if item is not None
        }
    if isinstance(value, list):
        return [pascal(item) for item in value]
    return value


def tag_list(tags: Mapping[str, str] | None) -> list[dict[str, str]]:
    """Return tags as the list of keys and values that most services take."""
    return [{"Key": key, "Value": value} for key, value in sorted((tags or {}).items())]
