"""The inputs of :class:`~spotkeeper.gcp.training_fleet.GcpTrainingFleet`.

Those that mean the same on every cloud are written down once for each, because other languages' documentation is read
from the class's own source; a test holds them together.
"""

from collections.abc import Mapping, Sequence
from typing import NotRequired, TypedDict

import pulumi

from spotkeeper.deadline import FleetDeadlineArgs
from spotkeeper.fleet import FleetElasticArgs, FleetTimingsArgs
from spotkeeper.pools import WEIGHTS

REASONS = {
    **WEIGHTS,
    "on_rebalance": "no such input: Compute Engine does not say beforehand that a machine may be preempted",
    "tags": "labels, which is what Google Cloud calls them",
    "instance_types": "machine_types",
    "image_id": "image",
    "subnet_ids": "subnetwork",
}
"""Inputs that one may look for and that do not exist, with the reason."""


class GcpTrainingFleetArgs(TypedDict):
    """What a fleet is made of. Only the first seven are required."""

    subnetwork: pulumi.Input[str]
    """Subnetwork of the provider's region that nodes start in: its name, or
    ``projects/<project>/regions/<region>/subnetworks/<name>`` for one of a shared network. Nodes get no external
    address, so it needs Private Google Access (for Cloud Storage and Pub/Sub) or a Cloud NAT."""
    nodes: int
    """How many nodes the job runs on, on-demand ones included. A change reaches a running fleet undisturbed."""
    image: pulumi.Input[str]
    """Image of the boot disk, such as ``projects/<project>/global/images/family/<family>``: Linux with Google's guest
    environment, systemd, bash, curl and Python 3.9 or later."""
    command: pulumi.Input[str]
    """The training command, run by ``/bin/sh -c`` as root on one node at a time (the others are spares until then), or
    on all of an ``elastic`` fleet, such as ``torchrun train.py``. It exits with 0 when the training is finished. It is
    kept in the template of nodes: no secrets in it."""
    checkpoint_uri: pulumi.Input[str]
    """Where the job keeps its checkpoints: ``gs://bucket/prefix``. Nodes may read, write and delete what lies below it.
    The bucket needs uniform bucket-level access, and whoever deploys the right to set its IAM policy; a key of its own
    has to let Cloud Storage's service agent use it."""
    responder: pulumi.Input[str]
    """``uri`` of the GcpInterruptionResponder of this project and region; it is what answers for the fleet."""
    machine_types: Sequence[str]
    """Machine types that will do, such as ``["g2-standard-8", "g2-standard-12"]``; for the strategy
    ``capacity-optimized-prioritized`` in order of preference. GPU and CPU machines; TPUs are not supported."""

    accelerator_type: NotRequired[str]
    """GPU that is attached to each node, such as ``nvidia-tesla-t4``: for machine types of the N1 series, which come
    with none. Default: none."""
    accelerator_count: NotRequired[int]
    """How many of them: 1 (default), 2, 4 or 8."""
    allocation_strategy: NotRequired[str]
    """How a group picks among the machine types: ``capacity-optimized`` (default: whichever has capacity) or
    ``capacity-optimized-prioritized`` (the first one that has capacity)."""
    target_shape: NotRequired[str]
    """How a group picks among the zones: ``ANY`` (default: whichever has capacity), ``BALANCED`` (the same, and as
    evenly as that allows) or ``ANY_SINGLE_ZONE`` (all nodes in one; what a gang of ``single_zone`` has)."""
    zones: NotRequired[Sequence[str]]
    """Zones of the region that nodes may start in. Default: all. A group keeps those that it was created with."""
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
    on_update: NotRequired[str]
    """When nodes change to a new version of their template (image, command, volume, agent): ``next-run`` (default:
    this fleet keeps the version that it was created with, replacements too; a fleet of another name, or one created
    anew, starts from the new one) or ``checkpoint-restart`` (save, drain nodes by name, go on with the new
    version)."""
    on_destroy: NotRequired[str]
    """``checkpoint`` (default) or ``force``, which come to the same here: destroying the fleet shuts every node down,
    and the node saves meanwhile, for which Compute Engine gives spot nodes up to 30 s and others up to 120 s. What
    takes longer goes back to the checkpoint before."""
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
    """How long the fleet waits for what. Default of ``notice_seconds``: ``preemption_notice_seconds``, and 30, which is
    the shutdown, where that is 0."""
    preemption_notice_seconds: NotRequired[int]
    """How long before its shutdown a node is told that it is preempted: 120 (default) or 0. The shutdown itself, which
    may take up to 30 s, comes on top where there is time for it. Nodes keep what they were created with."""

    boot_disk_gib: NotRequired[int]
    """Size of the boot disk, which is always encrypted. Default 100; at least the image's own."""
    boot_disk_type: NotRequired[str]
    """``pd-balanced`` (default), ``pd-ssd`` or ``hyperdisk-balanced`` (default where no machine type takes another)."""
    kms_key: NotRequired[pulumi.Input[str]]
    """Own key for the boot disk, ``projects/<project>/locations/<region>/keyRings/<ring>/cryptoKeys/<key>``. Compute
    Engine's service agent (``service-<number>@compute-system.iam.gserviceaccount.com``) needs
    ``roles/cloudkms.cryptoKeyEncrypterDecrypter`` on it. Default: Google's own."""
    secure_boot: NotRequired[bool]
    """Start only what is signed. Default false: drivers of GPUs often are not. Nodes are shielded machines in any case,
    with a virtual trusted platform module and integrity monitoring."""
    labels: NotRequired[pulumi.Input[Mapping[str, pulumi.Input[str]]]]
    """Labels of all resources that take some, of instances and of disks."""
