"""Rules for subscriptions that the discovery document does not encode. Source: Pub/Sub REST reference."""

from __future__ import annotations

from typing import Any

from spotkeeper_lab.local_gcp.refusals import Refused, invalid, not_done, not_found
from spotkeeper_lab.local_gcp.services import Given, Kept

DEADLINES, ATTEMPTS = (10, 600), (5, 100)
"""Least and most seconds for an acknowledgement, and deliveries before a message is given up; the least are usual."""
_BACKOFF_SECONDS = (10.0, 600.0)
"""Shortest and longest pause of a retry policy that does not say."""
_PUSH_BACKOFF_SECONDS = (0.1, 60.0)
"""The same where the subscription has no retry policy."""
_NOT_DONE = ("filter", "enableMessageOrdering", "enableExactlyOnceDelivery", "bigqueryConfig", "cloudStorageConfig")


def check(topics: Kept, given: Given) -> None:
    """Refuse a subscription that the API refuses.

    Raises:
        Refused: For the first rule that it breaks.
    """
    for name in _NOT_DONE:
        if given.get(name):
            raise not_done(f"the field {name} of a subscription")
    try:
        topics.get(given.get("topic", ""))
    except Refused:
        raise not_found(str(given.get("topic"))) from None
    within("ackDeadlineSeconds", given["ackDeadlineSeconds"], DEADLINES)
    dead = given.get("deadLetterPolicy", {})
    if dead:
        topics.get(dead.get("deadLetterTopic", ""))
        within("deadLetterPolicy.maxDeliveryAttempts", dead.get("maxDeliveryAttempts") or ATTEMPTS[0], ATTEMPTS)
    for name, duration in given.get("retryPolicy", {}).items():
        within(f"retryPolicy.{name}", _seconds(duration, 0.0), (0.0, _BACKOFF_SECONDS[1]))


def pause(policy: Given, attempt: int) -> float:
    """Return how long after a failed push the next one comes, which doubles each time.

    Args:
        policy: the subscription's retry policy; empty for none.
        attempt: number of the one that failed, from 1.
    """
    usual = _BACKOFF_SECONDS if policy else _PUSH_BACKOFF_SECONDS
    least, most = (
        _seconds(policy.get(name), seconds)
        for name, seconds in zip(("minimumBackoff", "maximumBackoff"), usual, strict=True)
    )
    return float(min(most, least * 2.0 ** (attempt - 1)))


def camel(path: str) -> str:
    """Return a field of a mask, of which its top is meant, as JSON has it."""
    first, *rest = path.strip().split(".")[0].split("_")
    return first + "".join(word.capitalize() for word in rest)


def within(name: str, value: Any, bounds: tuple[float, float]) -> None:
    """Refuse a number that is not within its bounds, which belong to them."""
    if not bounds[0] <= value <= bounds[1]:
        raise invalid(name, value, f"Must be from {bounds[0]:g} to {bounds[1]:g}.")


def _seconds(duration: str | None, usual: float) -> float:
    return usual if duration is None else float(duration.removesuffix("s"))
