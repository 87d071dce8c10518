"""Names that fleets and ledgers have on every cloud: what finds what, without anybody passing ids around."""

import re
from dataclasses import dataclass

from spotkeeper.errors import InputError
from spotkeeper_ledger import keys

SPOT, BACKUP = "spot", "backup"

GROUP_PREFIX = "spotkeeper-"
"""What every group's name starts with: events, and where the cloud can do that policies, go by it."""

_URIS = {
    "s3": re.compile(r"s3://([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])(?:/([A-Za-z0-9!_.'()=/-]*))?"),
    "gs": re.compile(r"gs://([a-z0-9][a-z0-9._-]{1,220}[a-z0-9])(?:/([A-Za-z0-9!_.'()=/-]*))?"),
}
_BUCKET = re.compile(r"[a-z0-9][a-z0-9-]{1,61}[a-z0-9]")
_FOREIGN = re.compile(r"[^a-z0-9-]+")
_OWN_FOLDERS = ("", "fleets", "agent", "function", keys.MEMBERS)
"""What of a ledger bucket is the responder's."""


@dataclass(frozen=True)
class BucketUri:
    """``scheme://bucket/prefix``; the prefix has no slash at either end and may be empty."""

    scheme: str
    bucket: str
    prefix: str

    @property
    def uri(self) -> str:
        """The URI, without a slash at its end."""
        return f"{self.scheme}://{self.bucket}/{self.prefix}".rstrip("/")

    @property
    def objects(self) -> str:
        """What every object below the URI starts with: bucket and prefix, with a slash at the end."""
        return f"{self.bucket}/{self.prefix}/" if self.prefix else f"{self.bucket}/"


def fleet_id(project: str, stack: str, name: str, longest: int) -> str:
    """Return ``<project>-<stack>-<name>`` in lower case, other characters than letters, digits and hyphens as hyphens.

    Raises:
        InputError: the id is longer than ``longest``, or starts with a hyphen.
    """
    fleet = _FOREIGN.sub("-", f"{project}-{stack}-{name}".lower())
    try:
        keys.check_fleet(fleet)
    except ValueError:
        raise InputError("name", name, f"a name that makes a fleet id, not {fleet!r}") from None
    if len(fleet) > longest:
        raise InputError("name", name, f"a shorter one: the fleet id {fleet!r} may have {longest} characters")
    return fleet


def group_name(fleet: str, kind: str) -> str:
    """Return the name of the fleet's group of this kind (``spot`` or ``backup``)."""
    return f"{GROUP_PREFIX}{fleet}-{kind}"


def parse_responder(uri: str, scheme: str, component: str) -> str:
    """Return the responder that the URI of its ledger bucket names.

    Args:
        uri: the ``responder`` input.
        scheme: of the cloud's buckets, ``s3`` or ``gs``.
        component: which component's ``uri`` it should be.
    """
    bucket = uri.removeprefix(f"{scheme}://").rstrip("/")
    if not uri.startswith(f"{scheme}://") or not _BUCKET.fullmatch(bucket):
        raise InputError("responder", uri, f"the uri of {component}: {scheme}://<its ledger bucket>")
    return bucket


def parse_checkpoint_uri(uri: str, scheme: str) -> BucketUri:
    """Return bucket and prefix of the checkpoint URI.

    Characters that a policy would take for a pattern or for the end of a text are refused, because the prefix becomes a
    part of one.
    """
    match = _URIS[scheme].fullmatch(uri)
    if match is None:
        raise InputError("checkpoint_uri", uri, f"{scheme}://bucket/prefix of letters, digits and any of !_.'()=/-")
    return BucketUri(scheme, match[1], (match[2] or "").strip("/"))


def check_apart(checkpoint: BucketUri, responder: str) -> BucketUri:
    """Return ``checkpoint`` if it is not where the ledger keeps what a node must not write."""
    if checkpoint.bucket == responder and checkpoint.prefix.split("/")[0] in _OWN_FOLDERS:
        raise InputError(
            "checkpoint_uri",
            checkpoint.uri,
            "another bucket, or another folder than the responder's own: nodes may write what lies below this URI",
        )
    return checkpoint


def check_bucket_name(name: str, longest: int) -> str:
    """Return the ledger bucket's name if the names of the responder's other parts can be made of it."""
    if not _BUCKET.fullmatch(name) or len(name) > longest:
        raise InputError("bucket_name", name, f"3 to {longest} lower-case letters, digits and hyphens")
    return name
