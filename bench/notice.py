"""One interruption notice through the shipped function: from its event to the command that tells the node.

Every repetition is an invocation with one warning of a node that has had none, in one of many fleets, in a process that
is warm; the first one of the process is given by itself. The clock starts when the function is invoked and stops when
the cloud has taken the command. What comes before on AWS, the event's way through the queue, is not in it: the mapping
waits for at most a second for company.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import storm
import support

FLEETS = 50


def main() -> None:
    options = support.parser(__doc__)
    options.add_argument("--repetitions", type=int, default=300, help="notices (default %(default)s)")
    asked = options.parse_args()
    nodes, bucket = storm.names(max(asked.repetitions, FLEETS)), "spotkeeper-notices"
    members = storm.shared_out(nodes, FLEETS)
    with support.Cloud() as cloud, tempfile.TemporaryDirectory() as folder:
        cloud.ledger(bucket)
        for name, those in members.items():
            cloud.fleet(bucket, name, those)
        cloud.roster(bucket, members)
        function = support.responder(cloud, Path(folder, "function"), bucket)
        try:
            function.warm_up()
            waits = []
            for node in nodes:
                warning = storm.Message(0.0, node, storm.WARNING, ours=True)
                event = {"Records": [warning.record(time.time(), "0" * 36)]}
                began = time.monotonic()
                answer = function.invoke(event)
                if answer["batchItemFailures"]:
                    raise RuntimeError(f"{node}: its message has to come again, expected it to be done")
                waits.append(cloud.commands.first_at[node] - began)
            calls = sum(cloud.calls.snapshot()["responder"].values())
        finally:
            function.close()
    first, *rest = waits
    row = {
        "notices": len(nodes),
        "first_s": first,
        "p50_s": support.percentile(rest, 50),
        "p99_s": support.percentile(rest, 99),
        "most_s": max(rest),
        "calls_each": calls / len(nodes),
    }
    support.deliver("one notice", [row], asked.json)


if __name__ == "__main__":
    main()
