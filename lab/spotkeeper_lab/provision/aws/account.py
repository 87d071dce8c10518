"""Where AWS resources are created, and the table that the other modules here enter their handlers in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from spotkeeper_lab.provision.table import Table


@dataclass(frozen=True)
class Aws:
    """Where resources are created. ``client`` returns a boto3 client of one service."""

    client: Callable[[str], Any]
    account: str
    region: str


TABLE: Table[Aws] = Table()
creates, updates, deletes, answers = TABLE.creates, TABLE.updates, TABLE.deletes, TABLE.answers
