"""Machines that stand still: every process is stopped where it is, in the middle of a request if need be.

Not done: the clock of the machine, which goes on while its processes stand still, as it does in a cloud unless the
machine is suspended.
"""

from __future__ import annotations

import signal
from typing import Any

from spotkeeper_lab.local import processes
from spotkeeper_lab.local.moments import EventLog
from spotkeeper_lab.local.nodes import Nodes
from spotkeeper_ledger import run_dir


def freeze(nodes: Nodes[Any], events: EventLog, node_id: str) -> None:
    """Stop every process of a node (``SIGSTOP``); nothing new starts on it until it is woken."""
    nodes.stand_still(node_id, still=True)
    events.add("frozen", node_id)
    processes.stop(lambda: nodes.processes(node_id))


def thaw(nodes: Nodes[Any], events: EventLog, node_id: str, *, job_only: bool) -> None:
    """Let a node's processes go on (``SIGCONT``): all of them, or only those of the training command."""
    job = processes.find(f"{run_dir.NODE}={node_id}")  # the agent says it to its job, and to nobody else
    pids = job if job_only else nodes.processes(node_id)
    if not job_only:
        nodes.stand_still(node_id, still=False)
    events.add("woken", node_id, parts="job" if job_only else "all")
    processes.send(pids, signal.SIGCONT)
