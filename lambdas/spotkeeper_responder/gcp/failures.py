"""Why a managed instance group could not create an instance, sorted into what can be done about it.

The codes are Compute Engine's, as ``lastAttempt.errors`` of a managed instance has them. Source: Compute Engine
documentation, "Troubleshooting resource availability errors", "Troubleshooting VM creation".
"""

from __future__ import annotations

import re

from spotkeeper_responder.model import CAPACITY, CONFIGURATION, QUOTA

_CAPACITY = re.compile(
    r"(ZONE_)?RESOURCE_POOL_EXHAUSTED(_WITH_DETAILS)?|STOCKOUT|PREEMPTED"
    r"|does not have enough resources|resource pool exhausted|failed to start due to preemption",
    re.IGNORECASE,
)
_QUOTA = re.compile(r"\w*QUOTA_?EXCEEDED|\bquota\b|RATE_LIMIT_EXCEEDED|LIMIT_EXCEEDED", re.IGNORECASE)


def classify(code: str, message: str) -> str:
    """Return ``capacity``, ``quota`` or ``configuration`` for an error of a managed instance's last attempt.

    Only what is known to be a lack of capacity counts as one, because that is what buys on-demand nodes.
    """
    said = f"{code} {message}"
    if _QUOTA.search(said):
        return QUOTA
    return CAPACITY if _CAPACITY.search(said) else CONFIGURATION
