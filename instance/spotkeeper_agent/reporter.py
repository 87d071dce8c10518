"""What the node tells the ledger: its notice and its report, and the job's progress while it holds the job."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import Callable, Dict, Optional

from spotkeeper_agent.config import AgentConfig
from spotkeeper_agent.goodput import Account
from spotkeeper_agent.node import Node
from spotkeeper_agent.notices import Notice
from spotkeeper_agent.outbox import Outbox
from spotkeeper_agent.progress import ProgressWriter, with_local
from spotkeeper_agent.pubsub import Topic
from spotkeeper_ledger import ANY, Board, NodeReport, Progress, dump, keys, run_dir
from spotkeeper_ledger.run_dir import LocalProgress


class Reporter:
    """Puts documents into the outbox when they have changed, and the report and the progress at their pace.

    Args:
        config: fleet, folder and pace.
        node: who reports.
        board: the ledger.
        outbox: sends.
        clock: monotonic seconds.
        topic: where the responder is told of a notice, on clouds whose buckets do not tell it themselves.
    """

    def __init__(
        self,
        config: AgentConfig,
        node: Node,
        board: Board,
        outbox: Outbox,
        clock: Callable[[], float] = time.monotonic,
        topic: Optional[Topic] = None,
    ) -> None:
        self._config, self._node, self._board, self._outbox, self._clock = config, node, board, outbox, clock
        self._topic = topic
        self._folder = config.node_prefix + node.name
        self._report: Optional[NodeReport] = None
        self._report_due = 0.0
        self._progress: Optional[Progress] = None
        self._progress_due = 0.0
        self._writer = ProgressWriter(board)
        self._shipped: object = None
        self._shipped_text = ""
        self._ship_due = 0.0

    def blank_report(self) -> NodeReport:
        """A report of this node that says no more than that it lives."""
        return NodeReport(
            fleet=self._config.fleet,
            incarnation=self._config.incarnation,
            node=self._node.name,
            boot_id=self._node.boot_id,
            at=0.0,
            command_version=self._config.command_version,
        )

    def blank_progress(self, generation: int, nodes: Optional[int] = None) -> Progress:
        """The progress of a generation of so many ``nodes`` of which nothing is known yet."""
        return Progress(
            fleet=self._config.fleet,
            incarnation=self._config.incarnation,
            generation=generation,
            node=self._node.name,
            at=0.0,
            nodes=nodes,
        )

    def notice(self, notice: Notice) -> None:
        """Tell the responder that this node goes, or may."""
        document = notice.as_document(self._config.fleet, self._config.incarnation, self._node.name)
        key, body = keys.notice(self._config.fleet, self._folder), dump(document)
        said = {"spotkeeper": "notice", "fleet": self._config.fleet, "folder": self._folder}

        def send() -> None:
            self._board.write(key, body, expect=ANY)
            if self._topic is not None:
                self._topic.publish(said)

        self._outbox.put("notice", send)

    def report(self, report: NodeReport) -> None:
        """Send ``report``, stamped with the present, if it says something new or is due."""
        if report == self._report and self._clock() < self._report_due:
            return
        self._report, self._report_due = report, self._clock() + self._config.report_seconds
        stamped = replace(report, at=time.time())
        self._put("report", keys.report(self._config.fleet, self._folder), dump(stamped))

    def output(self, last_words: Callable[[], str], report: NodeReport) -> None:
        """Send what the job has said last: at a notice and at an exit, both told by ``report``, and once a minute."""
        pace = self._config.log_seconds
        milestone = (report.notice_id, report.exit_code, report.restarts)
        if pace <= 0 or (milestone == self._shipped and self._clock() < self._ship_due):
            return
        self._shipped, self._ship_due = milestone, self._clock() + pace
        text = last_words()
        if text != self._shipped_text:
            self._shipped_text = text
            self._put("log", keys.log(self._config.fleet, self._folder), text.encode("utf-8", "replace"))

    def goodput(self) -> Dict[str, Optional[float]]:
        """Return where the job's time has gone, as far as it has been told."""
        told = self._writer.written
        if told is None:
            return {"goodput": None}
        causes = ("saving_seconds", "recomputed_seconds", "restart_seconds", "waiting_seconds")
        share = None if told.fraction is None else round(told.fraction, 4)
        return {"goodput": share, **{name: round(getattr(told, name), 1) for name in causes}}

    def progress(self, progress: Progress, account: Optional[Account] = None) -> None:
        """Send the job's progress, if its state or its last checkpoint is new or it is due."""
        local = run_dir.read(Path(self._config.run_dir), LocalProgress)
        current = with_local(progress, local)
        if current == progress and progress.state == "running":
            return  # the command has not said anything yet: what the generation before has written stands
        if _milestone(current) == _milestone(self._progress) and self._clock() < self._progress_due:
            return
        self._progress, self._progress_due = current, self._clock() + self._config.report_seconds
        stamped = replace(current, at=time.time())
        self._outbox.put("progress", lambda: _ignore(self._writer.write(stamped, account)))

    def _put(self, sort: str, key: str, body: bytes) -> None:
        self._outbox.put(sort, lambda: _ignore(self._board.write(key, body, expect=ANY)))


def _milestone(progress: Optional[Progress]) -> object:
    return progress and (progress.generation, progress.state, progress.published_step, progress.exit_code)


def _ignore(_: object) -> None:
    """Nothing is done with what a send returns."""
