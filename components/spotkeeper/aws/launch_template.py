"""What every node of a fleet starts from, spot or on-demand."""

import base64
from collections.abc import Sequence

import pulumi
import pulumi_aws as aws

from spotkeeper.aws.tags import Tags


def launch_template(
    name: str,
    *,
    fleet: str,
    image_id: pulumi.Input[str],
    user_data: pulumi.Output[str],
    profile_arn: pulumi.Output[str],
    security_group_ids: pulumi.Output[Sequence[str]],
    root_volume_gib: int,
    kms_key_arn: pulumi.Input[str] | None,
    tags: pulumi.Output[Tags],
    opts: pulumi.ResourceOptions,
) -> aws.ec2.LaunchTemplate:
    """Make the launch template: IMDSv2 only, no public address, an encrypted root volume, tags on instance and volume.

    Metadata answers one hop far, so that a container on a bridge network cannot take the node's role; a command that
    trains in a container and needs it runs that with ``--network host``.
    """
    return aws.ec2.LaunchTemplate(
        f"{name}-template",
        description=f"Nodes of Spotkeeper fleet {fleet}",
        image_id=image_id,
        user_data=user_data.apply(lambda script: base64.b64encode(script.encode()).decode()),
        iam_instance_profile={"arn": profile_arn},
        metadata_options={"http_endpoint": "enabled", "http_tokens": "required", "http_put_response_hop_limit": 1},
        network_interfaces=[
            {
                "device_index": 0,
                "associate_public_ip_address": "false",
                "delete_on_termination": "true",
                "security_groups": security_group_ids,
            }
        ],
        block_device_mappings=[
            {
                "device_name": root_device(image_id, opts),
                "ebs": {
                    "volume_type": "gp3",
                    "volume_size": root_volume_gib,
                    "encrypted": "true",
                    "kms_key_id": kms_key_arn,
                    "delete_on_termination": "true",
                },
            }
        ],
        tag_specifications=[{"resource_type": kind, "tags": tags} for kind in ("instance", "volume")],
        tags=tags,
        opts=opts,
    )


def root_device(image_id: pulumi.Input[str], opts: pulumi.ResourceOptions) -> pulumi.Output[str]:
    """Return the image's root device: a mapping under another name would add a volume and not size the root."""
    by_id = pulumi.Output.from_input(image_id).apply(
        lambda known: [aws.ec2.GetAmiFilterArgs(name="image-id", values=[known])]
    )
    image = aws.ec2.get_ami_output(
        filters=by_id, include_deprecated=True, opts=pulumi.InvokeOptions(parent=opts.parent)
    )
    return image.root_device_name
