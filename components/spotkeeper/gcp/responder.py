"""``GcpInterruptionResponder``: what reacts to preemptions, once for a project and a region."""

from collections.abc import Mapping, Sequence
from typing import NotRequired, TypedDict

import pulumi

from spotkeeper.gcp import naming
from spotkeeper.gcp.account import account
from spotkeeper.gcp.alarms import alarms
from spotkeeper.gcp.events import delivery, events, may_call
from spotkeeper.gcp.function import function
from spotkeeper.gcp.labels import RESPONDER, user_labels
from spotkeeper.gcp.ledger_bucket import ledger_bucket
from spotkeeper.gcp.place import place_of
from spotkeeper.inputs import known_only, now_or_later
from spotkeeper.outputs import outputs_of


class GcpInterruptionResponderArgs(TypedDict):
    """What a responder is made of; everything has a default."""

    bucket_name: NotRequired[pulumi.Input[str]]
    """Name of the ledger bucket; the names of all other parts begin with it. At most 52 lower-case letters, digits and
    hyphens, of which the first is a letter. Default ``spotkeeper-<project>-<region>``."""
    alert_email: NotRequired[pulumi.Input[str]]
    """Address that alarms and announcements are sent to. Default: none."""
    notification_channels: NotRequired[pulumi.Input[Sequence[pulumi.Input[str]]]]
    """Channels of Cloud Monitoring that they are sent to as well, each by its full name,
    ``projects/<project>/notificationChannels/<number>``. Default: none."""
    build_service_account: NotRequired[pulumi.Input[str]]
    """Account that builds the function, as ``projects/<project>/serviceAccounts/<email>``. It needs the roles
    ``roles/logging.logWriter``, ``roles/artifactregistry.writer`` and ``roles/storage.objectViewer``. Default: the one
    that Cloud Build uses in this project."""
    labels: NotRequired[pulumi.Input[Mapping[str, pulumi.Input[str]]]]
    """Labels of all resources that take some."""


class GcpInterruptionResponder(pulumi.ComponentResource):
    """Hears of preemptions, tells the jobs, and keeps every fleet of a project and region at strength.

    Make one before the first fleet and give its ``uri`` to each. It owns the ledger bucket, which Pulumi never empties:
    as long as fleets, or what they left behind, are in there, destroying the responder fails. To give it up for good,
    destroy the fleets, then empty the bucket by hand.
    """

    uri: pulumi.Output[str]
    """What a fleet names as its ``responder``. It is known once the responder is complete, so that a fleet of the same
    program comes after it and goes before it."""
    bucket_name: pulumi.Output[str]
    """Name of the ledger bucket."""
    function_name: pulumi.Output[str]
    """Name of the function, and of its service of Cloud Run."""
    service_account_email: pulumi.Output[str]
    """Account that the function acts as."""
    topic_id: pulumi.Output[str]
    """Topic that all events go through: ``projects/<project>/topics/<name>``."""
    subscription_name: pulumi.Output[str]
    """Name of the subscription that feeds the function."""
    dead_letter_subscription_name: pulumi.Output[str]
    """Name of the subscription that holds what could not be handled."""

    def __init__(
        self, name: str, args: GcpInterruptionResponderArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        """Declare the responder of a project and region.

        Args:
            name: the component's name.
            args: see :class:`GcpInterruptionResponderArgs`.
            opts: as for every resource; a provider reaches all children.

        Raises:
            InputError: an input cannot be used.
        """
        known_only(args, GcpInterruptionResponderArgs.__annotations__, {})
        given = args.get("bucket_name") is not None
        named = now_or_later(args, "bucket_name", naming.check_responder_name) if given else None

        super().__init__("spotkeeper:index:GcpInterruptionResponder", name, {}, opts)
        child = pulumi.ResourceOptions(parent=self)
        place = place_of(self)
        responder = named or place.apply(naming.default_responder)
        labels = pulumi.Output.all(user_labels(args.get("labels")), responder).apply(
            lambda known: {**known[0], RESPONDER: known[1]}
        )

        bucket = ledger_bucket(name, responder=responder, place=place, labels=labels, opts=child)
        arriving = events(name, responder=responder, place=place, labels=labels, opts=child)
        reacting = function(
            name,
            responder=bucket.name,
            place=place,
            bucket=bucket,
            build_service_account=args.get("build_service_account"),
            labels=labels,
            opts=child,
        )
        caller = account(
            name, "caller", owner=responder, description="Delivers events to Spotkeeper's function", opts=child
        )
        calls = may_call(name, reacting.function, caller, child)
        subscription, delivering = delivery(
            name,
            arriving,
            responder=responder,
            place=place,
            url=reacting.url,
            caller=caller,
            labels=labels,
            opts=child,
        )

        alarms(
            name,
            responder=responder,
            channels=args.get("notification_channels"),
            email=args.get("alert_email"),
            labels=labels,
            opts=child,
        )

        complete = [part.urn for part in (*arriving.wiring, *delivering, calls)]
        self.uri = pulumi.Output.all(bucket.name, *complete).apply(lambda known: f"gs://{known[0]}")
        self.bucket_name, self.function_name = bucket.name, reacting.function.name
        self.service_account_email = reacting.account.email
        self.topic_id, self.subscription_name = arriving.topic.id, subscription.name
        self.dead_letter_subscription_name = arriving.dead_letters.name
        self.register_outputs(outputs_of(self, GcpInterruptionResponder))
