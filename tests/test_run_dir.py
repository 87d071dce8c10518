from pathlib import Path

import pytest

from spotkeeper_ledger import run_dir
from spotkeeper_ledger.run_dir import Confirmation, LocalNotice, LocalProgress

NOTICE = LocalNotice(notice_id="i-1:leaving", kind="interruption", leaving=True, at=1.0, deadline=121.0)


@pytest.mark.parametrize("document", [NOTICE, Confirmation(step=3, at=2.0), LocalProgress(step=3, at=2.0, total=10)])
def test_what_one_side_writes_the_other_reads(tmp_path: Path, document: object) -> None:
    assert run_dir.read(tmp_path, type(document)) is None
    run_dir.write(tmp_path, document)
    assert run_dir.read(tmp_path, type(document)) == document
    run_dir.remove(tmp_path, type(document))
    run_dir.remove(tmp_path, type(document))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b'{"kind": 3}'])
def test_a_damaged_file_counts_as_none(tmp_path: Path, damage: bytes) -> None:
    (tmp_path / "notice.json").write_bytes(damage)
    assert run_dir.read(tmp_path, LocalNotice) is None


def test_boot_time_goes_forward_and_the_boot_has_one_id() -> None:
    assert run_dir.boot_time() <= run_dir.boot_time()
    assert run_dir.boot_id() == run_dir.boot_id()
