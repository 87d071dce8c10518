"""The inputs of :class:`~spotkeeper.aws.training_fleet.AwsTrainingFleet`.

Those that mean the same on every cloud are written down once for each, because other languages' documentation is read
from the class's own source; a test holds them together.
"""

from collections.abc import Mapping, Sequence
from typing import NotRequired, TypedDict

import pulumi

from spotkeeper.aws.pools import AwsInstanceRequirementsArgs
from spotkeeper.deadline import FleetDeadlineArgs
from spotkeeper.fleet import FleetElasticArgs, FleetTimingsArgs


class AwsTrainingFleetArgs(TypedDict):
    """What a fleet is made of. Only the first six, and one of the two ways to choose instances, are required."""

    subnet_ids: pulumi.Input[Sequence[pulumi.Input[str]]]
    """Subnets of one VPC that nodes may start in, in as many zones as possible. Nodes get no public address, so private
    subnets need routes to S3, Auto Scaling and Systems Manager (a NAT gateway, or VPC endpoints)."""
    nodes: int
    """How many nodes the job runs on, on-demand ones included. A change reaches a running fleet undisturbed."""
    image_id: pulumi.Input[str]
    """Id of the machine image (AMI): Linux with systemd, bash and Python 3.9 or later, and the SSM agent for the second
    path of signals."""
    command: pulumi.Input[str]
    """The training command, run by ``/bin/sh -c`` as root on one node at a time (the others are spares until then), or
    on all of an ``elastic`` fleet, such as ``torchrun train.py``. It exits with 0 when the training is finished. It is
    kept in the template of nodes: no secrets in it."""
    checkpoint_uri: pulumi.Input[str]
    """Where the job keeps its checkpoints: ``s3://bucket/prefix``. Nodes may read, write and delete what lies below it.
    A bucket of another account has to allow the fleet's ``role_arn`` ``s3:GetObject``, ``s3:PutObject``,
    ``s3:DeleteObject`` and ``s3:AbortMultipartUpload`` on the prefix and ``s3:ListBucket`` on the bucket; a KMS key of
    the bucket has to allow it ``kms:Decrypt`` and ``kms:GenerateDataKey``."""
    responder: pulumi.Input[str]
    """``uri`` of the AwsInterruptionResponder of this account and region; it is what answers for the fleet."""

    instance_types: NotRequired[Sequence[str]]
    """Instance types that will do, such as ``["g5.xlarge", "g5.2xlarge", "g4dn.xlarge"]``; for the strategy
    ``capacity-optimized-prioritized`` in order of preference. Either this or ``instance_requirements``."""
    instance_requirements: NotRequired[AwsInstanceRequirementsArgs]
    """Which instances will do, by their attributes. They count as three types where candidate pools are counted."""
    allocation_strategy: NotRequired[str]
    """How spot picks among the pools: ``capacity-optimized`` (default: the pool that is least likely to be reclaimed),
    ``capacity-optimized-prioritized`` or ``price-capacity-optimized``."""
    accept_narrow_pool: NotRequired[bool]
    """Accept fewer than six candidate pools (types of machines times zones). Default false: such a fleet is refused,
    because it loses many nodes at once and waits long for new ones."""
    gang: NotRequired[str]
    """``none`` (default: nodes do not talk to each other), ``region``, or ``single_zone``: the nodes that run the job
    together are of one zone. Nodes of a gang need the same accelerator."""

    elastic: NotRequired[FleetElasticArgs]
    """Run the command on all nodes together, on as many as there are: when nodes go or come, it saves, stops, and
    starts again on those that are there then, with ``torchrun``'s environment (``PET_NNODES`` and the like) set for
    each. Needs a ``gang``. Default: one node runs the command, the others wait to take over."""

    on_demand_base: NotRequired[int]
    """How many of the nodes are always on-demand. Default 0."""
    on_demand_max: NotRequired[int]
    """Most on-demand nodes that the fleet may ever hold, the base included. Default ``nodes``."""
    max_on_demand_hours: NotRequired[float]
    """Node-hours of on-demand beyond the base that the fleet may use in its life, such as 20 for two nodes over ten
    hours. When they are used, people are told, nodes beyond the base save and are drained, and none is bought until the
    input is raised; time is taken once a minute, and the last save comes on top. Default: no limit."""
    policy: NotRequired[str]
    """What a shortfall of spot nodes is worth: ``mirror`` (default: one on-demand node for each that is missing),
    ``patient`` (the same, once the shortfall has lasted ``policy_wait_seconds``), ``never``, or ``deadline`` (as little
    as keeps the job in time and no dearer than on-demand; needs ``deadline``)."""
    policy_wait_seconds: NotRequired[float]
    """``patient`` only: how long to wait for spot before on-demand is bought. Default 600."""
    deadline: NotRequired[FleetDeadlineArgs]
    """``deadline`` only: by when the job has to be done, and what it may cost. The job has to report its steps."""
    on_rebalance: NotRequired[str]
    """What a rebalance recommendation, which may come long before an interruption or without one, is answered with:
    ``checkpoint`` (default: save and go on), ``replace`` (start another spot node, then let this one go) or
    ``ignore``."""
    on_update: NotRequired[str]
    """When nodes change to a new version of their template (image, command, volume, agent): ``next-run`` (default:
    this fleet keeps the version that it was created with, replacements too; a fleet of another name, or one created
    anew, starts from the new one) or ``checkpoint-restart`` (save, drain nodes by name, go on with the new
    version)."""
    on_destroy: NotRequired[str]
    """What destroying the fleet does first: ``checkpoint`` (default: every node saves before it goes, which takes up to
    ``timings.hook_seconds``) or ``force`` (nodes go at once, without saving)."""
    workload: NotRequired[str]
    """``training``, which is also the default. ``serving`` is refused."""
    max_restarts: NotRequired[int]
    """How many crashes of the command are answered with a restart on the same node, or, in an ``elastic`` fleet, on all
    nodes; interruptions do not count. Default 3."""
    notice_signal: NotRequired[str]
    """How a job that does not look at the agent's notice is told that its node will go: ``USR1``, ``USR2``, ``HUP``,
    ``INT`` or ``TERM``, sent to those of its processes that catch it, or ``none`` (default). After it, exit code 0
    means that the job has stopped, not that its work is done."""
    notice_command: NotRequired[str]
    """Run on the node for every notice, a rebalance recommendation among them, while the job runs there. It is told of
    the notice by its environment (``spotkeeper-agent --help``), and stopped before the job is. Default: none."""
    notice_command_confirms: NotRequired[bool]
    """Whether the success of ``notice_command`` means that a whole checkpoint is saved, for jobs without a guard.
    Default: false."""
    timings: NotRequired[FleetTimingsArgs]
    """How long the fleet waits for what."""

    root_volume_gib: NotRequired[int]
    """Size of the root volume, a gp3 that is always encrypted. Default 100; at least the image's own."""
    kms_key_arn: NotRequired[pulumi.Input[str]]
    """Own key for the root volume. Default: the account's key for EBS. Instances are started by Auto Scaling, so the
    key has to let its service-linked role use it
    (``role/aws-service-role/autoscaling.amazonaws.com/AWSServiceRoleForAutoScaling``): in the same account by the key's
    policy (``kms:Encrypt``, ``kms:Decrypt``, ``kms:ReEncrypt*``, ``kms:GenerateDataKey*``, ``kms:DescribeKey``, and
    ``kms:CreateGrant`` with ``kms:GrantIsForAWSResource``), for a key of another account by a grant to that role.
    Without it instances end as soon as they start."""
    security_group_ids: NotRequired[pulumi.Input[Sequence[pulumi.Input[str]]]]
    """Security groups of the nodes. Default: one is made that lets nodes reach each other and everything outside, and
    lets nothing in. Groups that are given have to let nodes reach each other where they form a gang."""
    tags: NotRequired[pulumi.Input[Mapping[str, pulumi.Input[str]]]]
    """Tags of all resources, instances and volumes."""
