"""A machine of one's own: a laptop, or a node of a cluster. No metadata service knows it, so it says itself who it is.

Nobody takes it back and nobody declares its fleet: it hears of its end by ``spotkeeper-agent notice``, by the fleet's
``signal.json``, by its peers and by ``SIGTERM``.
"""

from __future__ import annotations

import re
import socket

from spotkeeper_agent.config import AgentConfig
from spotkeeper_agent.node import Node
from spotkeeper_ledger import run_dir

LOOPBACK = "127.0.0.1"
_ELSEWHERE = ("192.0.2.1", 9)
"""An address that is nobody's (RFC 5737): which way it would go tells this machine's own address. Nothing is sent."""


def identify(config: AgentConfig) -> Node:
    """Return who this node is; it is never one that a cloud takes back."""
    return Node(
        name=config.node_name or clean(socket.gethostname()),
        on_demand=True,
        address=own_address() if config.elastic else LOOPBACK,
        zone="",
        boot_id=run_dir.boot_id(),
    )


def clean(host: str) -> str:
    """Return a host name as a node's name."""
    return re.sub(r"[^A-Za-z0-9.-]+", "-", host).lstrip(".-")[:63] or "local"


def own_address() -> str:
    """Return the address that others reach this machine at, the loopback address where it is in no network."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(_ELSEWHERE)
        except OSError:
            return LOOPBACK
        return str(probe.getsockname()[0])
