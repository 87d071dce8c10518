from pathlib import Path

import pytest

from spotkeeper_ledger import open_board
from spotkeeper_ledger.folder import FolderBoard
from spotkeeper_ledger.gcs import GcsBoard
from spotkeeper_ledger.s3 import S3Board


def test_the_scheme_chooses(tmp_path: Path) -> None:
    assert isinstance(open_board(tmp_path.as_uri()), FolderBoard)
    assert isinstance(open_board("s3://bucket/some/prefix/", region="eu-west-1"), S3Board)
    assert isinstance(open_board("gs://bucket/some/prefix"), GcsBoard)


def test_a_folder_with_a_space_in_its_name(tmp_path: Path) -> None:
    board = open_board((tmp_path / "my job").as_uri())
    board.write("k", b"1", expect=None)
    assert (tmp_path / "my job" / "k").read_bytes() == b"1"


@pytest.mark.parametrize(
    "uri", ["", "bucket", "s3://", "s3:///key", "gs://", "file://host/x", "file:relative", "https://x/y"]
)
def test_anything_else_is_refused_by_name(uri: str) -> None:
    with pytest.raises(ValueError, match="uri: was"):
        open_board(uri)
