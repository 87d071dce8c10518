"""What happens to instances, as everybody else hears of it, and what follows: processes, metadata, the audit log."""

from __future__ import annotations

import time
from functools import partial
from typing import Any

from spotkeeper_lab.local.moments import EventLog
from spotkeeper_lab.local.timers import Timers
from spotkeeper_lab.local_gcp import logs
from spotkeeper_lab.local_gcp.compute import Compute
from spotkeeper_lab.local_gcp.logs import Logs
from spotkeeper_lab.local_gcp.machines import GROUP_LABEL, Machines
from spotkeeper_lab.local_gcp.metadata import PREEMPTED, TRUE
from spotkeeper_lab.local_gcp.pubsub import MessageFaults
from spotkeeper_lab.local_gcp.timing import Timing

_GONE = ("reclaimed", "terminated", "powered-off", "killed")
"""Ends of an instance."""


class Course:
    """Is told by Compute Engine, under its lock, and tells the rest of the local cloud.

    Args:
        compute: whose instances they are.
        nodes: their processes.
        audit_log: is told of preemptions.
        faults: whether it loses them.
        events: where what happens is written down.
        timers: does what must not be done under the lock.
        timing: when the audit log is told.
        project: the one project that there is.
    """

    def __init__(
        self,
        compute: Compute,
        nodes: Machines,
        audit_log: Logs,
        faults: MessageFaults,
        events: EventLog,
        timers: Timers,
        timing: Timing,
        project: str,
    ) -> None:
        self._compute, self._nodes, self._logs, self._faults = compute, nodes, audit_log, faults
        self._events, self._timers, self._timing, self._project = events, timers, timing, project
        self._unwarned: set[str] = set()

    def keep_quiet(self, node: str) -> None:
        """Let the audit log say nothing of a node's preemption."""
        self._unwarned.add(node)

    def happened(self, what: str, name: str | None, /, **details: Any) -> None:
        """Name a node as everybody else does, and let follow what has to; see :class:`.world.Tell`."""
        number, group = str(details.get("id", "")), str(details.get("group", ""))
        node = f"{name}.{number}" if name and number else name
        made = self._compute.group(group)
        label = made.template.properties.get("labels", {}).get(GROUP_LABEL, "") if made else ""
        if "version" in details:  # what follows the last hyphen of a template's name, as the ledger has it
            details["version"] = str(details["version"]).rpartition("-")[2]
        told = {**details, "group": label or group, **({"name": group} if what == "desired-changed" else {})}
        if what == "launch-refused":
            node = None  # it is none yet
        if node is not None and number:
            self._follow(what, str(name), number, node, told)
        self._events.add("terminated" if what == "powered-off" else what, node, **told)

    def _follow(self, what: str, name: str, number: str, node: str, told: dict[str, Any]) -> None:
        if what == "instance-launched":
            instance = self._compute.instance(name, number)
            if instance is not None:
                told["lifecycle"] = instance.place.model.lower()
                self._nodes.add(node, instance)
        elif what == "instance-running":
            self._timers.after(0.0, partial(self._nodes.start, node))
        elif what == "notice-injected":
            told["deadline"] = time.time() + told["notice_seconds"]
            self._nodes.metadata(node).set(PREEMPTED, TRUE)
            self._warn(name, str(told["zone"]), number, node)
        elif what == "soft-off":
            self._timers.after(0.0, partial(self._nodes.shut_down, node))
        elif what in _GONE:
            self._timers.after(0.0, partial(self._nodes.die, node))

    def _warn(self, name: str, zone: str, number: str, node: str) -> None:
        if node in self._unwarned:
            return
        happened_at = time.time()

        def write() -> None:
            entry = logs.preempted(self._project, zone, name, number, happened_at)
            if not self._faults.drop_warnings:
                self._logs.write(entry)
            self._events.add("warning-sent", node, kind="interruption")

        self._timers.after(self._timing.audit_seconds, write)
