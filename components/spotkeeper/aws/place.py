"""Where the caller's provider puts resources: asked of the provider itself, so that components work with any."""

import pulumi
import pulumi_aws as aws

from spotkeeper.aws.naming import Place


def place_of(component: pulumi.ComponentResource) -> pulumi.Output[Place]:
    """Return partition, region and account of the provider that ``component`` was given."""
    opts = pulumi.InvokeOptions(parent=component)
    caller = aws.get_caller_identity_output(opts=opts)
    region = aws.get_region_output(opts=opts)
    return pulumi.Output.all(caller.arn, region.region, caller.account_id).apply(
        lambda known: Place(partition=known[0].split(":")[1], region=known[1], account=known[2])
    )
