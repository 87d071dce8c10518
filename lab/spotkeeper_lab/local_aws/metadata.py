"""The instance metadata service of one node, version 2, on an address of its own.

Source: Amazon EC2 User Guide, "Use the Instance Metadata Service" and "Instance metadata categories".
"""

from __future__ import annotations

import json
import secrets
import socket
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any

from spotkeeper_lab.local.addresses import Listener
from spotkeeper_lab.local_aws.calls import access_key_id, secret_access_key
from spotkeeper_lab.local_aws.world import iso

CALLER = "agents"
"""Under whose name calls are counted that are made with an instance's role."""

TOKEN = "token-of-"  # noqa: S105 - nobody needs to keep it secret here
"""What precedes an instance's id in the session token that comes with its keys."""
_KEY_SECONDS = 6 * 3600
_LONGEST_TOKEN_SECONDS = 21600
_ROOT = "/latest/meta-data/"


@dataclass
class Metadata:
    """What a node is told about itself. The fields without a name of AWS's change while it lives."""

    facts: Mapping[str, str]
    """Items that stay, by their path below ``/latest/meta-data/``."""
    role: str = ""
    """Name of the instance's role, empty where it has none."""
    reclaim_at: float | None = None
    """When the instance will be taken back, once that is known."""
    rebalance_at: float | None = None
    """When a rebalance recommendation was given."""
    target_state: str = "InService"
    """The lifecycle state that Auto Scaling moves it towards."""
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def change(self, **values: Any) -> None:
        """Set fields, all at once for a reader."""
        with self._lock:
            for name, value in values.items():
                setattr(self, name, value)

    def get(self, path: str) -> str | None:
        """Return an item, or the names below a folder; ``None`` where there is neither."""
        items = self._items()
        if path in items:
            return items[path]
        folder = f"{path.rstrip('/')}/" if path else ""
        below = [item.removeprefix(folder) for item in items if item.startswith(folder)]
        names = dict.fromkeys(item if "/" not in item else f"{item.partition('/')[0]}/" for item in below)
        return "\n".join(names) or None

    def _items(self) -> Mapping[str, str]:
        with self._lock:
            items = {**self.facts, "autoscaling/target-lifecycle-state": self.target_state}
            if self.reclaim_at is not None:
                action = {"action": "terminate", "time": iso(self.reclaim_at)}
                items["spot/instance-action"] = json.dumps(action)
                items["spot/termination-time"] = iso(self.reclaim_at)
            if self.rebalance_at is not None:
                items["events/recommendations/rebalance"] = json.dumps({"noticeTime": iso(self.rebalance_at)})
            if self.role:
                items[f"iam/security-credentials/{self.role}"] = _credentials(self.facts["instance-id"])
        return items


def _credentials(instance: str) -> str:
    now = time.time()
    keys = {
        "Code": "Success",
        "LastUpdated": iso(now),
        "Type": "AWS-HMAC",
        "AccessKeyId": access_key_id(CALLER, temporary=True),
        "SecretAccessKey": secret_access_key(CALLER),
        "Token": f"{TOKEN}{instance}",
        "Expiration": iso(now + _KEY_SECONDS),
    }
    return json.dumps(keys)


class MetadataServer:
    """Serves a node's metadata on a free port of its own address until it is closed.

    Args:
        address: a loopback address.
        metadata: what to serve.
    """

    def __init__(self, address: str, metadata: Metadata) -> None:
        self.metadata = metadata
        self._tokens: dict[str, float] = {}
        self._lock = threading.Lock()
        self._listener = Listener(address, self._converse)
        self.endpoint = self._listener.endpoint

    def token(self, seconds: int) -> str:
        """Return a new session token that holds for so long."""
        token = secrets.token_urlsafe(24)
        with self._lock:
            self._tokens[token] = time.monotonic() + seconds
        return token

    def valid(self, token: str) -> bool:
        """Return whether a session token still holds."""
        with self._lock:
            return self._tokens.get(token, 0.0) > time.monotonic()

    def close(self) -> None:
        """Close the address and all connections, and wait for the threads that served them."""
        self._listener.close()

    def _converse(self, connection: socket.socket, address: tuple[str, int]) -> None:
        _Conversation(connection, address, self)  # type: ignore[arg-type]  # it needs no socketserver


class _Conversation(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1  # headers and body leave together
    server: MetadataServer  # type: ignore[assignment]  # see _converse

    def do_PUT(self) -> None:
        """Give out a session token."""
        seconds = self.headers.get("X-aws-ec2-metadata-token-ttl-seconds", "")
        if self.path != "/latest/api/token":
            self._answer(404)
        elif not seconds.isdecimal() or not 1 <= int(seconds) <= _LONGEST_TOKEN_SECONDS:
            self._answer(400)
        else:
            self._answer(200, self.server.token(int(seconds)))

    def do_GET(self) -> None:
        """Give out an item to whoever has a token."""
        if not self.server.valid(self.headers.get("X-aws-ec2-metadata-token", "")):
            self._answer(401)
            return
        item = self.server.metadata.get(self.path.removeprefix(_ROOT)) if self.path.startswith(_ROOT) else None
        self._answer(404 if item is None else 200, item or "")

    def _answer(self, status: int, body: str = "") -> None:
        self.send_response(status)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Content-Length", str(len(body.encode())))
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 - the base class's name
        """Say nothing."""
