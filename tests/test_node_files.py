from __future__ import annotations

from pathlib import Path

from spotkeeper_lab import node_files
from spotkeeper_ledger.run_dir import Confirmation, LocalNotice, LocalProgress, write


def test_what_nodes_know_is_found_where_there_is_anything(tmp_path: Path) -> None:
    told, saved, empty = (tmp_path / name for name in ("told", "saved", "empty"))
    for folder in (told, saved, empty):
        folder.mkdir()
    write(told, LocalNotice("i-a:leaving", "interruption", leaving=True, at=10.0))
    write(saved, LocalNotice("i-b:leaving", "interruption", leaving=True, at=11.0))
    write(saved, Confirmation(step=70, at=11.5, notice_id="i-b:leaving"))
    write(told, Confirmation(step=30, at=5.0))  # a save that no notice asked for
    run_dirs = [told, saved, empty, tmp_path / "gone"]
    assert node_files.heard(run_dirs) == {"i-a:leaving": 10.0, "i-b:leaving": 11.0}
    assert node_files.confirmed(run_dirs) == {"i-b:leaving": (11.5, 70)}


def test_what_trainings_wrote_is_found_by_node_and_how_far_they_came(tmp_path: Path) -> None:
    run_dirs = {node: tmp_path / node for node in ("i-a", "i-b", "i-gone")}
    for node in ("i-a", "i-b"):
        run_dirs[node].mkdir()
    fenced = '{"event":"start","generation":1,"resume_step":0}\n{"event":"fenced","at":9.5,"generation":1,"step":44}\n'
    (run_dirs["i-a"] / "trainer.jsonl").write_text(fenced)
    (run_dirs["i-b"] / "trainer.jsonl").write_text('{"event":"start","generation":2,"resume_step":40}\n')
    write(run_dirs["i-b"], LocalProgress(step=61, at=12.0, generation=2))
    logs = node_files.trainer_logs(run_dirs)
    assert {node: len(log) for node, log in logs.items()} == {"i-a": 2, "i-b": 1}
    assert node_files.refused_at(run_dirs) == {"i-a": 9.5}
    assert node_files.last_steps(run_dirs.values(), logs.values()) == {1: 44, 2: 61}
