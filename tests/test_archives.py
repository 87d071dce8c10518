"""The code that is shipped: all of it, nothing else, and the same bytes everywhere."""

from __future__ import annotations

import hashlib
import io
import subprocess
import sys
import zipfile
from pathlib import Path

import pulumi
import pytest

from spotkeeper import archives

ROOT = Path(__file__).parents[1]
LISTS = {
    "LEDGER_FILES": (archives.LEDGER_FILES, ROOT / "ledger/spotkeeper_ledger"),
    "AGENT_FILES": (archives.AGENT_FILES, ROOT / "instance/spotkeeper_agent"),
    "RESPONDER_FILES": (archives.RESPONDER_FILES, ROOT / "lambdas/spotkeeper_responder"),
}


def zipped(files: dict[str, str]) -> bytes:
    """Zip text files as a deployment does."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return buffer.getvalue()


@pytest.mark.parametrize("constant", LISTS)
def test_the_lists_are_the_folders(constant: str) -> None:
    listed, folder = LISTS[constant]
    found = tuple(sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.py")))
    written = "".join(f'    "{name}",\n' for name in found)
    assert listed == found, f"put this into components/spotkeeper/archives.py:\n\n{constant} = (\n{written})\n"


CLOUDS = {"aws": "gcp", "gcp": "aws"}


@pytest.mark.parametrize("cloud", CLOUDS)
def test_the_function_is_small_and_holds_nothing_of_the_other_cloud(cloud: str) -> None:
    sources = archives.function_sources(cloud)
    assert len(zipped(dict(sources))) < 100_000
    assert f"spotkeeper_responder/{cloud}/handler.py" in sources
    assert not [name for name in sources if name.startswith(f"spotkeeper_responder/{CLOUDS[cloud]}/")]
    boards = {name for name in ("s3", "gcs", "folder") if f"spotkeeper_ledger/{name}.py" in sources}
    assert boards == {"aws": {"s3"}, "gcp": {"gcs"}}[cloud]


def test_what_the_function_leaves_out_is_there_to_be_left_out() -> None:
    assert {name for names in archives.NOT_IN_FUNCTION.values() for name in names} < set(archives.LEDGER_FILES)


@pytest.mark.parametrize("cloud", CLOUDS)
def test_all_that_the_function_has_can_be_imported_without_the_rest(cloud: str, tmp_path: Path) -> None:
    for name, text in archives.function_sources(cloud).items():
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    modules = sorted(
        ".".join(path.relative_to(tmp_path).with_suffix("").parts).removesuffix(".__init__")
        for path in tmp_path.rglob("spotkeeper_*/**/*.py")
    )
    program = f"import sys; sys.path.insert(0, {str(tmp_path)!r})\nfor name in {modules!r}: __import__(name)"
    program += "\nassert sys.modules['spotkeeper_ledger'].__file__.startswith(sys.path[0])"
    subprocess.run([sys.executable, "-P", "-c", program], check=True, timeout=60)


@pytest.mark.parametrize("cloud", CLOUDS)
def test_the_function_is_text_by_name_and_no_path(cloud: str) -> None:
    archive = archives.function_archive(cloud)
    sources = archives.function_sources(cloud)
    assert set(archive.assets) == set(sources)
    besides = {"main.py", "requirements.txt"} if cloud == "gcp" else set()
    assert {name.split("/")[0] for name in sources} == {"spotkeeper_ledger", "spotkeeper_responder"} | besides
    for name, asset in archive.assets.items():
        assert isinstance(asset, pulumi.StringAsset)
        assert asset.text == sources[name]


def test_line_ends_of_a_checkout_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    unix = archives.agent_archive().sha256
    read_text = Path.read_text
    monkeypatch.setattr(Path, "read_text", lambda self, *args: read_text(self, *args).replace("\n", "\r\n"))
    assert "\r\n" in (ROOT / "ledger/spotkeeper_ledger/keys.py").read_text("utf-8")
    assert archives.agent_archive().sha256 == unix


def test_the_agent_is_always_the_same_bytes() -> None:
    first, second = archives.agent_archive(), archives.agent_archive()
    assert first == second
    assert first.sha256 == hashlib.sha256(first.body).hexdigest()
    assert first.key == f"agent/{first.sha256}.pyz"
    with zipfile.ZipFile(io.BytesIO(first.body)) as archive:
        entries = archive.infolist()
    assert [entry.filename for entry in entries] == sorted(entry.filename for entry in entries)
    assert {entry.date_time for entry in entries} == {(1980, 1, 1, 0, 0, 0)}
    assert {entry.compress_type for entry in entries} == {zipfile.ZIP_STORED}
    assert {entry.external_attr for entry in entries} == {0o644 << 16}


def test_the_agent_runs_from_its_archive_alone(tmp_path: Path) -> None:
    path = tmp_path / "agent.pyz"
    path.write_bytes(archives.agent_archive().body)
    command = [sys.executable, "-I", "-S", str(path)]  # no installed packages: nothing but the archive
    asked = subprocess.run([*command, "--help"], capture_output=True, text=True, check=True)
    assert "notice" in asked.stdout
    told = subprocess.run([*command, "run", "--config", "/nowhere.json"], capture_output=True, text=True, check=False)
    assert told.returncode != 0
    assert "/nowhere.json" in told.stderr + told.stdout
