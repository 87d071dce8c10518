"""Where each document lies, relative to the ledger bucket."""

from __future__ import annotations

import re

MEMBERS = "members.json"
FLEETS = "fleets/"
_FLEET = re.compile(r"[a-z0-9][a-z0-9-]{0,127}")


def check_fleet(fleet: str) -> str:
    """Return ``fleet`` if it can be one.

    Raises:
        ValueError: the name could reach out of its own folder, or is too long.
    """
    if not _FLEET.fullmatch(fleet):
        raise ValueError(f"fleet: was {fleet!r}, expected lower-case letters, digits and hyphens, at most 128")
    return fleet


def fleet_prefix(fleet: str) -> str:
    """Return the folder that holds all objects of ``fleet``."""
    return f"{FLEETS}{check_fleet(fleet)}/"


def spec(fleet: str) -> str:
    """Key of the fleet's :class:`~spotkeeper_ledger.documents.FleetSpec`."""
    return fleet_prefix(fleet) + "spec.json"


def ledger(fleet: str) -> str:
    """Key of the fleet's :class:`~spotkeeper_ledger.documents.FleetLedger`."""
    return fleet_prefix(fleet) + "ledger.json"


def signals(fleet: str) -> str:
    """Key of the fleet's :class:`~spotkeeper_ledger.documents.SignalBoard`."""
    return fleet_prefix(fleet) + "signal.json"


def generation(fleet: str) -> str:
    """Key of the job's :class:`~spotkeeper_ledger.documents.Generation`."""
    return fleet_prefix(fleet) + "job/generation.json"


def progress(fleet: str) -> str:
    """Key of the job's :class:`~spotkeeper_ledger.documents.Progress`."""
    return fleet_prefix(fleet) + "job/progress.json"


def nodes(fleet: str) -> str:
    """Folder of all nodes' own documents."""
    return fleet_prefix(fleet) + "nodes/"


def notice(fleet: str, folder: str) -> str:
    """Key of the :class:`~spotkeeper_ledger.documents.NodeNotice` of the node whose folder is named ``folder``."""
    return f"{nodes(fleet)}{folder}/notice.json"


def log(fleet: str, folder: str) -> str:
    """Key of the last lines that the job has said on the node whose folder is named ``folder``: text, no document."""
    return f"{nodes(fleet)}{folder}/log.txt"


def report(fleet: str, folder: str) -> str:
    """Key of the :class:`~spotkeeper_ledger.documents.NodeReport` of the node whose folder is named ``folder``."""
    return f"{nodes(fleet)}{folder}/report.json"
