"""AWS resources, created by boto3."""

from spotkeeper_lab.provision.aws import compute, functions, identity, messaging, operations, scaling, storage
from spotkeeper_lab.provision.aws.account import TABLE, Aws
from spotkeeper_lab.provision.table import Provider

__all__ = ("Aws", "provider")

_ENTERED = (compute, functions, identity, messaging, operations, scaling, storage)
"""Importing a module enters its handlers in the table."""


def provider(aws: Aws) -> Provider:
    """Return what creates, changes and deletes resources in ``aws``."""
    return Provider(TABLE, aws)
