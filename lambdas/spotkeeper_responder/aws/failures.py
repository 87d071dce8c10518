"""Why Auto Scaling could not launch: what it says in words, sorted into what can be done about it.

The texts are EC2's error codes and messages as Auto Scaling passes them on, for example "Could not launch Spot
Instances. InsufficientInstanceCapacity - …".
"""

from __future__ import annotations

import re

from spotkeeper_responder.model import CAPACITY, CONFIGURATION, QUOTA

_CAPACITY = re.compile(
    r"Insufficient\w*Capacity|UnfulfillableCapacity|SpotMaxPriceTooLow|capacity-(not-available|oversubscribed)"
    r"|no Spot capacity available|not have sufficient .{0,60}capacity|insufficient capacity",
    re.IGNORECASE,
)
_QUOTA = re.compile(
    r"Max ?Spot ?Instance ?Count ?Exceeded|\w+LimitExceeded|vCPU (capacity|limit)|\bquota\b", re.IGNORECASE
)


def classify(message: str) -> str:
    """Return ``capacity``, ``quota`` or ``configuration`` for the status message of a failed launch.

    Only what is known to be a lack of capacity counts as one, because that is what buys on-demand nodes.
    """
    if _QUOTA.search(message):
        return QUOTA
    return CAPACITY if _CAPACITY.search(message) else CONFIGURATION
