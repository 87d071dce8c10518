"""Uploading one checkpoint, against boto3's parallel multipart upload of the same bytes, into a bucket that discards.

The two take turns. The store's part takes its checksums and returns what a manifest needs; boto3 takes the checksums
that it takes by default. Neither writes a manifest: that is one small request more for the store.
"""

from __future__ import annotations

import io
import os
import time

import boto3
import sink
import support
from boto3.s3.transfer import TransferConfig

from spotkeeper_training import sums
from spotkeeper_training.objects import Objects
from spotkeeper_training.open_bulk import open_bulk
from spotkeeper_training.places import open_documents

BUCKET = "bench"
SIZES = (64, 256, 1024)


def main() -> None:
    options = support.parser(__doc__)
    options.add_argument("--repetitions", type=int, default=7, help="of each size (default %(default)s)")
    asked = options.parse_args()
    rows = []
    with sink.Sink() as bucket:
        os.environ.update(
            AWS_ENDPOINT_URL=bucket.endpoint, AWS_ACCESS_KEY_ID="bench", AWS_SECRET_ACCESS_KEY="bench", AWS_REGION="x"
        )
        client = boto3.client("s3", region_name="us-east-1")
        objects = Objects(
            open_documents(f"s3://{BUCKET}", seconds=10.0), open_bulk(f"s3://{BUCKET}", seconds=300.0), 300.0
        )
        for size in SIZES:
            body = os.urandom(1 << 20) * size
            times: dict[str, list[float]] = {"store": [], "boto3": []}
            for number in range(asked.repetitions + 1):
                for name in times if number % 2 else reversed(times):
                    began = time.monotonic()
                    if name == "store":
                        objects.write_parts(f"parts/{number}", 0, {"weights": memoryview(body)})
                    else:
                        client.upload_fileobj(io.BytesIO(body), BUCKET, "weights", Config=TransferConfig())
                    if number:  # the first of each opens connections
                        times[name].append(time.monotonic() - began)
                    if bucket.taken() < len(body):
                        raise RuntimeError(f"{name}: fewer bytes arrived than were sent")
            seconds = {name: support.median(values) for name, values in times.items()}
            rows.append(
                {
                    "megabytes": size,
                    "store_s": seconds["store"],
                    "boto3_s": seconds["boto3"],
                    "store_mb_per_s": size / seconds["store"],
                    "times_boto3": seconds["boto3"] / seconds["store"],
                    "sum": sums.best(len(body)),
                    "repetitions": asked.repetitions,
                }
            )
    support.deliver("upload", rows, asked.json)


if __name__ == "__main__":
    main()
