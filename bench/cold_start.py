"""How much the function's own code adds to a cold start, against a bare boto3 handler with the same clients.

Every sample is a new process that times itself from its first line to the moment when it could take an event. The
archive is unpacked without
bytecode, as Lambda has it; boto3 has its own, as in Lambda's runtime. Both are sampled in turn, so that the machine's
moods fall on both alike.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from spotkeeper.archives import function_sources

BARE = "import boto3\nfor name in ('autoscaling', 'ssm'):\n    boto3.client(name)\n"
OURS = """
from spotkeeper_ledger import open_board
from spotkeeper_responder.aws import handler
open_board("s3://spotkeeper-bench")
clients = handler._clients()
clients.autoscaling, clients.ssm
"""
TIMED = """
import sys, time
started = time.perf_counter()
sys.dont_write_bytecode = True
{}
print(time.perf_counter() - started)
"""


def main() -> None:
    options = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    options.add_argument("--samples", type=int, default=11, help="processes of each kind (default %(default)s)")
    options.add_argument("--json", type=Path, help="where to write the figures")
    asked = options.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        for name, text in function_sources().items():
            path = Path(folder, name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        pairs = [(seconds(BARE, folder), seconds(OURS, folder)) for _ in range(asked.samples + 1)][1:]
    bare, ours = (statistics.median(column) for column in zip(*pairs, strict=True))
    ratio = statistics.median(mine / theirs for theirs, mine in pairs)
    print(f"cold start, median of {asked.samples}: bare boto3 {bare:.3f} s, responder {ours:.3f} s, ratio {ratio:.2f}")
    if asked.json:
        asked.json.write_text(
            json.dumps({"bare_s": bare, "responder_s": ours, "ratio": ratio, "samples": asked.samples})
        )


def seconds(program: str, folder: str) -> float:
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("AWS_")},
        "PYTHONPATH": folder,
        "AWS_REGION": "us-east-1",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "bench",
        "AWS_SECRET_ACCESS_KEY": "bench",
    }
    done = subprocess.run(
        [sys.executable, "-c", TIMED.format(program)], env=environment, check=True, capture_output=True
    )
    return float(done.stdout)


if __name__ == "__main__":
    main()
