"""Google's resources, created over HTTP."""

from spotkeeper_lab.provision.gcp import compute, functions, identity, messaging, policies, storage, watching
from spotkeeper_lab.provision.gcp.project import TABLE, Gcp
from spotkeeper_lab.provision.gcp.rest import Rest, RestError
from spotkeeper_lab.provision.table import Provider

__all__ = ("Gcp", "Rest", "RestError", "provider")

_ENTERED = (compute, functions, identity, messaging, policies, storage, watching)
"""Importing a module enters its handlers in the table."""


def provider(gcp: Gcp) -> Provider:
    """Return what creates, changes and deletes resources in ``gcp``."""
    return Provider(TABLE, gcp)
