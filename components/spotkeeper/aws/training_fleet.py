"""``AwsTrainingFleet``: the nodes that one training job runs on."""

from collections.abc import Sequence
from functools import partial

import pulumi
import pulumi_aws as aws

from spotkeeper.archives import agent_archive
from spotkeeper.aws import naming
from spotkeeper.aws.fleet_args import AwsTrainingFleetArgs
from spotkeeper.aws.groups import plan_groups, training_group
from spotkeeper.aws.launch_template import launch_template
from spotkeeper.aws.network import network_of, security_groups
from spotkeeper.aws.node_role import node_role
from spotkeeper.aws.node_software import agent_object, user_data
from spotkeeper.aws.place import place_of
from spotkeeper.aws.pools import plan_market
from spotkeeper.aws.spec_object import spec_object
from spotkeeper.aws.tags import fleet_tags, user_tags
from spotkeeper.declared import declared
from spotkeeper.fleet import check_command, plan_fleet
from spotkeeper.inputs import known_only, now_or_later, required, whole_number
from spotkeeper.naming import check_apart, fleet_id, parse_checkpoint_uri, parse_responder
from spotkeeper.outputs import outputs_of
from spotkeeper.overdue import refused_if_new
from spotkeeper.pools import WEIGHTS
from spotkeeper_ledger import keys


class AwsTrainingFleet(pulumi.ComponentResource):
    """A spot group and an on-demand backup group that run one training job, kept at strength by the responder.

    The backup holds exactly what spot is missing and gives it back by itself. A fleet runs one job: when the command
    has exited with 0 on a node, both groups go to zero. Its id is ``<project>-<stack>-<name>``; both groups, the tag
    ``spotkeeper:fleet`` and the folder in the ledger go by it.
    """

    fleet: pulumi.Output[str]
    """Id of the fleet: ``<project>-<stack>-<name>``."""
    spot_group_name: pulumi.Output[str]
    """Name of the Auto Scaling group that is all spot."""
    spot_group_arn: pulumi.Output[str]
    """ARN of the Auto Scaling group that is all spot."""
    backup_group_name: pulumi.Output[str]
    """Name of the Auto Scaling group that is all on-demand."""
    backup_group_arn: pulumi.Output[str]
    """ARN of the Auto Scaling group that is all on-demand."""
    role_name: pulumi.Output[str]
    """Name of the nodes' role: attach policies to it for whatever else the job needs, such as its training data."""
    role_arn: pulumi.Output[str]
    """ARN of the nodes' role: a checkpoint bucket of another account has to allow it."""
    security_group_ids: pulumi.Output[Sequence[str]]
    """Security groups of the nodes: those that were given, else the one that was made."""
    launch_template_id: pulumi.Output[str]
    """Id of the launch template that all nodes start from."""
    ledger_prefix: pulumi.Output[str]
    """Where the fleet's objects lie in the responder's ledger: ``s3://<ledger bucket>/fleets/<fleet>/``."""

    def __init__(self, name: str, args: AwsTrainingFleetArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Declare a fleet.

        Args:
            name: the component's name, the last part of the fleet's id.
            args: see :class:`~spotkeeper.aws.fleet_args.AwsTrainingFleetArgs`.
            opts: as for every resource; a provider reaches all children.

        Raises:
            InputError: an input cannot be used. What depends on values that are not known yet is refused when they are.
        """
        known_only(args, AwsTrainingFleetArgs.__annotations__, WEIGHTS)
        required(args, "subnet_ids", "nodes", "image_id", "command", "checkpoint_uri", "responder")
        plan = plan_fleet(args)
        market = plan_market(args, plan.gang)
        volume_gib = whole_number(args, "root_volume_gib", 100, 1, 16384)
        fleet = fleet_id(pulumi.get_project(), pulumi.get_stack(), name, naming.MAX_FLEET)
        responder = now_or_later(
            args, "responder", partial(parse_responder, scheme="s3", component="an AwsInterruptionResponder")
        )
        given_checkpoint = now_or_later(args, "checkpoint_uri", partial(parse_checkpoint_uri, scheme="s3"))
        command = now_or_later(args, "command", check_command)

        opts = refused_if_new(fleet, args, plan.deadline, opts)
        super().__init__("spotkeeper:index:AwsTrainingFleet", name, declared(plan, args), opts)
        child = pulumi.ResourceOptions(parent=self)
        place = place_of(self)
        network = network_of(self, args["subnet_ids"], market)
        checkpoint = pulumi.Output.all(given_checkpoint, responder).apply(lambda known: check_apart(*known))
        checkpoint_uri = checkpoint.apply(lambda known: known.uri)
        tags = pulumi.Output.all(user_tags(args.get("tags")), responder).apply(
            lambda known: fleet_tags(known[0], fleet, known[1])
        )

        role = node_role(
            name, fleet=fleet, place=place, responder=responder, checkpoint=checkpoint, tags=tags, opts=child
        )
        incarnation = role.role.unique_id
        archive = agent_archive()
        agent = agent_object(name, archive, responder=responder, opts=child)
        self.security_group_ids = security_groups(
            name, fleet=fleet, given=args.get("security_group_ids"), network=network, tags=tags, opts=child
        )
        template = launch_template(
            name,
            fleet=fleet,
            image_id=args["image_id"],
            user_data=user_data(
                plan,
                archive,
                fleet=fleet,
                place=place,
                responder=responder,
                incarnation=incarnation,
                command=command,
                checkpoint_uri=checkpoint_uri,
            ),
            profile_arn=role.profile.arn,
            security_group_ids=self.security_group_ids,
            root_volume_gib=volume_gib,
            kms_key_arn=args.get("kms_key_arn"),
            tags=tags,
            opts=child,
        )
        spot, backup = (
            training_group(
                name,
                this,
                fleet=fleet,
                plan=plan,
                market=market,
                template=template,
                subnet_ids=network.apply(lambda known: list(known.subnet_ids)),
                tags=tags,
                # The first node needs both, and so does the last one, which saves while the stack is destroyed.
                opts=pulumi.ResourceOptions(parent=self, depends_on=[role.policy, agent]),
            )
            for this in plan_groups(plan)
        )
        spec_object(
            name,
            plan,
            fleet=fleet,
            place=place,
            responder=responder,
            incarnation=incarnation,
            command_version=_template_version(spot),
            checkpoint_uri=checkpoint_uri,
            node_types=market.types,
            # Last to come and first to go: the responder never acts on a group that is not there or is being drained.
            opts=pulumi.ResourceOptions(parent=self, depends_on=[spot, backup]),
        )

        self.fleet = pulumi.Output.from_input(fleet)
        self.spot_group_name, self.spot_group_arn = spot.name, spot.arn
        self.backup_group_name, self.backup_group_arn = backup.name, backup.arn
        self.role_name, self.role_arn = role.role.name, role.role.arn
        self.launch_template_id = template.id
        self.ledger_prefix = responder.apply(lambda known: f"s3://{known}/{keys.fleet_prefix(fleet)}")
        self.register_outputs(outputs_of(self, AwsTrainingFleet))


def _template_version(group: aws.autoscaling.Group) -> pulumi.Output[str]:
    """Return the version that the group really starts nodes from; it may be kept at an older one (``on_update``)."""
    return group.mixed_instances_policy.apply(
        lambda policy: str(policy.launch_template.launch_template_specification.version)
    )
