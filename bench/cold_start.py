"""How much the function's own code adds to a cold start, against a bare boto3 handler with the same clients.

Every sample is a new process that times itself from its first line to the moment when it could take an event. boto3 has
its bytecode, as in Lambda's runtime; the archive is unpacked without, as Lambda has it, and once more with its own, to
show what that costs. The kinds are sampled in turn, so that the machine's moods fall on all alike; ratios are those of
samples taken one after the other. Processor time is given beside the time that passed: it hardly feels the neighbours.
"""

from __future__ import annotations

import compileall
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import support

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
began, used = time.perf_counter(), time.process_time()
sys.dont_write_bytecode = True
{}
print(f"[{{time.perf_counter() - began}}, {{time.process_time() - used}}]")
"""


def main() -> None:
    options = support.parser(__doc__)
    options.add_argument("--samples", type=int, default=15, help="processes of each kind (default %(default)s)")
    asked = options.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        plain, compiled = Path(folder, "plain"), Path(folder, "compiled")
        for name, text in function_sources("aws").items():
            for root in (plain, compiled):
                path = root / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text)
        compileall.compile_dir(compiled, quiet=1)
        kinds = {
            "bare boto3": (BARE, plain),
            "responder": (OURS, plain),
            "responder with bytecode": (OURS, compiled),
        }
        rounds = [{kind: sample(*what) for kind, what in kinds.items()} for _ in range(asked.samples + 1)][1:]
    rows = [
        {
            "kind": kind,
            "seconds": support.median(each[kind][0] for each in rounds),
            "ratio": support.median(each[kind][0] / each["bare boto3"][0] for each in rounds),
            "cpu_s": support.median(each[kind][1] for each in rounds),
            "cpu_ratio": support.median(each[kind][1] / each["bare boto3"][1] for each in rounds),
            "samples": asked.samples,
        }
        for kind in kinds
    ]
    support.deliver("cold start", rows, asked.json)


def sample(program: str, folder: Path) -> tuple[float, float]:
    """Return how long a new process took for ``program``: in all, and of a processor's time."""
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("AWS_")},
        "PYTHONPATH": str(folder),
        "AWS_REGION": support.REGION,
        "AWS_DEFAULT_REGION": support.REGION,
        "AWS_ACCESS_KEY_ID": "bench",
        "AWS_SECRET_ACCESS_KEY": "bench",
    }
    done = subprocess.run(
        [sys.executable, "-c", TIMED.format(program)], env=environment, check=True, capture_output=True
    )
    seconds, used = json.loads(done.stdout)
    return seconds, used


if __name__ == "__main__":
    main()
