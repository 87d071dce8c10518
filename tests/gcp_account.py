"""A project of the local Google Cloud with one fleet, and the cloud that the responder sees of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from agent_support import wait_until
from responder_support import spec
from spotkeeper_lab.local_gcp import LocalGcp, Timing
from spotkeeper_ledger import FleetSpec
from spotkeeper_responder import SPOT, FleetView, State
from spotkeeper_responder.gcp import Compute, GcpCloud

REGION = "europe-west4"
FAST = Timing(
    notice_seconds=0.2, shutdown_seconds=0.1, boot_seconds=0.05, status_lag_seconds=0.1, repair_delay_seconds=0.05,
    retry_seconds=0.1, operation_seconds=0.01, wait_seconds=5,
)  # fmt: skip
TEMPLATE: dict[str, Any] = {
    "machineType": "n2-standard-4",
    "disks": [
        {"boot": True, "initializeParams": {"sourceImage": "projects/debian-cloud/global/images/family/debian-12"}}
    ],
    "networkInterfaces": [{"network": "global/networks/default"}],
}
SCHEDULING = {
    "spot": {
        "provisioningModel": "SPOT",
        "preemptible": True,
        "automaticRestart": False,
        "instanceTerminationAction": "DELETE",
    },
    "backup": {"provisioningModel": "STANDARD"},
}


FLEET = "shop-prod-digits"


def fleet(**changes: object) -> FleetSpec:
    """Return the fleet's spec."""
    groups = {"spot_group": f"spotkeeper-{FLEET}-spot", "backup_group": f"spotkeeper-{FLEET}-backup"}
    return spec(**{"fleet": FLEET, "cloud": "gcp", "region": REGION, "node_prefix": "", **groups, **changes})  # type: ignore[arg-type]


@dataclass
class Account:
    """A local project with one fleet, and the cloud that the responder sees of it."""

    local: LocalGcp
    spec: FleetSpec
    announced: list[tuple[str, str]] = field(default_factory=list)

    def compute(self) -> Compute:
        return Compute(self.local.project, REGION, tokens=None, time_left=lambda: 30.0, url=self.local.endpoint)

    def cloud(self) -> GcpCloud:
        return GcpCloud(
            self.compute(), lambda subject, text: self.announced.append((subject, text)), now=lambda: 1000.0
        )

    def view(self) -> FleetView:
        return FleetView(*self.cloud().groups(self.spec))

    def nodes(self, group: str, count: int, *, without: frozenset[str] = frozenset()) -> list[str]:
        """Return the nodes that run, once there are so many."""

        def running() -> list[str] | None:
            seen = next(view for name, view in self.view().groups() if name == group)
            found = [i.node for i in seen.instances if i.state is State.IN_SERVICE and i.node not in without]
            return found if len(found) == count == seen.desired else None

        return wait_until(running) if count else []

    def make(self, sizes: dict[str, int]) -> None:
        compute = self.compute()
        root = f"/compute/v1/projects/{self.local.project}/regions/{REGION}"
        for group, size in sizes.items():
            name = self.spec.spot_group if group == SPOT else self.spec.backup_group
            template = {"name": f"{name}-1", "properties": {**TEMPLATE, "scheduling": SCHEDULING[group]}}
            compute._call("POST", f"{root}/instanceTemplates", template)
            body = {
                "name": name,
                "baseInstanceName": name,
                "targetSize": size,
                "versions": [
                    {"instanceTemplate": f"projects/{self.local.project}/regions/{REGION}/instanceTemplates/{name}-1"}
                ],
                "distributionPolicy": {"targetShape": "ANY"},
                "updatePolicy": {"type": "OPPORTUNISTIC", "instanceRedistributionType": "NONE"},
                "listManagedInstancesResults": "PAGINATED",
            }
            wait_until(lambda body=body: _accepted(compute, f"{root}/instanceGroupManagers", body))
            wait_until(lambda name=name: compute.group(name))


def _accepted(compute: Compute, path: str, body: dict[str, Any]) -> bool:
    """The template is there only once its operation has ended."""
    try:
        compute._call("POST", path, body)
    except Exception as error:
        if "instanceTemplates" not in str(error):
            raise
        return False
    return True
