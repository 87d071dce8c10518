"""The responder's function: its account, its code and what it may do."""

from dataclasses import dataclass

import pulumi
import pulumi_gcp as gcp

from spotkeeper.archives import function_archive, function_digest
from spotkeeper.gcp import naming
from spotkeeper.gcp.account import account, granted, member
from spotkeeper.gcp.grants import FUNCTION, function_grants
from spotkeeper.gcp.labels import Labels
from spotkeeper.gcp.naming import Place

RUNTIME, ENTRY_POINT = "python313", "on_message"
MEMORY, CPU = "512Mi", "1"
"""Concurrency needs a whole processor."""
CONCURRENCY = 400
"""Requests that one instance takes at once: one responds to all that wait, so that a storm is few decisions. A thousand
preemptions in half a minute are three hundred within a rest of the function: they wait on a lock and cost nothing."""
INSTANCES = 1
"""Fleets are guarded by compare-and-swap, so two at a time would only be wasteful."""
SOURCE_DATE_EPOCH = "315532800"
"""With any such date Python's compiler writes bytecode that holds whatever the dates of files become in an image.
Google's builder compiles what it is given; without it every start would do that again, for a sixth of its time."""
FUNCTION_SECONDS = 60
"""How long a request may take: a batch of 15 s, and one that it waits for."""
PERMISSIONS = ("compute.instanceGroupManagers.get", "compute.instanceGroupManagers.update")
"""What resizing a managed instance group, listing it and deleting instances of it takes. IAM binds neither to groups of
certain names: whoever has them may resize every managed instance group of the project, and the function is told only of
those that begin with ``spotkeeper-``."""


@dataclass(frozen=True)
class Function:
    """The function and its account."""

    function: gcp.cloudfunctionsv2.Function
    account: gcp.serviceaccount.Account

    @property
    def url(self) -> pulumi.Output[str]:
        """Where it is called: its service's own address, the only one that requests from inside may use."""
        return self.function.service_config.apply(lambda service: str(service.uri) if service else "")


def function(
    name: str,
    *,
    responder: pulumi.Output[str],
    place: pulumi.Output[Place],
    bucket: gcp.storage.Bucket,
    build_service_account: pulumi.Input[str] | None,
    labels: pulumi.Output[Labels],
    opts: pulumi.ResourceOptions,
) -> Function:
    """Make the function; nobody without a binding may call it, and nobody from outside of the project at all."""
    acting = account(
        name,
        "responder",
        owner=responder,
        description="Keeps Spotkeeper fleets at strength",
        opts=opts,
    )
    role = gcp.projects.IAMCustomRole(
        f"{name}-groups",
        role_id=responder.apply(naming.role_id),
        title="Spotkeeper: sizes of fleets",
        description="Looks at managed instance groups and changes their sizes",
        permissions=list(PERMISSIONS),
        opts=opts,
    )
    bound = gcp.projects.IAMMember(
        f"{name}-groups", project=place.project, role=role.name, member=member(acting), opts=opts
    )
    grants = granted(name, FUNCTION, responder.apply(function_grants), to=acting, opts=opts)
    code = gcp.storage.BucketObject(
        f"{name}-function",
        bucket=bucket.name,
        name=f"function/{function_digest('gcp')}.zip",
        source=function_archive("gcp"),
        opts=opts,
    )
    made = gcp.cloudfunctionsv2.Function(
        f"{name}-function",
        name=responder.apply(naming.function_name),
        description="Keeps Spotkeeper fleets at strength",
        location=place.region,
        build_config={
            "runtime": RUNTIME,
            "entry_point": ENTRY_POINT,
            "service_account": build_service_account,
            "environment_variables": {"SOURCE_DATE_EPOCH": SOURCE_DATE_EPOCH},
            "source": {"storage_source": {"bucket": bucket.name, "object": code.name}},
        },
        service_config={
            "service_account_email": acting.email,
            "available_memory": MEMORY,
            "available_cpu": CPU,
            "min_instance_count": 0,
            "max_instance_count": INSTANCES,
            "max_instance_request_concurrency": CONCURRENCY,
            "timeout_seconds": FUNCTION_SECONDS,
            "ingress_settings": "ALLOW_INTERNAL_ONLY",
            "environment_variables": {
                "THREADS": str(CONCURRENCY),  # the framework's server takes four requests a processor otherwise
                "SPOTKEEPER_LEDGER": responder.apply(lambda known: f"gs://{known}"),
                "SPOTKEEPER_PROJECT": place.project,
                "SPOTKEEPER_REGION": place.region,
            },
        },
        labels=labels,
        opts=pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(depends_on=[bound, *grants])),
    )
    return Function(made, acting)
