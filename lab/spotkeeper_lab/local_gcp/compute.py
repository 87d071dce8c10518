"""Compute Engine without a server or a clock of its own: what :class:`LocalGcp` serves, and what tests drive."""

from __future__ import annotations

from spotkeeper_lab.local.calls import CallCounter
from spotkeeper_lab.local_gcp.api import Api
from spotkeeper_lab.local_gcp.discovery import discovery
from spotkeeper_lab.local_gcp.groups import Groups
from spotkeeper_lab.local_gcp.market import Market
from spotkeeper_lab.local_gcp.operations import Operations
from spotkeeper_lab.local_gcp.world import World


class Compute:
    """One project's Compute Engine.

    Args:
        world: its time and place.
    """

    def __init__(self, world: World) -> None:
        self.market, self.calls = Market(), CallCounter()
        self._world = world
        self._groups = Groups(world, self.market)
        self._operations = Operations(world)
        self.api = Api(world, discovery(), self._groups, self._operations, self.calls)

    def preempt(self, name: str) -> None:
        """Take a running spot instance back; nothing happens where that is under way.

        Raises:
            ValueError: There is none of that name, or it is no spot instance that runs.
        """
        with self._world.lock:
            instances = self._groups.instances
            found = [one for one in instances.all() if one.name == name]
            if not found:
                raise ValueError(f"name: was {name!r}, expected the name of an instance")
            instances.preempt(found[0])

    def powered_off(self, number: str) -> None:
        """The operating system of the instance of that number has shut down; nothing happens if it is gone."""
        with self._world.lock:
            for instance in self._groups.instances.all():
                if instance.id == number:
                    self._groups.instances.powered_off(instance)

    def close(self) -> None:
        """Let nobody wait for an operation any longer."""
        self._operations.close()
