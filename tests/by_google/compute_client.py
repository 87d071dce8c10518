"""Google's own client drives the local cloud over HTTP, so that neither can have the API wrong in the same way as we.

Its import takes several seconds of processor: nothing else is tested with it.
"""

from collections.abc import Iterator
from types import ModuleType, SimpleNamespace
from typing import Any
from uuid import uuid4

import pytest

from spotkeeper_lab.local_gcp import LocalGcp, Timing

REGION = "europe-west4"
QUICK = Timing(
    notice_seconds=0.05,
    shutdown_seconds=0.05,
    boot_seconds=0.02,
    status_lag_seconds=0.02,
    repair_delay_seconds=0.01,
    retry_seconds=0.05,
    operation_seconds=0.02,
)


@pytest.fixture(scope="module")
def compute() -> ModuleType:
    from google.cloud import compute_v1

    return compute_v1


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalGcp]:
    with LocalGcp(tmp_path_factory.mktemp("cloud"), QUICK) as made:
        yield made


@pytest.fixture(scope="module")
def clients(compute: Any, cloud: LocalGcp) -> SimpleNamespace:
    from google.api_core.client_options import ClientOptions
    from google.auth.credentials import AnonymousCredentials

    options = {
        "transport": "rest",
        "credentials": AnonymousCredentials(),
        "client_options": ClientOptions(api_endpoint=cloud.endpoint),
    }

    groups = compute.RegionInstanceGroupManagersClient(**options)
    templates = compute.RegionInstanceTemplatesClient(**options)
    for client in (groups, templates):  # else they ask Google itself how far an operation is
        operations = compute.RegionOperationsClient(**options)
        client.transport._extended_operations_services["region_operations"] = operations
    where = {"project": cloud.project, "region": REGION}
    return SimpleNamespace(
        groups=groups, templates=templates, instances=compute.InstancesClient(**options), where=where
    )


@pytest.fixture(scope="module")
def template(compute: Any, clients: Any) -> str:
    scheduling = compute.Scheduling(
        provisioning_model="SPOT",
        instance_termination_action="DELETE",
        preemptible=True,
        automatic_restart=False,
        preemption_notice_duration=compute.Duration(seconds=120),
    )
    properties = compute.InstanceProperties(
        machine_type="g2-standard-4",
        scheduling=scheduling,
        disks=[
            compute.AttachedDisk(boot=True, initialize_params=compute.AttachedDiskInitializeParams(disk_size_gb=50))
        ],
        network_interfaces=[compute.NetworkInterface(network="global/networks/default")],
        metadata=compute.Metadata(items=[compute.Items(key="startup-script", value="true")]),
    )
    body = compute.InstanceTemplate(name="spot", properties=properties)
    clients.templates.insert(**clients.where, instance_template_resource=body).result(timeout=30)
    kept = clients.templates.get(**clients.where, instance_template="spot")
    assert kept.properties.scheduling.preemption_notice_duration.seconds == 120
    assert kept.properties.disks[0].initialize_params.disk_size_gb == 50
    return str(kept.self_link)


def fleet(compute: Any, clients: Any, template: str, name: str, size: int) -> None:
    on_repair = compute.InstanceGroupManagerInstanceLifecyclePolicyOnRepair(allow_changing_zone="YES")
    body = compute.InstanceGroupManager(
        name=name,
        base_instance_name=name,
        target_size=size,
        versions=[compute.InstanceGroupManagerVersion(instance_template=template)],
        list_managed_instances_results="PAGINATED",
        distribution_policy=compute.DistributionPolicy(target_shape="ANY"),
        update_policy=compute.InstanceGroupManagerUpdatePolicy(instance_redistribution_type="NONE"),
        instance_lifecycle_policy=compute.InstanceGroupManagerInstanceLifecyclePolicy(on_repair=on_repair),
    )
    clients.groups.insert(**clients.where, instance_group_manager_resource=body).result(timeout=30)


def started(cloud: LocalGcp, name: str, count: int) -> None:
    """Wait until so many instances of a group have started, counting all their lives."""
    seen: set[str] = set()

    def holds(moment: Any) -> bool:
        if moment.what == "instance-running" and moment.detail["group"] == name:
            seen.add(moment.detail["id"])
        return len(seen) >= count

    cloud.events.wait(holds, timeout=60)


def test_a_group_lives_through_a_preemption_and_loses_whom_it_is_told_to(
    compute: Any, clients: Any, template: str, cloud: LocalGcp
) -> None:
    fleet(compute, clients, template, "fleet", 2)
    started(cloud, "fleet", 2)
    of_fleet = {**clients.where, "instance_group_manager": "fleet"}
    before = list(clients.groups.list_managed_instances(**of_fleet))
    assert [(one.current_action, one.instance_status) for one in before] == [("NONE", "RUNNING")] * 2
    cloud.interrupt(before[0].name)
    started(cloud, "fleet", 3)
    request = compute.ListManagedInstancesRegionInstanceGroupManagersRequest(**of_fleet, max_results=1)
    after = list(clients.groups.list_managed_instances(request=request))
    assert [one.name for one in after] == [one.name for one in before]
    assert [one.id == old.id for one, old in zip(after, before, strict=True)] == [False, True]
    named = compute.RegionInstanceGroupManagersDeleteInstancesRequest(instances=[after[1].instance])
    request = compute.DeleteInstancesRegionInstanceGroupManagerRequest(
        **of_fleet,
        region_instance_group_managers_delete_instances_request_resource=named,
        request_id=str(uuid4()),
    )
    for _ in range(2):  # the second one is the first one repeated
        clients.groups.delete_instances(request=request).result(timeout=30)
    cloud.events.wait(
        lambda moment: moment.what == "terminated" and moment.node == f"{after[1].name}.{after[1].id}", timeout=60
    )
    assert clients.groups.get(**of_fleet).target_size == 1
    zone = after[0].instance.split("/")[-3]
    instance = clients.instances.get(project=cloud.project, zone=zone, instance=after[0].name)
    assert (instance.id, instance.status) == (after[0].id, "RUNNING")
    assert [one.name for one in clients.instances.list(project=cloud.project, zone=zone)] == [after[0].name]
    clients.groups.delete(**of_fleet).result(timeout=30)


def test_what_the_market_refuses_reaches_the_client(compute: Any, clients: Any, template: str, cloud: LocalGcp) -> None:
    fleet(compute, clients, template, "dry", 0)
    of_dry = {**clients.where, "instance_group_manager": "dry"}
    cloud.market.set_capacity(0)
    try:
        clients.groups.resize(**of_dry, size=1).result(timeout=30)
        (one,) = clients.groups.list_managed_instances(**of_dry)
        assert one.current_action == "CREATING"
        assert one.last_attempt.errors.errors[0].code == "ZONE_RESOURCE_POOL_EXHAUSTED"
    finally:
        cloud.market.set_capacity(None)
    started(cloud, "dry", 1)
    patched = compute.InstanceGroupManager(target_size=0)
    clients.groups.patch(**of_dry, instance_group_manager_resource=patched).result(timeout=30)
    assert clients.groups.get(**of_dry).target_size == 0


def test_refusals_reach_the_client_by_their_kind(compute: Any, clients: Any, template: str) -> None:
    from google.api_core.exceptions import BadRequest, Conflict, NotFound

    with pytest.raises(NotFound, match="instanceGroupManagers/nobody' was not found"):
        clients.groups.get(**clients.where, instance_group_manager="nobody")
    with pytest.raises(Conflict, match="already exists"):
        body = compute.InstanceTemplate(name="spot", properties=clients.templates.get(
            **clients.where, instance_template="spot").properties)  # fmt: skip
        clients.templates.insert(**clients.where, instance_template_resource=body)
    with pytest.raises(BadRequest, match=r"'resource.distributionPolicy.targetShape': 'ANYWHERE'"):
        policy = compute.DistributionPolicy(target_shape="ANYWHERE")
        group = compute.InstanceGroupManager(
            name="g", target_size=1, instance_template=template, distribution_policy=policy
        )
        clients.groups.insert(**clients.where, instance_group_manager_resource=group)
