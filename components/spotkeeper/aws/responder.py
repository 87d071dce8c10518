"""``AwsInterruptionResponder``: what reacts to interruptions, once for an account and a region."""

from collections.abc import Mapping
from functools import partial
from typing import NotRequired, TypedDict

import pulumi

from spotkeeper.aws import naming
from spotkeeper.aws.alarms import alarms, alerts
from spotkeeper.aws.events import events
from spotkeeper.aws.function import function
from spotkeeper.aws.ledger_bucket import ledger_bucket
from spotkeeper.aws.notice_document import notice_document
from spotkeeper.aws.place import place_of
from spotkeeper.aws.tags import responder_tags, user_tags
from spotkeeper.errors import InputError
from spotkeeper.inputs import known_only, now_or_later, whole_number
from spotkeeper.naming import check_bucket_name
from spotkeeper.outputs import outputs_of

# fmt: off
RETENTIONS = (1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653)
# fmt: on
"""Days that CloudWatch keeps logs for; it takes no others."""


class AwsInterruptionResponderArgs(TypedDict):
    """What a responder is made of; everything has a default."""

    bucket_name: NotRequired[pulumi.Input[str]]
    """Name of the ledger bucket; the names of all other parts begin with it. At most 52 lower-case letters, digits and
    hyphens. Default ``spotkeeper-<account>-<region>``."""
    log_retention_days: NotRequired[int]
    """How long the function's log is kept. Default 30."""
    alert_email: NotRequired[pulumi.Input[str]]
    """Address that alarms and announcements are sent to, once its owner has confirmed. Default: none; subscribe to
    ``topic_arn``."""
    tags: NotRequired[pulumi.Input[Mapping[str, pulumi.Input[str]]]]
    """Tags of all resources."""


class AwsInterruptionResponder(pulumi.ComponentResource):
    """Hears of interruptions, tells the jobs, and keeps every fleet of an account and region at strength.

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
    """Name of the function."""
    role_arn: pulumi.Output[str]
    """ARN of the function's role."""
    queue_url: pulumi.Output[str]
    """URL of the queue that all events go through."""
    dead_letter_queue_url: pulumi.Output[str]
    """URL of the queue for events that could not be delivered or handled."""
    document_name: pulumi.Output[str]
    """Name of the SSM document that signals nodes."""
    topic_arn: pulumi.Output[str]
    """ARN of the topic that alarms and announcements (droughts, limits, ends of jobs) go to."""

    def __init__(
        self, name: str, args: AwsInterruptionResponderArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        """Declare the responder of an account and region.

        Args:
            name: the component's name.
            args: see :class:`AwsInterruptionResponderArgs`.
            opts: as for every resource; a provider reaches all children.

        Raises:
            InputError: an input cannot be used.
        """
        known_only(args, AwsInterruptionResponderArgs.__annotations__, {})
        retention = whole_number(args, "log_retention_days", 30, 1)
        if retention not in RETENTIONS:
            raise InputError("log_retention_days", retention, f"one of {', '.join(map(str, RETENTIONS))}")
        given = args.get("bucket_name") is not None
        named = (
            now_or_later(args, "bucket_name", partial(check_bucket_name, longest=naming.MAX_RESPONDER))
            if given
            else None
        )

        super().__init__("spotkeeper:index:AwsInterruptionResponder", name, {}, opts)
        child = pulumi.ResourceOptions(parent=self)
        place = place_of(self)
        responder = named or place.apply(lambda known: f"spotkeeper-{known.account}-{known.region}")
        tags = pulumi.Output.all(user_tags(args.get("tags")), responder).apply(lambda known: responder_tags(*known))

        bucket, settings = ledger_bucket(name, responder=responder, place=place, tags=tags, opts=child)
        arriving = events(name, responder=responder, place=place, bucket=bucket, tags=tags, opts=child)
        document = notice_document(name, responder=responder, tags=tags, opts=child)
        topic = alerts(name, responder=responder, place=place, email=args.get("alert_email"), tags=tags, opts=child)
        reacting = function(
            name,
            responder=responder,
            place=place,
            fed_from=arriving,
            topic=topic,
            document=document,
            log_retention_days=retention,
            tags=tags,
            opts=child,
        )
        alarms(name, responder=responder, topic=topic, tags=tags, opts=child)

        complete = [part.urn for part in (*settings, *arriving.wiring, reacting.mapping)]
        self.uri = pulumi.Output.all(bucket.id, *complete).apply(lambda known: f"s3://{known[0]}")
        self.bucket_name = bucket.id
        self.function_name, self.role_arn = reacting.function.name, reacting.role.arn
        self.queue_url, self.dead_letter_queue_url = arriving.queue.url, arriving.dead.url
        self.document_name, self.topic_arn = document.name, topic.arn
        self.register_outputs(outputs_of(self, AwsInterruptionResponder))
