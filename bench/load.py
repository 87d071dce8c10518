"""Loading one checkpoint with every byte verified as it arrives, against the same load without that.

From a local disk, where the files are in the page cache and so as fast as they can be, and from a bucket on this
machine. The two take turns. Fresh memory for the parts is in both: on some virtual machines it is most of the time.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import sink
import support

from spotkeeper_ledger.checkpoints import Manifest, Part
from spotkeeper_training import sums
from spotkeeper_training.objects import Objects
from spotkeeper_training.open_bulk import open_bulk
from spotkeeper_training.pieces import PIECE_BYTES
from spotkeeper_training.places import open_documents

SIZES = (64, 256)


class Unverified(Objects):
    """The same reader, that believes whatever arrives."""

    def _read(self, part: Part, into: memoryview) -> None:
        self._bulk.download(part.key, into, lambda _begin, _end: None, seconds=self._seconds)


def opened(kind: type[Objects], uri: str) -> Objects:
    return kind(open_documents(uri, seconds=10.0), open_bulk(uri, seconds=300.0), 300.0)


def from_disk(size: int, repetitions: int) -> dict[str, object]:
    with tempfile.TemporaryDirectory() as folder:
        uri = Path(folder).as_uri()
        body = os.urandom(1 << 20) * size
        parts = opened(Objects, uri).write_parts("parts/bench", 0, {"weights": memoryview(body)})
        del body
        return {"from": "disk", **compared(uri, size, parts, repetitions)}


def from_bucket(size: int, repetitions: int) -> dict[str, object]:
    with sink.Sink(PIECE_BYTES) as bucket:
        os.environ.update(
            AWS_ENDPOINT_URL=bucket.endpoint, AWS_ACCESS_KEY_ID="bench", AWS_SECRET_ACCESS_KEY="bench", AWS_REGION="x"
        )
        kind = sums.best(size << 20)
        value = sums.of(kind, [memoryview(bytes(PIECE_BYTES))])
        crc32, crc32c = (value, None) if kind == sums.CRC32 else (None, value)
        parts = [
            Part("weights", f"parts/{piece}", PIECE_BYTES, crc32, crc32c, piece=piece)
            for piece in range((size << 20) // PIECE_BYTES)
        ]
        return {"from": "bucket", **compared("s3://bench", size, parts, repetitions)}


def compared(uri: str, size: int, parts: Sequence[Part], repetitions: int) -> dict[str, object]:
    manifest = Manifest(1, 1, 0.0, tuple(parts))
    readers = {"verified": opened(Objects, uri), "unverified": opened(Unverified, uri)}
    times: dict[str, list[float]] = {name: [] for name in readers}
    for number in range(repetitions + 1):
        for name in times if number % 2 else reversed(times):
            took = timed(lambda reader=readers[name]: reader.read(manifest))  # type: ignore[misc]
            if number:  # the first of each opens connections and fills the cache
                times[name].append(took)
    seconds = {name: support.median(values) for name, values in times.items()}
    return {
        "megabytes": size,
        "verified_s": seconds["verified"],
        "unverified_s": seconds["unverified"],
        "verified_mb_per_s": size / seconds["verified"],
        "of_unverified": seconds["unverified"] / seconds["verified"],
        "sum": "crc32" if parts[0].crc32 is not None else "crc32c",
        "repetitions": repetitions,
    }


def timed(work: Callable[[], object]) -> float:
    began = time.monotonic()
    work()
    return time.monotonic() - began


def main() -> None:
    options = support.parser(__doc__)
    options.add_argument("--repetitions", type=int, default=9, help="of each (default %(default)s)")
    asked = options.parse_args()
    rows = [one(size, asked.repetitions) for one in (from_disk, from_bucket) for size in SIZES]
    support.deliver("load", rows, asked.json)


if __name__ == "__main__":
    main()
