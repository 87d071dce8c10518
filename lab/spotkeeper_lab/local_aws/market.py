"""The spot market: whether what a group asks for can be launched, and what Auto Scaling says where it cannot."""

from __future__ import annotations

import threading
from dataclasses import dataclass

SPOT, ON_DEMAND = "spot", "on-demand"

CAPACITY, QUOTA, CONFIGURATION = "capacity", "quota", "configuration"

MESSAGES = {
    CAPACITY: (
        "Could not launch Spot Instances. InsufficientInstanceCapacity - There is no Spot capacity available that "
        "matches your request. Launching EC2 instance failed."
    ),
    QUOTA: (
        "Could not launch Spot Instances. MaxSpotInstanceCountExceeded - Max spot instance count exceeded. "
        "Launching EC2 instance failed."
    ),
    CONFIGURATION: (
        "Could not launch Spot Instances. InvalidParameterCombination - The requested configuration is currently not "
        "supported. Please check the documentation for supported configurations. Launching EC2 instance failed."
    ),
}
"""Class of refusal to the ``StatusMessage`` that Auto Scaling gives for it."""


@dataclass(frozen=True)
class Answer:
    """What the market says to one request."""

    granted: int
    refusal: str = ""
    """Why not all were granted: a key of :data:`MESSAGES`, empty where they were."""


class SpotMarket:
    """How many spot instances may run, and why no more. On-demand is never refused."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._capacity: int | None = None
        self._why = CAPACITY

    def set_capacity(self, instances: int | None, why: str = CAPACITY) -> None:
        """Let at most so many spot instances run in all from now on, ``None``: any number. Those that run already stay.

        Args:
            instances: how many; 0: no launch at all.
            why: the class of refusal that all others get: a key of :data:`MESSAGES`.

        Raises:
            ValueError: The number is negative, or there is no such refusal.
        """
        if instances is not None and instances < 0:
            raise ValueError(f"instances: was {instances}, expected a number of instances, or None for no limit")
        if why not in MESSAGES:
            raise ValueError(f"why: was {why!r}, expected one of {', '.join(MESSAGES)}")
        with self._lock:
            self._capacity, self._why = instances, why

    def ask(self, wanted: int, running: int) -> Answer:
        """Answer a request for ``wanted`` spot instances while ``running`` are there in all."""
        with self._lock:
            room = wanted if self._capacity is None else max(0, self._capacity - running)
            return Answer(min(wanted, room), self._why if wanted > room else "")
