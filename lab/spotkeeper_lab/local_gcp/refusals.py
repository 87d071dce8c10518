"""How Compute Engine says no: one JSON shape for all errors, which names the field that was wrong."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class Refused(Exception):
    """An error as the API words it.

    Args:
        status: of HTTP.
        reason: the API's own word for what is wrong, for example ``invalid`` or ``notFound``.
        message: for people; it names the field or the resource.
    """

    def __init__(self, status: int, reason: str, message: str) -> None:
        super().__init__(message)
        self.status, self.reason, self.message = status, reason, message

    def body(self) -> Mapping[str, Any]:
        """Return what the caller gets."""
        one = {"message": self.message, "domain": "global", "reason": self.reason}
        return {"error": {"code": self.status, "message": self.message, "errors": [one]}}


def invalid(field: str, value: object, why: str) -> Refused:
    """Return the refusal of a value."""
    return Refused(400, "invalid", f"Invalid value for field '{field}': '{value}'. {why}")


def unknown(name: str, where: str) -> Refused:
    """Return the refusal of a field that does not exist."""
    return Refused(
        400, "invalid", f"Invalid JSON payload received. Unknown name \"{name}\" at '{where}': Cannot find field."
    )


def required(field: str) -> Refused:
    """Return the refusal of a request that lacks something."""
    return Refused(400, "required", f"Required field '{field}' not specified")


def not_found(path: str) -> Refused:
    """Return the answer about a resource that is not there."""
    return Refused(404, "notFound", f"The resource '{path}' was not found")


def already_exists(path: str) -> Refused:
    """Return the refusal of a second resource of one name."""
    return Refused(409, "alreadyExists", f"The resource '{path}' already exists")


def in_use(path: str, user: str) -> Refused:
    """Return the refusal to delete what something else needs."""
    message = f"The resource '{path}' is already being used by '{user}'"
    return Refused(400, "resourceInUseByAnotherResource", message)


def not_ready(path: str) -> Refused:
    """Return the refusal to change what is on its way out."""
    return Refused(400, "resourceNotReady", f"The resource '{path}' is not ready")


def not_done(what: str) -> Refused:
    """Return the answer to what the API has and this local cloud has not; no client tries that again."""
    return Refused(501, "notImplemented", f"{what} is not in the local cloud")
