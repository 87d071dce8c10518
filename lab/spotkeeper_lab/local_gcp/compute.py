"""Compute Engine without a server or a clock of its own: what :class:`LocalGcp` serves, and what tests drive."""

from __future__ import annotations

from spotkeeper_lab.local_gcp.api import Api
from spotkeeper_lab.local_gcp.discovery import discovery
from spotkeeper_lab.local_gcp.groups import Group, Groups
from spotkeeper_lab.local_gcp.instances import Instance
from spotkeeper_lab.local_gcp.market import Market
from spotkeeper_lab.local_gcp.operations import Operations
from spotkeeper_lab.local_gcp.world import World


class Compute:
    """One project's Compute Engine.

    Args:
        world: its time and place.
    """

    def __init__(self, world: World) -> None:
        self.market = Market()
        self._world = world
        self._groups = Groups(world, self.market)
        self._operations = Operations(world)
        self.api = Api(world, discovery(), self._groups, self._operations)

    def preempt(self, name: str, number: str | None = None) -> None:
        """Take a running spot instance back; nothing happens where that is under way.

        Args:
            name: the instance's.
            number: its id, where only that life of the name is meant.

        Raises:
            ValueError: There is none, or it is no spot instance that runs.
        """
        with self._world.lock:
            instances = self._groups.instances
            found = [one for one in instances.all() if one.name == name and number in (None, one.id)]
            if not found:
                raise ValueError(f"name: was {name!r}, expected the name of an instance")
            instances.preempt(found[0])

    def powered_off(self, number: str) -> None:
        """The operating system of the instance of that number has shut down; nothing happens if it is gone."""
        with self._world.lock:
            for instance in self._groups.instances.all():
                if instance.id == number:
                    self._groups.instances.powered_off(instance)

    def killed(self, number: str) -> None:
        """The host of the instance of that number has failed; nothing happens if it is gone."""
        with self._world.lock:
            for instance in self._groups.instances.all():
                if instance.id == number:
                    self._groups.instances.killed(instance)

    def instance(self, name: str, number: str) -> Instance | None:
        """Return the life of an instance of that number, if it is still there. Under the world's lock."""
        found = (one for one in self._groups.instances.all() if (one.name, one.id) == (name, number))
        return next(found, None)

    def group(self, name: str) -> Group | None:
        """Return the group of that name, if there is one. Under the world's lock."""
        return next((one for one in self._groups.all.values() if one.name == name), None)

    def close(self) -> None:
        """Let nobody wait for an operation any longer."""
        self._operations.close()
