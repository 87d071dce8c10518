"""The SSM document that tells nodes to save now: the first of the two paths that a signal takes."""

from typing import Any

import pulumi
import pulumi_aws as aws

from spotkeeper.aws import naming
from spotkeeper.aws.tags import Tags

PARAMETERS = {
    "Fleet": ("Id of the fleet.", r"^[a-z0-9][a-z0-9-]{0,127}$"),
    "Kind": ("What the nodes are told.", r"^(interruption|rebalance|scale-in|drain)$"),
    "Deadline": ("Unix seconds at which the nodes go, or none.", r"^([0-9]{1,12}|none)$"),
    "Nodes": ("Instance ids it concerns, or all.", r"^(all|i-[0-9a-f]{8,17}(,i-[0-9a-f]{8,17}){0,999})$"),
}
"""Description and allowed pattern of each parameter. No pattern lets through a character that a shell would act on."""

COMMAND = (
    "/usr/local/bin/spotkeeper-agent notice"
    " --fleet '{{ Fleet }}' --kind '{{ Kind }}' --deadline '{{ Deadline }}' --nodes '{{ Nodes }}'"
)


def content() -> dict[str, Any]:
    """Return the document: one command line whose only variable parts are the parameters."""
    return {
        "schemaVersion": "2.2",
        "description": "Tells the Spotkeeper agent of a fleet's nodes that some of them are going.",
        "parameters": {
            name: {"type": "String", "description": description, "allowedPattern": pattern}
            for name, (description, pattern) in PARAMETERS.items()
        },
        "mainSteps": [
            {
                "action": "aws:runShellScript",
                "name": "notice",
                "precondition": {"StringEquals": ["platformType", "Linux"]},
                "inputs": {"timeoutSeconds": "30", "runCommand": [COMMAND]},
            }
        ],
    }


def notice_document(
    name: str, *, responder: pulumi.Output[str], tags: pulumi.Output[Tags], opts: pulumi.ResourceOptions
) -> aws.ssm.Document:
    """Make the document."""
    return aws.ssm.Document(
        f"{name}-notice",
        name=responder.apply(naming.document_name),
        document_type="Command",
        document_format="JSON",
        target_type="/AWS::EC2::Instance",
        content=pulumi.Output.json_dumps(content()),
        tags=tags,
        opts=opts,
    )
