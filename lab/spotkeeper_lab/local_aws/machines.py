"""What Auto Scaling asks of whatever runs on its instances."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from moto.ec2.models.instances import Instance
from moto.ec2.models.launch_templates import LaunchTemplateVersion


class Machines(Protocol):
    """Runs the instances that groups launch. Called under the world's lock, so nothing here waits for a process."""

    def add(self, instance: Instance, template: LaunchTemplateVersion) -> None:
        """An instance was launched from a template; it has not booted."""

    def start(self, node: str) -> None:
        """It boots."""

    def stop(self, node: str, then: Callable[[], None]) -> None:
        """It shuts down; ``then`` is called, from another thread, when it has."""

    def target_state(self, node: str, state: str) -> None:
        """Auto Scaling moves it towards a lifecycle state."""
