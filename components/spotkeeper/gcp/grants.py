"""Who may do what to the objects of a bucket: roles that are bound to names of objects, as plain facts.

Cloud Storage counts an object that is overwritten as deleted, so that who may write one may delete it. Its listings are
bound by the prefix that is asked for. IAM cannot tell one node of a fleet from another: they have one account, and no
condition knows which instance asks.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from spotkeeper.naming import BucketUri
from spotkeeper_ledger import keys

READ, WRITE = "roles/storage.objectViewer", "roles/storage.objectUser"
NODE, FUNCTION = ("ledger-read", "ledger-write", "checkpoints"), ("ledger-read", "ledger-write")
"""Names of the grants of each."""
_PREFIX = 'api.getAttribute("storage.googleapis.com/objectListPrefix", "")'


@dataclass(frozen=True)
class Grant:
    """One role on a bucket, for names that a condition lets through."""

    bucket: str
    role: str
    condition: str
    """In the Common Expression Language; empty for the whole bucket."""


def node_grants(fleet: str, responder: str, checkpoint: BucketUri) -> Mapping[str, Grant]:
    """Return what a fleet's nodes may do: read its ledger, write the documents of nodes and the job's, save."""
    folder = keys.fleet_prefix(fleet)
    documents = _any(f'resource.name.endsWith("/{name}")' for name in ("notice.json", "report.json", "log.txt"))
    saves = checkpoint.prefix and f"{checkpoint.prefix}/"
    return {
        "ledger-read": Grant(
            responder,
            READ,
            _any((_below(responder, folder), _below(responder, "agent/"), _listing(responder, folder))),
        ),
        "ledger-write": Grant(
            responder,
            WRITE,
            _any(
                (
                    f"({_below(responder, keys.nodes(fleet))} && ({documents}))",
                    _named(responder, keys.generation(fleet)),
                    _named(responder, keys.progress(fleet)),
                )
            ),
        ),
        "checkpoints": Grant(
            checkpoint.bucket,
            WRITE,
            _any((_below(checkpoint.bucket, saves), _listing(checkpoint.bucket, saves))) if saves else "",
        ),
    }


def function_grants(responder: str) -> Mapping[str, Grant]:
    """Return what the function may do: read every fleet's folder, write what only it writes."""
    own = _any(f'resource.name.endsWith("/{name}")' for name in ("ledger.json", "signal.json"))
    return {
        "ledger-read": Grant(
            responder,
            READ,
            _any(
                (
                    _below(responder, keys.FLEETS),
                    _named(responder, keys.MEMBERS),
                    f'resource.name == "{_at(responder)}"',
                )
            ),
        ),
        "ledger-write": Grant(
            responder,
            WRITE,
            _any((_named(responder, keys.MEMBERS), f"({_below(responder, keys.FLEETS)} && ({own}))")),
        ),
    }


def _at(bucket: str) -> str:
    return f"projects/_/buckets/{bucket}"


def _named(bucket: str, key: str) -> str:
    return f'resource.name == "{_at(bucket)}/objects/{key}"'


def _below(bucket: str, prefix: str) -> str:
    return f'resource.name.startsWith("{_at(bucket)}/objects/{prefix}")'


def _listing(bucket: str, prefix: str) -> str:
    return f'(resource.name == "{_at(bucket)}" && {_PREFIX}.startsWith("{prefix}"))'


def _any(terms: Iterable[str]) -> str:
    return " || ".join(terms)
