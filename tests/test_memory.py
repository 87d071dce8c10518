from __future__ import annotations

from pathlib import Path

import pytest

from spotkeeper_training.memory import available_bytes, refusal

MIB = 2**20


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    (tmp_path / "proc" / "self").mkdir(parents=True)
    (tmp_path / "proc" / "meminfo").write_text("MemTotal: 9000 kB\nMemAvailable: 1024000 kB\nHugePages_Total: 0\n")
    return tmp_path


def group(folder: Path, limit: str, used: int, cached: int, version: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    names = ("memory.max", "memory.current") if version == 2 else ("memory.limit_in_bytes", "memory.usage_in_bytes")
    (folder / names[0]).write_text(f"{limit}\n")
    (folder / names[1]).write_text(f"{used}\n")
    (folder / "memory.stat").write_text(f"{'' if version == 2 else 'total_'}inactive_file {cached}\nanon 5\n")


def left(machine: Path) -> int | None:
    return available_bytes(machine / "proc", machine / "cgroup")


def test_without_groups_it_is_what_the_machine_has(machine: Path) -> None:
    assert left(machine) == 1000 * MIB


def test_where_nothing_says_so_nobody_knows(tmp_path: Path) -> None:
    assert left(tmp_path) is None


@pytest.mark.parametrize("version", [1, 2])
def test_the_tightest_group_above_this_process_counts(machine: Path, version: int) -> None:
    root = machine / "cgroup" / ("memory" if version == 1 else "")
    (machine / "proc/self/cgroup").write_text(
        "3:cpu:/\n4:cpuset,memory:/jobs/one\n0::/\n" if version == 1 else "0::/jobs/one\n"
    )
    group(root / "jobs", str(500 * MIB), 300 * MIB, 50 * MIB, version)
    group(root / "jobs" / "one", str(900 * MIB), 100 * MIB, 0, version)
    assert left(machine) == 250 * MIB


@pytest.mark.parametrize("version", [1, 2])
def test_in_a_container_the_group_is_at_the_root(machine: Path, version: int) -> None:
    (machine / "proc/self/cgroup").write_text("4:memory:/docker/abc\n" if version == 1 else "0::/\n")
    group(machine / "cgroup" / ("memory" if version == 1 else ""), str(80 * MIB), 20 * MIB, 5 * MIB, version)
    assert left(machine) == 65 * MIB


@pytest.mark.parametrize(("version", "limit"), [(1, str(2**63 - 4096)), (2, "max"), (2, "nonsense")])
def test_no_limit_is_none(machine: Path, version: int, limit: str) -> None:
    (machine / "proc/self/cgroup").write_text("4:memory:/\n" if version == 1 else "0::/\n")
    group(machine / "cgroup" / ("memory" if version == 1 else ""), limit, 1, 0, version)
    assert left(machine) == 1000 * MIB


def test_a_group_that_is_over_its_limit_has_nothing_left(machine: Path) -> None:
    (machine / "proc/self/cgroup").write_text("0::/\n")
    group(machine / "cgroup", str(MIB), 2 * MIB, 0, 2)
    assert left(machine) == 0


def test_here_there_is_some() -> None:
    assert (available_bytes() or 0) > MIB


def test_a_refusal_says_both_figures() -> None:
    assert refusal(100 * MIB, None) is None
    assert refusal(100 * MIB, 106 * MIB) is None
    told = refusal(100 * MIB, 104 * MIB)
    assert told is not None
    assert "100 MiB" in told
    assert "104 MiB" in told
