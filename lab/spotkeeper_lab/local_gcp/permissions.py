"""What nodes may do to objects: the bindings of a bucket's policy are applied to their accounts as they were declared.

A node is known by the access token that its own metadata server gave out, and by the service account of its template.
Roles for objects count, those of the project's own included, and conditions (``conditions.py``).

Not done: other services, callers that are no nodes, bindings of the project and of folders above it, groups, access
control lists. A role that is not known is an error, never a guess.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from spotkeeper_lab.local_gcp.conditions import LIST_PREFIX, holds
from spotkeeper_lab.local_gcp.refusals import Refused

GET, LIST, CREATE, DELETE = (f"storage.objects.{what}" for what in ("get", "list", "create", "delete"))
_ALL = frozenset({GET, LIST, CREATE, DELETE})
ROLES: Mapping[str, frozenset[str]] = {
    "roles/storage.objectViewer": frozenset({GET, LIST}),
    "roles/storage.objectCreator": frozenset({CREATE}),
    "roles/storage.objectUser": _ALL,
    "roles/storage.objectAdmin": _ALL,
    "roles/storage.admin": _ALL,
    "roles/storage.legacyObjectReader": frozenset({GET}),
    "roles/storage.legacyBucketReader": frozenset({LIST}),
}
"""Google's own roles to the permissions for objects that are in them, as far as those are asked for here."""


def needed(operation: str, *, overwrites: bool) -> tuple[str, ...]:
    """Return the permissions that a method needs.

    Args:
        operation: its id, for example ``storage.objects.insert``.
        overwrites: whether what it writes is there already, which takes the permission to delete.
    """
    if operation == "storage.objects.insert":
        return (CREATE, DELETE) if overwrites else (CREATE,)
    return (operation,)


def check(
    bindings: Iterable[Mapping[str, Any]],
    account: str,
    permission: str,
    place: tuple[str, str],
    roles: Mapping[str, Iterable[str]],
    prefix: str = "",
) -> None:
    """Refuse what a bucket's policy does not give an account.

    Args:
        bindings: of the policy.
        account: address of the service account.
        permission: such as ``storage.objects.get``.
        place: bucket and name of the object, which is empty for a list.
        roles: the project's own, by their names, to their permissions.
        prefix: with which the names that are listed begin.

    Raises:
        Refused: With 403.
        NotImplementedError: A binding of the account has a role or a condition that is not known here.
    """
    bucket, name = place
    resource = f"projects/_/buckets/{bucket}" + (f"/objects/{name}" if name else "")
    kind = "storage.googleapis.com/Object" if name else "storage.googleapis.com/Bucket"
    context = {"resource.name": resource, "resource.type": kind, "resource.service": "storage.googleapis.com"}
    if not name:
        context[LIST_PREFIX] = prefix
    for binding in bindings:
        if f"serviceAccount:{account}" not in binding.get("members", ()):
            continue
        role = str(binding["role"])
        if role not in ROLES and role not in roles:
            raise NotImplementedError(f"role: was {role}, expected one of {', '.join(ROLES)} or of the project's own")
        condition = str(binding.get("condition", {}).get("expression", ""))
        if permission in (ROLES.get(role) or roles[role]) and holds(condition, context):
            return
    why = f"{account or 'Anonymous caller'} does not have {permission} access to the Google Cloud Storage object."
    raise Refused(403, "forbidden", f"{why} Permission '{permission}' denied on resource '{resource}'.")
