"""What adapters do without their frameworks, and with folders that these have written."""

from __future__ import annotations

import importlib
import json
import struct
import sys
import zipfile
from pathlib import Path

import pytest

from spotkeeper_training.adapters import folders


@pytest.mark.parametrize(
    ("module", "package", "extra"),
    [
        ("torch", "torch", "torch"),
        ("torch_data", "torch", "torch"),
        ("dcp", "torch", "torch"),
        ("random_states", "torch", "torch"),
        ("lightning", "torch", "torch"),
        ("hugging_face", "transformers", "huggingface"),
    ],
)
def test_a_missing_framework_is_named_with_the_extra_that_brings_it(
    module: str, package: str, extra: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    for name in [name for name in sys.modules if name.startswith("spotkeeper_training.adapters.")]:
        monkeypatch.delitem(sys.modules, name)
    with pytest.raises(ModuleNotFoundError, match=rf"{package}: is not installed.*spotkeeper\[{extra}\]"):
        importlib.import_module(f"spotkeeper_training.adapters.{module}")


def checkpoint(output_dir: Path, step: int) -> Path:
    """A whole checkpoint as transformers writes it."""
    folder = output_dir / f"checkpoint-{step}"
    folder.mkdir(parents=True)
    header = json.dumps({"w": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}).encode()
    (folder / "model.safetensors").write_bytes(struct.pack("<Q", len(header)) + header + b"12345678")
    with zipfile.ZipFile(folder / "optimizer.pt", "w") as archive:
        archive.writestr("data.pkl", b"x" * 100)
    (folder / "trainer_state.json").write_text(json.dumps({"global_step": step}))
    return folder


def test_the_newest_whole_checkpoint_is_adopted(tmp_path: Path) -> None:
    assert folders.newest_whole(tmp_path) is None
    assert folders.newest_whole(tmp_path / "not there") is None
    ninth, tenth = checkpoint(tmp_path, 9), checkpoint(tmp_path, 10)
    (tmp_path / "checkpoint-best").mkdir()
    assert folders.newest_whole(tmp_path) == tenth
    (tenth / "trainer_state.json").unlink()
    assert folders.newest_whole(tmp_path) == ninth


@pytest.mark.parametrize("file", ["model.safetensors", "optimizer.pt", "trainer_state.json"])
@pytest.mark.parametrize("kept", [0, 7, 0.5, -1])
def test_a_file_that_is_cut_off_is_found(tmp_path: Path, file: str, kept: float) -> None:
    path = checkpoint(tmp_path, 3) / file
    body = path.read_bytes()
    path.write_bytes(body[: int(len(body) * kept)] if 0 < kept < 1 else body[: int(kept)])
    assert folders.newest_whole(tmp_path) is None


def test_a_shard_that_the_index_names_must_be_there(tmp_path: Path) -> None:
    folder = checkpoint(tmp_path, 3)
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"w": "model-00001.safetensors"}}))
    assert folders.newest_whole(tmp_path) is None


def test_a_checkpoint_of_another_step_under_this_name_is_none(tmp_path: Path) -> None:
    (checkpoint(tmp_path, 3) / "trainer_state.json").write_text('{"global_step": 4}')
    assert folders.newest_whole(tmp_path) is None


def test_a_folder_comes_back_from_its_parts(tmp_path: Path) -> None:
    folder = checkpoint(tmp_path / "here", 3)
    (folder / "deep" / "er").mkdir(parents=True)
    (folder / "deep" / "er" / "empty").touch()
    (folder / "rng_state_1.pth").write_bytes(b"1")
    first = folders.to_parts(folder, lambda path: path.name != "rng_state_1.pth")
    second = folders.to_parts(folder, lambda path: path.name == "rng_state_1.pth")
    there = tmp_path / "there"
    there.mkdir()
    (there / "left.over").touch()
    folders.write(there, {0: first, 1: second})

    def files(root: Path) -> dict[str, bytes]:
        return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}

    assert files(there) == files(folder)
    assert [path.name for path in tmp_path.iterdir()] in (["here", "there"], ["there", "here"])


@pytest.mark.parametrize("name", ["../out", "/tmp/out"])
def test_no_name_leads_out_of_the_folder(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match="expected a path inside the folder"):
        folders.write(tmp_path / "folder", {0: {"files.json": json.dumps({"file-0": name}).encode(), "file-0": b"x"}})
