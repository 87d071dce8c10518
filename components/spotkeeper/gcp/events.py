"""How word reaches the function: audit log, clock and nodes publish to one topic; a second one has what got lost."""

from collections.abc import Sequence
from dataclasses import dataclass

import pulumi
import pulumi_gcp as gcp

from spotkeeper.gcp import naming
from spotkeeper.gcp.account import member
from spotkeeper.gcp.labels import Labels
from spotkeeper.gcp.naming import Place

PREEMPTIONS = (
    'log_id("cloudaudit.googleapis.com/system_event") AND resource.type="gce_instance" '
    'AND protoPayload.methodName="compute.instances.preempted"'
)
"""What of the audit log is published. Entries carry neither labels nor groups, so all of a project come; the function
drops foreign ones by the instance's name."""
TICK = "* * * * *"
"""Every minute, the shortest period that Cloud Scheduler has."""
ANSWER_SECONDS = 90
"""How long a message that is being handled is not delivered again: more than the function may take."""
KEEP_SECONDS = 3600
"""How long an event waits to be handled. Ticks tell the same later, so nothing is won by handling older ones."""
KEEP_DEAD_SECONDS = 14 * 24 * 3600
"""How long what could not be handled is kept for people to look at."""
ATTEMPTS = 10
"""After how many deliveries a message is given up. One that the function had no room for counts as well."""
SOONEST_RETRY_SECONDS, LATEST_RETRY_SECONDS = 5, 60


@dataclass(frozen=True)
class Events:
    """The topics, and everything that has to be there for events to arrive."""

    topic: gcp.pubsub.Topic
    dead: gcp.pubsub.Topic
    dead_letters: gcp.pubsub.Subscription
    wiring: Sequence[pulumi.Resource]


def events(
    name: str,
    *,
    responder: pulumi.Output[str],
    place: pulumi.Output[Place],
    labels: pulumi.Output[Labels],
    opts: pulumi.ResourceOptions,
) -> Events:
    """Make topics, the audit log's sink, the clock, and the bindings that let them publish."""
    topic = gcp.pubsub.Topic(f"{name}-events", name=responder.apply(naming.topic_name), labels=labels, opts=opts)
    dead = gcp.pubsub.Topic(
        f"{name}-events-dead", name=responder.apply(naming.dead_letter_name), labels=labels, opts=opts
    )
    dead_letters = gcp.pubsub.Subscription(
        f"{name}-events-dead",
        name=responder.apply(naming.dead_letter_name),
        topic=dead.id,
        message_retention_duration=f"{KEEP_DEAD_SECONDS}s",
        expiration_policy={"ttl": ""},  # never
        labels=labels,
        opts=opts,
    )
    sink = gcp.logging.ProjectSink(
        f"{name}-preemptions",
        name=pulumi.Output.concat(responder, "-preemptions"),
        description="Spotkeeper: preemptions of instances",
        destination=pulumi.Output.concat("pubsub.googleapis.com/", topic.id),
        filter=PREEMPTIONS,
        unique_writer_identity=True,
        opts=opts,
    )
    writes = gcp.pubsub.TopicIAMMember(
        f"{name}-preemptions",
        topic=topic.id,
        role="roles/pubsub.publisher",
        member=sink.writer_identity,
        opts=opts,
    )
    tick = gcp.cloudscheduler.Job(
        f"{name}-tick",
        name=pulumi.Output.concat(responder, "-tick"),
        description="Spotkeeper: the responder looks at its fleets",
        region=place.region,
        schedule=TICK,
        time_zone="Etc/UTC",
        pubsub_target={"topic_name": topic.id, "attributes": {"spotkeeper": "tick"}},
        opts=opts,
    )
    buries = gcp.pubsub.TopicIAMMember(
        f"{name}-events-dead",
        topic=dead.id,
        role="roles/pubsub.publisher",
        member=place.apply(lambda known: known.service_agent("pubsub")),
        opts=opts,
    )
    return Events(topic, dead, dead_letters, [sink, writes, tick, buries])


def delivery(
    name: str,
    arriving: Events,
    *,
    responder: pulumi.Output[str],
    place: pulumi.Output[Place],
    url: pulumi.Output[str],
    caller: gcp.serviceaccount.Account,
    labels: pulumi.Output[Labels],
    opts: pulumi.ResourceOptions,
) -> tuple[gcp.pubsub.Subscription, Sequence[pulumi.Resource]]:
    """Make the subscription that pushes every message to the function, as an account that may call it.

    Returns:
        The subscription, and the bindings with which Pub/Sub speaks as that account and buries what is given up.
    """
    agent = place.apply(lambda known: known.service_agent("pubsub"))
    speaks = gcp.serviceaccount.IAMMember(
        f"{name}-caller",
        service_account_id=caller.name,
        role="roles/iam.serviceAccountTokenCreator",
        member=agent,
        # Pub/Sub's own account may not be there before the first thing is that it is for.
        opts=pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(depends_on=[arriving.dead_letters])),
    )
    subscription = gcp.pubsub.Subscription(
        f"{name}-events",
        name=responder.apply(naming.topic_name),
        topic=arriving.topic.id,
        ack_deadline_seconds=ANSWER_SECONDS,
        message_retention_duration=f"{KEEP_SECONDS}s",
        expiration_policy={"ttl": ""},  # never
        push_config={
            "push_endpoint": url,
            "oidc_token": {"service_account_email": caller.email, "audience": url},
        },
        retry_policy={
            "minimum_backoff": f"{SOONEST_RETRY_SECONDS}s",
            "maximum_backoff": f"{LATEST_RETRY_SECONDS}s",
        },
        dead_letter_policy={"dead_letter_topic": arriving.dead.id, "max_delivery_attempts": ATTEMPTS},
        labels=labels,
        opts=pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(depends_on=[*arriving.wiring, speaks])),
    )
    takes = gcp.pubsub.SubscriptionIAMMember(
        f"{name}-events",
        subscription=subscription.name,
        role="roles/pubsub.subscriber",
        member=agent,
        opts=opts,
    )
    return subscription, [subscription, speaks, takes]


def may_call(
    name: str, function: gcp.cloudfunctionsv2.Function, caller: gcp.serviceaccount.Account, opts: pulumi.ResourceOptions
) -> pulumi.Resource:
    """Let an account call the function: the service of Cloud Run that it is has its name."""
    return gcp.cloudrunv2.ServiceIamMember(
        f"{name}-caller",
        name=function.name,
        location=function.location,
        role="roles/run.invoker",
        member=member(caller),
        opts=opts,
    )
