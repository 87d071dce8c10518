"""The clouds that a rehearsal can be played on, each with a stage of its own."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # a local cloud takes seconds to import
    from spotkeeper_lab.durations import Durations
    from spotkeeper_lab.local import EventLog
    from spotkeeper_lab.stages.stage import Stage

CLOUDS = ("aws", "gcp")
"""Names of the clouds, as users write them."""
_NEEDS = {"aws": ("lab", ("moto", "pulumi_aws")), "gcp": ("gcp-lab", ("functions_framework", "pulumi_gcp"))}
"""Cloud to the extra that its rehearsals need, and packages that tell whether it is installed."""


def missing(cloud: str) -> str:
    """Return what has to be installed before a cloud can be played on, in words; empty if all is there."""
    extra, packages = _NEEDS[cloud]
    absent = [package for package in packages if importlib.util.find_spec(package) is None]
    return f"{', '.join(absent)} is not installed, expected 'spotkeeper[{extra}]'" if absent else ""


def open_stage(cloud: str, work_dir: Path, durations: Durations, events: EventLog) -> Stage:
    """Open a local cloud; closing it is up to the caller.

    Args:
        cloud: one of :data:`CLOUDS`.
        work_dir: a folder of the cloud's own.
        durations: of the rehearsal.
        events: where what happens is written down.

    Raises:
        ValueError: There is no such cloud.
    """
    if cloud == "aws":
        from spotkeeper_lab.stages.aws import AwsStage  # noqa: PLC0415 - only the one that is played on

        return AwsStage.open(work_dir, durations, events)
    if cloud == "gcp":
        from spotkeeper_lab.stages.gcp import GcpStage  # noqa: PLC0415 - as above

        return GcpStage.open(work_dir, durations, events)
    raise ValueError(f"cloud: was {cloud!r}, expected one of {', '.join(CLOUDS)}")
