"""Who calls: callers are told apart by their access tokens, which metadata servers give out."""

from __future__ import annotations

import re

from spotkeeper_lab.local.calls import UNKNOWN

AGENTS, RESPONDER = "agents", "responder"
"""Under whose names calls are counted that are made with a node's and with the function's service account."""
_OF_NODE = "token-of-node-"
_OF_CALLER = "token-of-"
_NAME = re.compile(r"[a-z]{1,16}")


def token_of_node(node: str) -> str:
    """Return the access token that a node is given."""
    return f"{_OF_NODE}{node}"


def token_of(caller: str) -> str:
    """Return the access token that stands for ``caller``: lower-case letters only, at most 16.

    Raises:
        ValueError: It is no such name.
    """
    if not _NAME.fullmatch(caller):
        raise ValueError(f"caller: was {caller!r}, expected 1 to 16 lower-case letters")
    return f"{_OF_CALLER}{caller}"


def caller_of(token: str) -> str:
    """Return the caller that a token stands for; ``unknown`` for one that was never given out, and for none."""
    if token.startswith(_OF_NODE):
        return AGENTS
    name = token.removeprefix(_OF_CALLER)
    return name if name != token and _NAME.fullmatch(name) else UNKNOWN


def node_of(token: str) -> str:
    """Return the node that a token was given to, empty where it was given to none."""
    return token.removeprefix(_OF_NODE) if token.startswith(_OF_NODE) else ""
