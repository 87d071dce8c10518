"""A hostile node: writes what it should not into its fleet's ledger, with its own credentials and nothing else.

    python -m spotkeeper_lab.forger --count 150 --seed 1

Runs on a node of the local cloud, beside the agent, which goes on with its work. What it tried and how it was answered
goes into ``forger.jsonl`` in the run directory. It does not attack what it cannot address: the queue, the function, the
groups, other nodes' processes; and it leaves its own fleet's checkpoints alone, which any node of the fleet may write.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from spotkeeper_lab import forgeries
from spotkeeper_lab.forgeries import Forger, Forgery
from spotkeeper_ledger import ANY, Board, Denied, keys, open_board
from spotkeeper_ledger.gce import MetadataServer, node_name
from spotkeeper_ledger.imds import InstanceMetadata

JOURNAL = "forger.jsonl"
"""Name of the file in a node's run directory."""
WRITTEN, REFUSED = "written", "refused"
PAUSE_SECONDS = 0.02


def knowledge(board: Board, config: Mapping[str, Any], node: str) -> Forger:
    """Return what the node finds out by reading its own configuration and its fleet's ledger.

    Raises:
        LookupError: The fleet has no other node that has reported.
    """
    own = keys.nodes(config["fleet"]) + config["node_prefix"]
    reports = {entry.key: entry for entry in board.list(own) if entry.key.endswith("/report.json")}
    for key in reports:
        victim, stored = key.removeprefix(own).removesuffix("/report.json"), board.read(key)
        if victim != node and stored is not None:
            return Forger(
                fleet=config["fleet"],
                incarnation=config["incarnation"],
                prefix=config["node_prefix"],
                node=node,
                victim=victim,
                report_of_victim=stored.body,
                at=time.time(),
                own_folder_only=config["cloud"] != "gcp",
            )
    raise LookupError(f"{own}: no report of another node than {node}, expected a victim")


def own_name(cloud: str) -> str:
    """Return the name of the node that this is, as its cloud's metadata says it."""
    if cloud != "gcp":
        return str(InstanceMetadata().get("instance-id"))
    server = MetadataServer()
    name, number = (server.read(f"instance/{path}") for path in ("name", "id"))
    return node_name(name.text if name else "", number.text if number else "")


def attempt(board: Board, forgery: Forgery) -> str:
    """Write a forgery; return :data:`WRITTEN` or, where the cloud did not let that be done, :data:`REFUSED`."""
    try:
        board.write(forgery.key, forgery.body, expect=ANY)
    except Denied:
        return REFUSED
    return WRITTEN


def count(lines: Iterable[str]) -> tuple[dict[str, dict[str, int]], bool]:
    """Return how many forgeries of each sort were written and refused, from a journal, and whether it is complete."""
    events = [json.loads(line) for line in lines if line.endswith("\n")]
    counted = Counter((event["sort"], event["outcome"]) for event in events if "sort" in event)
    sorts = dict.fromkeys(sort for sort, _ in counted)
    totals = {sort: {each: counted[sort, each] for each in (WRITTEN, REFUSED)} for sort in sorts}
    return totals, any("end" in event for event in events)


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the forgeries; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m spotkeeper_lab.forger", description=__doc__)
    parser.add_argument("--count", type=int, required=True)
    parser.add_argument("--seed", type=int, required=True)
    options = parser.parse_args(arguments)
    root = Path(os.environ["SPOTKEEPER_ROOT"])
    config = json.loads((root / "etc/spotkeeper/agent.json").read_text())
    board = open_board(config["ledger"], region=config["region"], timeout=20.0)
    forger = knowledge(board, config, own_name(config["cloud"]))
    with (Path(config["run_dir"]) / JOURNAL).open("a", buffering=1) as journal:
        for forgery in forgeries.forgeries(forger, options.count, options.seed):
            outcome = attempt(board, forgery)
            entry = {"at": time.time(), "sort": forgery.sort, "what": forgery.what, "outcome": outcome}
            journal.write(json.dumps(entry) + "\n")
            time.sleep(PAUSE_SECONDS)
        attempt(board, forgeries.confession(forger))
        journal.write(json.dumps({"at": time.time(), "end": True}) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
