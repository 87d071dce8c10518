"""Where a fleet's nodes live: zones, subnetwork, and the rule that lets the nodes of a gang reach each other."""

from collections.abc import Sequence

import pulumi
import pulumi_gcp as gcp

from spotkeeper.errors import InputError
from spotkeeper.gcp import naming
from spotkeeper.gcp.market import Market, check_zones
from spotkeeper.gcp.naming import Place


def zones_of(
    component: pulumi.ComponentResource, place: pulumi.Output[Place], market: Market
) -> pulumi.Output[Sequence[str]]:
    """Look the region's zones up and check them against what was asked for."""
    found = gcp.compute.get_zones_output(
        project=place.project, region=place.region, opts=pulumi.InvokeOptions(parent=component)
    )
    return pulumi.Output.all(place, found.names).apply(lambda known: check_zones(market, known[0].region, known[1]))


def subnetwork_of(
    component: pulumi.ComponentResource, given: pulumi.Input[str], place: pulumi.Output[Place]
) -> pulumi.Output[gcp.compute.GetSubnetworkResult]:
    """Look the subnetwork up, by its name or by its path. In a preview that does not know it yet, this waits."""
    opts = pulumi.InvokeOptions(parent=component)

    def look_up(known: Sequence[object]) -> pulumi.Output[gcp.compute.GetSubnetworkResult]:
        path, where = check_subnetwork(str(known[0]), known[1])
        return gcp.compute.get_subnetwork_output(name=path, region=where.region, project=where.project, opts=opts)

    return pulumi.Output.all(given, place).apply(look_up)


def check_subnetwork(given: str, place: object) -> tuple[str, Place]:
    """Return the name of a subnetwork and where it is: of this project, or of one that shares its network.

    Raises:
        InputError: it is of another region.
    """
    if not isinstance(place, Place):
        raise TypeError(place)
    path = given.partition("/projects/")[2] or given.removeprefix("projects/")
    if "/" not in path:
        return given, place
    parts = path.split("/")
    if len(parts) != 5 or (parts[1], parts[3]) != ("regions", "subnetworks"):
        raise InputError("subnetwork", given, "its name, or projects/<project>/regions/<region>/subnetworks/<name>")
    project, region, name = parts[0], parts[2], parts[4]
    if region != place.region:
        raise InputError("subnetwork", given, f"a subnetwork of {place.region}, where the provider puts the fleet")
    return name, Place(project, place.number, region)


def firewall(
    name: str,
    *,
    fleet: str,
    network: pulumi.Output[str],
    account: gcp.serviceaccount.Account,
    opts: pulumi.ResourceOptions,
) -> gcp.compute.Firewall:
    """Let nodes of the fleet, known by their account, reach each other; a network lets nothing in by itself."""
    return gcp.compute.Firewall(
        f"{name}-nodes",
        name=naming.firewall_name(fleet),
        description=f"Nodes of Spotkeeper fleet {fleet} reach each other",
        network=network,
        direction="INGRESS",
        source_service_accounts=[account.email],
        target_service_accounts=[account.email],
        allows=[{"protocol": "all"}],
        opts=opts,
    )
