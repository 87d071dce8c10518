"""Nodes: what runs on the instances of moto."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from functools import partial

from moto.ec2.models.instances import Instance
from moto.ec2.models.launch_templates import LaunchTemplateVersion

from spotkeeper_lab.local.machine import Machine, Node
from spotkeeper_lab.local.nodes import Nodes
from spotkeeper_lab.local_aws.facts import metadata_of, tags_of
from spotkeeper_lab.local_aws.metadata import Metadata, MetadataServer
from spotkeeper_lab.local_aws.moto_group import FLEET_TAG, GROUP_TAG
from spotkeeper_lab.local_aws.world import World


class NodeProcesses(Nodes[Metadata]):
    """The nodes of the local cloud and their processes.

    Args:
        world: what all parts share.
        environment: as for :class:`Nodes`.
    """

    def __init__(self, world: World, environment: Mapping[str, str]) -> None:
        super().__init__(world.work_dir, world.events, world.timers, environment, world.timing.reclaim_kill_seconds)
        self._world = world
        self._tags: dict[str, Mapping[str, str]] = {}

    def tagged(self, key: str, values: Collection[str]) -> list[Node]:
        """Return the running nodes that have a tag with one of these values."""
        return [node for node in self.running() if self._tags[node.id].get(key, "") in values]

    def add(self, instance: Instance, template: LaunchTemplateVersion) -> None:
        """An instance was launched from a template; it has not booted."""
        tags, address = tags_of(instance), self.addresses.next()
        metadata = metadata_of(self._world, instance, template, address)
        self._tags[instance.id] = tags
        machine = Machine(
            id=instance.id,
            group=tags.get(GROUP_TAG, ""),
            fleet=tags.get(FLEET_TAG, ""),
            script=instance.user_data.decode() if instance.user_data else "",
            metadata=metadata,
            serve=partial(MetadataServer, address, metadata),
            environment=lambda endpoint: {"AWS_EC2_METADATA_SERVICE_ENDPOINT": endpoint},
        )
        self.make(machine)

    def target_state(self, node: str, state: str) -> None:
        """Let the node know towards which lifecycle state Auto Scaling moves it."""
        self.metadata(node).change(target_state=state)
