"""``GcpTrainingFleet``: the nodes that one training job runs on."""

import re
from functools import partial

import pulumi

from spotkeeper.archives import agent_archive
from spotkeeper.declared import declared
from spotkeeper.errors import InputError
from spotkeeper.fleet import check_command, plan_fleet
from spotkeeper.gcp import naming
from spotkeeper.gcp.fleet_args import REASONS, GcpTrainingFleetArgs
from spotkeeper.gcp.groups import plan_groups, training_group
from spotkeeper.gcp.labels import FLEET, RESPONDER, user_labels
from spotkeeper.gcp.market import check_nodes, plan_market, with_notice
from spotkeeper.gcp.network import firewall, subnetwork_of, zones_of
from spotkeeper.gcp.node_account import node_account
from spotkeeper.gcp.node_software import agent_object, shutdown_script, startup_script
from spotkeeper.gcp.place import place_of
from spotkeeper.gcp.spec_object import spec_object
from spotkeeper.gcp.templates import templates, version_of
from spotkeeper.inputs import known_only, now_or_later, required
from spotkeeper.naming import check_apart, fleet_id, parse_checkpoint_uri, parse_responder
from spotkeeper.outputs import outputs_of
from spotkeeper.overdue import refused_if_new
from spotkeeper_ledger import keys

_KEY = re.compile(r"projects/[^/]+/locations/[^/]+/keyRings/[^/]+/cryptoKeys/[^/]+")


class GcpTrainingFleet(pulumi.ComponentResource):
    """A spot group and an on-demand backup group that run one training job, kept at strength by the responder.

    The backup holds exactly what spot is missing and gives it back by itself. A fleet runs one job: when the command
    has exited with 0 on a node, both groups go to zero. Its id is ``<project>-<stack>-<name>``; both groups, the label
    ``spotkeeper-fleet`` and the folder in the ledger go by it. It has at most 40 characters, because Compute Engine's
    names are short.
    """

    fleet: pulumi.Output[str]
    """Id of the fleet: ``<project>-<stack>-<name>``."""
    spot_group_name: pulumi.Output[str]
    """Name of the managed instance group that is all spot."""
    backup_group_name: pulumi.Output[str]
    """Name of the managed instance group that is all on-demand."""
    service_account_email: pulumi.Output[str]
    """Account of the nodes: bind it to roles for whatever else the job needs, such as its training data."""
    ledger_prefix: pulumi.Output[str]
    """Where the fleet's objects lie in the responder's ledger: ``gs://<ledger bucket>/fleets/<fleet>/``."""

    def __init__(self, name: str, args: GcpTrainingFleetArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Declare a fleet.

        Args:
            name: the component's name, the last part of the fleet's id.
            args: see :class:`~spotkeeper.gcp.fleet_args.GcpTrainingFleetArgs`.
            opts: as for every resource; a provider reaches all children.

        Raises:
            InputError: an input cannot be used. What depends on values that are not known yet is refused when they are.
        """
        known_only(args, GcpTrainingFleetArgs.__annotations__, REASONS)
        required(args, "subnetwork", "nodes", "image", "command", "checkpoint_uri", "responder", "machine_types")
        market = plan_market(args, str(args.get("gang") or "none"))
        plan = plan_fleet(with_notice(args, market))
        check_nodes(plan.nodes)
        fleet = fleet_id(pulumi.get_project(), pulumi.get_stack(), name, naming.MAX_FLEET)
        responder = now_or_later(
            args, "responder", partial(parse_responder, scheme="gs", component="a GcpInterruptionResponder")
        )
        given_checkpoint = now_or_later(args, "checkpoint_uri", partial(parse_checkpoint_uri, scheme="gs"))
        command = now_or_later(args, "command", check_command)
        image = now_or_later(args, "image", _check_image)
        subnetwork_given = now_or_later(args, "subnetwork", _check_subnetwork)
        kms_key = now_or_later(args, "kms_key", _check_key) if args.get("kms_key") is not None else None

        opts = refused_if_new(fleet, args, plan.deadline, opts)
        super().__init__("spotkeeper:index:GcpTrainingFleet", name, declared(plan, args), opts)
        child = pulumi.ResourceOptions(parent=self)
        place = place_of(self)
        zones = zones_of(self, place, market)
        subnetwork = subnetwork_of(self, subnetwork_given, place)
        checkpoint = pulumi.Output.all(given_checkpoint, responder).apply(lambda known: check_apart(*known))
        checkpoint_uri = checkpoint.apply(lambda known: known.uri)
        labels = pulumi.Output.all(user_labels(args.get("labels")), responder).apply(
            lambda known: {**known[0], FLEET: fleet, RESPONDER: known[1]}
        )

        node = node_account(name, fleet=fleet, place=place, responder=responder, checkpoint=checkpoint, opts=child)
        incarnation = node.account.unique_id
        archive = agent_archive()
        agent = agent_object(name, archive, responder=responder, opts=child)
        needed = [*node.bindings, agent]
        if plan.gang != "none":
            needed.append(firewall(name, fleet=fleet, network=subnetwork.network, account=node.account, opts=child))
        started_from = templates(
            name,
            market,
            fleet=fleet,
            place=place,
            image=image,
            startup_script=startup_script(
                plan,
                archive,
                fleet=fleet,
                place=place,
                responder=responder,
                incarnation=incarnation,
                command=command,
                checkpoint_uri=checkpoint_uri,
            ),
            shutdown_script=shutdown_script(plan, fleet),
            subnetwork=subnetwork.self_link,
            account=node.account,
            kms_key=kms_key,
            labels=labels,
            kept=plan.on_update == "next-run",
            opts=child,
        )
        spot, backup = (
            training_group(
                name,
                this,
                fleet=fleet,
                plan=plan,
                market=market,
                place=place,
                template=started_from[this.kind],
                zones=zones,
                # The first node needs them, and so does the last one, which saves while the stack is destroyed.
                opts=pulumi.ResourceOptions(parent=self, depends_on=needed),
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
            # A group may be kept at an older one (``on_update``).
            command_version=spot.versions.apply(lambda versions: version_of(versions[0].instance_template)),
            checkpoint_uri=checkpoint_uri,
            # Last to come and first to go: the responder never acts on a group that is not there or is being deleted.
            opts=pulumi.ResourceOptions(parent=self, depends_on=[spot, backup]),
        )

        self.fleet = pulumi.Output.from_input(fleet)
        self.spot_group_name, self.backup_group_name = spot.name, backup.name
        self.service_account_email = node.account.email
        self.ledger_prefix = responder.apply(lambda known: f"gs://{known}/{keys.fleet_prefix(fleet)}")
        self.register_outputs(outputs_of(self, GcpTrainingFleet))


def _check_image(image: str) -> str:
    if not image.strip():
        raise InputError("image", image, "an image, such as projects/<project>/global/images/family/<family>")
    return image


def _check_subnetwork(subnetwork: str) -> str:
    if not subnetwork.strip():
        raise InputError("subnetwork", subnetwork, "a subnetwork's name or path")
    return subnetwork


def _check_key(key: str) -> str:
    if not _KEY.fullmatch(key):
        expected = "projects/<project>/locations/<region>/keyRings/<ring>/cryptoKeys/<key>"
        raise InputError("kms_key", key, expected)
    return key
