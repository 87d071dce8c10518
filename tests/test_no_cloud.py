"""What decides, and what is written down, is the same on every cloud: no cloud is named there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
NEUTRAL = [
    *(
        ROOT / "lambdas/spotkeeper_responder" / f"{name}.py"
        for name in ("deadline", "fallback", "plans", "policies", "reconcile", "respond", "sizes")
    ),
    *sorted((ROOT / "ledger/spotkeeper_ledger/documents").glob("*.py")),
]
CLOUDS = re.compile(r"\b(aws|amazon|ec2|gcp|gce|google|azure)\b", re.IGNORECASE)


@pytest.mark.parametrize("file", NEUTRAL, ids=lambda file: file.relative_to(ROOT).as_posix())
def test_no_cloud_is_named(file: Path) -> None:
    assert CLOUDS.findall(file.read_text("utf-8")) == []
