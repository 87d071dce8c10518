"""How much memory this process may still take: what its control groups and the machine leave."""

from __future__ import annotations

from pathlib import Path
from typing import Dict, Iterator, List, Optional, Tuple

SPARE = 0.05
"""Share of what is free that staging leaves alone: a save must not be what the kernel kills a job for."""
_V1_UNLIMITED = 2**62
_PROC, _CGROUP = Path("/proc"), Path("/sys/fs/cgroup")


def available_bytes(proc: Path = _PROC, cgroup: Path = _CGROUP) -> Optional[int]:
    """Return the bytes that can still be taken, ``None`` where nothing says so.

    The least of what the machine has and what every control group above this process leaves under its limit, version 2
    or 1. Cached files count as free where the kernel drops them first (inactive ones).
    """
    left = [limit - used for limit, used in _groups(proc, cgroup)]
    machine = _fields(proc / "meminfo").get("MemAvailable:")
    if machine is not None:
        left.append(machine * 1024)
    return max(0, min(left)) if left else None


def refusal(size: int, available: Optional[int]) -> Optional[str]:
    """Return why ``size`` bytes should not be taken, ``None`` where they fit or nobody knows."""
    if available is None or size <= available * (1 - SPARE):
        return None
    return f"one copy of this rank's state takes {size / 2**20:,.0f} MiB, and {available / 2**20:,.0f} MiB can be taken"


def _groups(proc: Path, cgroup: Path) -> Iterator[Tuple[int, int]]:
    """Yield limit and use of each group that has a limit."""
    try:
        lines = (proc / "self" / "cgroup").read_text().splitlines()
    except OSError:
        return
    for line in lines:
        number, controllers, path = line.split(":", 2)
        if number == "0":
            for folder in (*_upwards(cgroup, path), *_upwards(cgroup / "unified", path)):
                yield from _limit(folder, "memory.max", "memory.current", "inactive_file")
        elif "memory" in controllers.split(","):
            for folder in _upwards(cgroup / "memory", path):
                yield from _limit(folder, "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")


def _upwards(root: Path, path: str) -> List[Path]:
    """Return the folders from a group to the root; in a container the group's own path may not be mounted."""
    folder = root / path.lstrip("/")
    return [folder, *(above for above in folder.parents if above == root or root in above.parents)]


def _limit(folder: Path, limit: str, used: str, cached: str) -> Iterator[Tuple[int, int]]:
    try:
        most = (folder / limit).read_text().strip()
        if most == "max" or int(most) >= _V1_UNLIMITED:
            return
        now = int((folder / used).read_text())
    except (OSError, ValueError):
        return
    yield int(most), max(0, now - _fields(folder / "memory.stat").get(cached, 0))


def _fields(path: Path) -> Dict[str, int]:
    try:
        rows = [line.split() for line in path.read_text().splitlines()]
    except OSError:
        return {}
    return {row[0]: int(row[1]) for row in rows if len(row) > 1 and row[1].isdigit()}
