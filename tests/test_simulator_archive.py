from __future__ import annotations

import io
import json
import tarfile

import numpy as np
import pytest

from simulator_support import needs_traces
from spotkeeper_lab.simulator import Windows, named
from spotkeeper_lab.simulator.traces import TraceError, read_archive

A, B = "real/us-east-1a_v100_1", "real/us-east-1b_v100_1"


def member(*data, start=None, **more):
    return {"metadata": {"gap_seconds": 600, **({"start_time": start} if start else {})}, "data": list(data), **more}


@pytest.fixture
def pack(tmp_path):
    def packed(members):
        path = tmp_path / "windows.tar.gz"
        with tarfile.open(path, "w:gz") as archive:
            for name, content in members.items():
                raw = content if isinstance(content, bytes) else json.dumps(content).encode()
                info = tarfile.TarInfo(name)
                info.size = len(raw)
                archive.addfile(info, io.BytesIO(raw))
        return path

    return packed


def read(path, together=True, **options):
    prices = {"spot_price": 1.0, "on_demand_price": 3.0}
    return read_archive(path, convention="preempted", together=together, **{**prices, **options})


def test_windows_of_the_same_number_are_pools_of_one_window_or_each_is_its_own(pack):
    path = pack(
        {
            f"{A}/traces/random_start/10.json": member(0, 1, 1),
            f"{A}/traces/random_start/2.json": member(0, 0, 1),
            f"{B}/2.json": member(1, 1, 1),
            f"{B}/10.json": member(1, 1, 0),
            f"{B}/._10.json": b"\x00\x05",
            "real/README.md": b"text",
        }
    )
    apart = read(path, together=False, room=2)
    assert apart.labels == ("us-east-1a_v100_1",) * 2 + ("us-east-1b_v100_1",) * 2
    assert [apart.counts(tick)[:, 0].tolist() for tick in range(3)] == [[2, 2, 0, 0], [2, 0, 0, 0], [0, 0, 0, 2]]
    together = read(path)
    assert together.market.pools == ("us-east-1a_v100_1", "us-east-1b_v100_1")
    assert together.counts(0).tolist() == [[1, 0], [1, 0]]


def test_only_what_is_asked_for_is_read(pack):
    path = pack({f"overhead={share}/{A}/1.json": member(int(share == "0.2")) for share in ("0.02", "0.2")})
    assert read(path, within="overhead=0.2/").counts(0).tolist() == [[0]]
    with pytest.raises(TraceError, match=r"members: missing, expected files <pool>/…/<number>.json with moon in their"):
        read(path, within="moon")
    with pytest.raises(
        TraceError, match=r"0.2/.*/1.json: is window 1 of us-east-1a_v100_1, as .*0.02/.*/1.json is; exp"
    ):
        read(path)


@pytest.mark.parametrize(
    ("members", "message"),
    [
        (
            {f"{A}/1.json": member(0), f"{B}/1.json": member(0), f"{B}/2.json": member(0)},
            "us-east-1b_v100_1: was '2 windows', expected those of us-east-1a_v100_1: 1",
        ),
        (
            {f"{A}/1.json": member(0, 0), f"{A}/2.json": member(0)},
            r"us-east-1a_v100_1/2.json: data: was '1 values', expected 2, as .*/1.json",
        ),
        (
            {f"{A}/1.json": member(0, start="noon"), f"{B}/1.json": member(0, start="night")},
            r"us-east-1b_v100_1/1.json: metadata.start_time: was 'night', expected 'noon', as .*1a_v100_1/1.json",
        ),
        (
            {f"{A}/1.json": member(0, prices=[1]), f"{A}/2.json": member(0)},
            "us-east-1a_v100_1: prices: was '1 files with prices', expected 2, or none",
        ),
        ({f"{A}/1.json": member(0, 4)}, r"/1.json: data\[1\]: was 4, expected 0 or 1 \(1: preempted\)"),
        ({f"{A}/1.json": b"\xff\xfe{"}, "/1.json: cannot be read: is not UTF-8|/1.json: line 1: not JSON"),
        ({f"{A}/1.json": b"{"}, "/1.json: line 1: not JSON"),
    ],
)
def test_an_error_names_the_member_and_the_field(pack, members, message):
    with pytest.raises(TraceError, match=rf"windows.tar.gz: .*{message}"):
        read(pack(members))


def test_prices_have_to_come_from_somewhere(pack):
    path = pack({f"{A}/1.json": member(0)})
    with pytest.raises(TraceError, match=r"prices: missing, expected prices of us-east-1a_v100_1, in a file of prices"):
        read(path, spot_price=None)


@pytest.mark.parametrize("kept", [0, 30, 0.5, 0.9])
def test_an_archive_that_is_cut_off_is_refused(pack, kept):
    noise = np.random.default_rng(0).integers(0, 2, 5000).tolist()
    path = pack({f"{A}/{number}.json": member(*noise) for number in range(20)})
    raw = path.read_bytes()
    path.write_bytes(raw[: int(kept * len(raw)) if 0 < kept < 1 else kept])
    with pytest.raises(TraceError, match=r"windows.tar.gz: cannot be read: is no tar archive, or not a whole one"):
        read(path)


def test_an_archive_that_is_not_there_is_named(tmp_path):
    with pytest.raises(TraceError, match=r"none.tar.gz: cannot be read: No such file"):
        read(tmp_path / "none.tar.gz")


@needs_traces
def test_the_windows_of_the_public_archive_are_complements_of_each_other():
    windows = named("cant-be-late")
    assert isinstance(windows, Windows)
    assert (len(windows), windows.ticks, len(set(windows.labels))) == (2400, 554, 8)
    mean = np.mean([windows.counts(tick).mean() for tick in range(0, 554, 50)])
    assert 0.5 < mean < 0.8
