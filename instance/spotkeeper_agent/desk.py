"""What the agent answers to other programs on its node."""

from __future__ import annotations

import time
from typing import Any, Callable, Dict

from spotkeeper_agent.config import AgentConfig
from spotkeeper_agent.node import Node
from spotkeeper_agent.notices import Word
from spotkeeper_ledger import NOTICE_KINDS


class Desk:
    """Answers what comes in through the socket.

    Args:
        config: fleet and pace.
        node: who is asked.
        hear: takes notices in.
        status: returns what ``status`` answers.
        last_words: returns what the job has said last.
    """

    def __init__(
        self,
        config: AgentConfig,
        node: Node,
        hear: Callable[[Word], None],
        status: Callable[[], Dict[str, Any]],
        last_words: Callable[[], str] = lambda: "",
    ) -> None:
        self._config, self._node, self._hear, self._status = config, node, hear, status
        self._last_words = last_words

    def answer(self, request: Dict[str, Any]) -> Dict[str, Any]:
        """Answer one request: ``status``, ``logs``, or ``notice`` with ``kind`` and what else the command line takes.

        Raises ``ValueError`` for anything else.
        """
        asked = request.get("request")
        if asked == "status":
            return self._status()
        if asked == "logs":
            return {"node": self._node.name, "text": self._last_words()}
        if asked != "notice":
            raise ValueError(f"request: was {asked!r}, expected 'notice', 'status' or 'logs'")
        kind, deadline = request.get("kind"), request.get("deadline")
        if kind not in NOTICE_KINDS:
            raise ValueError(f"kind: was {kind!r}, expected one of {', '.join(NOTICE_KINDS)}")
        if deadline is not None and (isinstance(deadline, bool) or not isinstance(deadline, (int, float))):
            raise ValueError(f"deadline: was {deadline!r}, expected Unix seconds or null")
        nodes = request.get("nodes")
        if nodes is not None and not isinstance(nodes, list):
            raise ValueError(f"nodes: was {nodes!r}, expected a list of instance ids or null")
        meant = request.get("fleet") in (None, self._config.fleet) and (nodes is None or self._node.name in nodes)
        if meant:
            source = str(request.get("source", "socket"))
            self._hear(Word(kind, source, time.time(), deadline, bool(request.get("drill"))))
        return {"accepted": meant, "node": self._node.name}
