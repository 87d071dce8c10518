"""Who this node is, as its cloud's metadata says."""

from __future__ import annotations

from dataclasses import dataclass

from spotkeeper_ledger import Member, Unavailable, run_dir
from spotkeeper_ledger.imds import InstanceMetadata


@dataclass(frozen=True)
class Node:
    """This node."""

    name: str
    """Instance id."""
    on_demand: bool
    address: str
    """Private IPv4 address."""
    zone: str
    boot_id: str

    def as_member(self) -> Member:
        """This node as the one member of a generation."""
        return Member(self.name, self.boot_id, self.address, on_demand=self.on_demand, zone=self.zone)


def identify(metadata: InstanceMetadata) -> Node:
    """Ask the metadata service who this node is.

    Raises :class:`Unavailable` if the service does not answer or does not know the instance id.
    """
    name = metadata.get("instance-id")
    if not name:
        raise Unavailable("metadata instance-id: was empty, expected the id of this instance")
    return Node(
        name=name.strip(),
        on_demand=(metadata.get("instance-life-cycle") or "").strip() == "on-demand",
        address=(metadata.get("local-ipv4") or "").strip(),
        zone=(metadata.get("placement/availability-zone") or "").strip(),
        boot_id=run_dir.boot_id(),
    )
