"""Names by convention on Google Cloud: what finds what, without anybody passing ids around."""

import hashlib
import re
from dataclasses import dataclass

from spotkeeper.errors import InputError
from spotkeeper.naming import GROUP_PREFIX, check_bucket_name

MAX_FLEET = 40
"""Longest fleet id: with prefix, kind and the group's own suffix it has to fit into 63 characters."""
MAX_RESPONDER = 52
"""Longest bucket name of a responder: with the longest suffix it has to fit into 63 characters."""

_FOREIGN = re.compile(r"[^a-z0-9-]+")


@dataclass(frozen=True)
class Place:
    """Where resources are."""

    project: str
    """Id of the project."""
    number: str
    """Its number, by which the accounts of Google's own services are named."""
    region: str

    def topic(self, name: str) -> str:
        """Return the full name of a topic of this project."""
        return f"projects/{self.project}/topics/{name}"

    def service_agent(self, service: str) -> str:
        """Return the member that one of Google's services is in this project, such as ``pubsub``."""
        return f"serviceAccount:service-{self.number}@gcp-sa-{service}.iam.gserviceaccount.com"


def default_responder(place: Place) -> str:
    """Return the name of a responder that was given none."""
    name = _FOREIGN.sub("-", f"spotkeeper-{place.project}-{place.region}")
    if len(name) > MAX_RESPONDER:
        raise InputError("bucket_name", None, f"a name, because the usual one, {name!r}, is too long")
    return name


def check_responder_name(name: str) -> str:
    """Return the ledger bucket's name if it is one, and if the names of the responder's other parts can be made of it.

    Functions and topics begin with a letter; Cloud Storage and Pub/Sub take no names that could be Google's.
    """
    check_bucket_name(name, MAX_RESPONDER)
    if not name[0].isalpha() or name.startswith("goog") or "google" in name:
        raise InputError("bucket_name", name, "one that begins with a letter and could not be Google's")
    return name


def account_id(kind: str, owner: str) -> str:
    """Return the id of a service account: 30 characters at most, so that the owner's name does not fit in."""
    return f"spotkeeper-{kind}-{hashlib.sha256(owner.encode()).hexdigest()[:8]}"


def template_name(fleet: str, kind: str, version: str) -> str:
    """Return the name of an instance template; what follows the last hyphen is its version, the same for both groups.

    The function reads it there, from what ``listManagedInstances`` tells.
    """
    return f"sk-{fleet}-{kind}-{version}"


def firewall_name(fleet: str) -> str:
    """Return the name of the rule that lets a fleet's nodes reach each other."""
    return f"{GROUP_PREFIX}{fleet}-nodes"


def function_name(responder: str) -> str:
    """Return the name of the responder's function."""
    return f"{responder}-responder"


def topic_name(responder: str) -> str:
    """Return the name of the topic that all events go through, and of the subscription that feeds the function."""
    return f"{responder}-events"


def dead_letter_name(responder: str) -> str:
    """Return the name of the topic, and of its subscription, for what could not be handled."""
    return f"{responder}-events-dead"


def role_id(responder: str) -> str:
    """Return the id of the role with which the function keeps groups at strength; a role's takes no hyphens."""
    return f"{responder}-groups".replace("-", "_")
