"""Fleets on EC2 Auto Scaling, signals through Systems Manager."""

from __future__ import annotations

import gc
import random
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

import botocore.session
from botocore.config import Config
from botocore.exceptions import ClientError, ConnectionError, HTTPClientError  # noqa: A004 - botocore's own

from spotkeeper_ledger import FleetSpec, PriceRecord
from spotkeeper_responder.aws.failures import classify
from spotkeeper_responder.aws.prices import SpotPrices
from spotkeeper_responder.model import SPOT, Completion, GroupView, Instance, LaunchFailed, State, Termination

if TYPE_CHECKING:
    from mypy_boto3_autoscaling import AutoScalingClient
    from mypy_boto3_autoscaling.type_defs import AutoScalingGroupTypeDef
    from mypy_boto3_ec2 import EC2Client
    from mypy_boto3_ec2.type_defs import SpotPriceTypeDef
    from mypy_boto3_sns import SNSClient
    from mypy_boto3_ssm import SSMClient

Answer = TypeVar("Answer")

HOOK = "spotkeeper-terminate"
"""Name of the terminate hook of every group, for nodes whose event never said it."""
TAG_FLEET, TAG_RESPONDER = "spotkeeper:fleet", "spotkeeper:responder"

STATES: Mapping[str, State] = {
    "Pending": State.PENDING,
    "Pending:Wait": State.PENDING,
    "Pending:Proceed": State.PENDING,
    "InService": State.IN_SERVICE,
    "Terminating:Wait": State.HELD,
}
"""Lifecycle states of Auto Scaling; in all others an instance is going, or set aside and not counted."""

RETRIED = frozenset(
    {
        "Throttling",
        "ThrottlingException",
        "RequestLimitExceeded",
        "TooManyRequestsException",
        "ResourceContention",
        "ScalingActivityInProgress",
        "InternalFailure",
        "InternalServerError",
        "ServiceUnavailable",
    }
)
"""Error codes that pass: all calls to Auto Scaling share one throttle an account and region."""
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.2, 2.0
ACTIVITIES = 50
"""Most scaling activities that are looked through."""
PRODUCT = "Linux/UNIX"
"""What spot prices are asked for: nodes run Linux."""
SUBJECT_CHARACTERS = 100
"""Longest subject that SNS takes."""


class Clients:
    """The clients of AWS's services: each made when it is first needed, and kept while the function's process lives.

    They are made by botocore, on which boto3 stands: what boto3 adds is of no use here and makes a cold start a fifth
    longer.
    """

    _CONFIG = Config(
        connect_timeout=1,
        read_timeout=4,
        # Repeating is ours: only we know how much time is left.
        retries={"mode": "standard", "total_max_attempts": 1},
    )

    @cached_property
    def autoscaling(self) -> AutoScalingClient:
        """EC2 Auto Scaling."""
        return self._make("autoscaling")  # type: ignore[no-any-return]  # botocore finds its clients by name

    @cached_property
    def ec2(self) -> EC2Client:
        """EC2. Its model is by far the largest, so that only those pay for it who ask for prices."""
        return self._make("ec2")  # type: ignore[no-any-return]  # botocore finds its clients by name

    @cached_property
    def sns(self) -> SNSClient:
        """Simple Notification Service."""
        return self._make("sns")  # type: ignore[no-any-return]  # botocore finds its clients by name

    @cached_property
    def ssm(self) -> SSMClient:
        """Systems Manager."""
        return self._make("ssm")  # type: ignore[no-any-return]  # botocore finds its clients by name

    @cached_property
    def _session(self) -> botocore.session.Session:
        return botocore.session.get_session()

    def _make(self, service: Any) -> Any:
        gc.disable()  # a service's model is so many objects that they are looked through several times: all for nothing
        try:
            return self._session.create_client(service, config=self._CONFIG)
        finally:
            gc.enable()


class AwsCloud:
    """:class:`~spotkeeper_responder.ports.Cloud` on AWS.

    Args:
        clients: kept between batches.
        prices: kept between batches.
        responder: the name of the responder that the groups are tagged with.
        document: name of the SSM document that tells agents of a notice.
        topic: ARN of the SNS topic that tells people.
        time_left: seconds until no further try may be begun.
        pause: sleeps for seconds.
    """

    def __init__(
        self,
        clients: Clients,
        prices: SpotPrices,
        *,
        responder: str,
        document: str,
        topic: str,
        time_left: Callable[[], float],
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        self._clients, self._prices = clients, prices
        self._responder = responder
        self._document = document
        self._topic = topic
        self._time_left = time_left
        self._pause = pause
        self._calls = 0
        self._places: dict[str, tuple[str, str]] = {}
        """Instance type and zone of each node that was seen."""
        self._zones: dict[str, frozenset[str]] = {}
        """Zones of each group that was seen."""

    @property
    def reaches_nodes(self) -> bool:
        """It does, by Systems Manager."""
        return True

    @property
    def shows_failures(self) -> bool:
        """It does not: there is an event of each, and a record of all of them that costs a request."""
        return False

    @property
    def calls(self) -> int:
        """How many requests have been made so far, repeated ones included."""
        return self._calls

    def groups(self, spec: FleetSpec) -> tuple[GroupView, GroupView]:
        """Return the spot group and the backup group, of one description.

        Raises:
            LookupError: One of them does not exist.
        """
        names = [spec.spot_group, spec.backup_group]
        found = {group["AutoScalingGroupName"]: group for group in self._described(AutoScalingGroupNames=names)}
        missing = [name for name in names if name not in found]
        if missing:
            raise LookupError(f"no Auto Scaling group {' and '.join(missing)}, expected both groups of {spec.fleet}")
        spot = found[spec.spot_group]
        self._zones[spec.spot_group] = frozenset(spot.get("AvailabilityZones", []))
        self._places |= {
            i["InstanceId"]: (i["InstanceType"], i["AvailabilityZone"])
            for i in spot.get("Instances", [])
            if "InstanceType" in i
        }
        return view_of(spot), view_of(found[spec.backup_group])

    def spot_price(self, spec: FleetSpec, nodes: Collection[str], now: float) -> PriceRecord | None:
        """Return what a spot node and hour costs, in dollars: the dearest of ``nodes``, or of all there might be.

        The groups have to have been described before. ``None`` where nobody says of which types nodes might be, as with
        ``instance_requirements`` before the first node.
        """
        running = {self._places[node] for node in nodes if node in self._places}
        types = {kind for kind, _ in running} or set(spec.deadline.node_types if spec.deadline else ())
        zones = self._zones.get(spec.spot_group, frozenset())
        told = self._prices.of(sorted(types), now, self._price_history).items()
        usable = [record for place, record in told if place[1] in zones and (not running or place in running)]
        return PriceRecord(max(r.price for r in usable), min(r.at for r in usable)) if usable else None

    def _price_history(self, types: Sequence[str], at: float) -> Iterator[SpotPriceTypeDef]:
        """Yield the prices at a moment. Each page is tried once: fleets are looked after without a price, too."""
        moment = datetime.fromtimestamp(at, UTC)
        # The last change before a moment is the price at it.
        query: dict[str, Any] = {"ProductDescriptions": [PRODUCT], "StartTime": moment, "EndTime": moment}
        query["InstanceTypes"] = types
        while True:
            self._calls += 1
            answer = self._clients.ec2.describe_spot_price_history(**query)
            yield from answer["SpotPriceHistory"]
            if not answer.get("NextToken"):
                return
            query["NextToken"] = answer["NextToken"]

    def fleets_of(self, nodes: Collection[str]) -> Mapping[str, str]:
        """Return the fleet of each of ``nodes`` that one of this responder's groups lists."""
        groups = self._described(Filters=[{"Name": f"tag:{TAG_RESPONDER}", "Values": [self._responder]}])
        return {
            instance["InstanceId"]: tag["Value"]
            for group in groups
            for tag in group.get("Tags", [])
            if tag["Key"] == TAG_FLEET
            for instance in group.get("Instances", [])
            if instance["InstanceId"] in nodes
        }

    def launch_failures(self, spec: FleetSpec, since: float) -> Sequence[LaunchFailed]:
        """Return the failed launches of the spot group since a moment, from its newest activities."""
        answer = self._call(
            lambda: self._clients.autoscaling.describe_scaling_activities(
                AutoScalingGroupName=spec.spot_group, MaxRecords=ACTIVITIES
            )
        )
        found = []
        for activity in answer["Activities"]:
            at = activity.get("EndTime", activity["StartTime"]).timestamp()
            launching = activity.get("Description", "Launching").startswith("Launching")
            if activity["StatusCode"] == "Failed" and launching and at >= since:
                message = activity.get("StatusMessage", "")
                found.append(LaunchFailed(SPOT, classify(message), at, message))
        return found

    def resize(self, group: str, desired: int) -> None:
        """Set a group's desired size."""
        self._call(
            lambda: self._clients.autoscaling.set_desired_capacity(
                AutoScalingGroupName=group, DesiredCapacity=desired, HonorCooldown=False
            )
        )

    def signal(self, fleet: str, kind: str, deadline: float | None, nodes: Sequence[str]) -> None:
        """Run the notice document on all nodes of the fleet; the agents of other nodes than ``nodes`` pass it over."""
        parameters = {
            "Fleet": [fleet],
            "Kind": [kind],
            "Deadline": ["none" if deadline is None else str(int(deadline))],
            "Nodes": [",".join(nodes)],
        }
        self._call(
            lambda: self._clients.ssm.send_command(
                DocumentName=self._document,
                Targets=[{"Key": f"tag:{TAG_FLEET}", "Values": [fleet]}],
                Parameters=parameters,
                MaxErrors="100%",  # by default the first node that fails keeps the rest from hearing anything
                MaxConcurrency="100%",
                TimeoutSeconds=30,
            )
        )

    def terminate(self, termination: Termination) -> None:
        """Have a node terminated by its group; one that the group does not list any more is terminated."""
        self._unless_done(
            lambda: self._clients.autoscaling.terminate_instance_in_auto_scaling_group(
                InstanceId=termination.node, ShouldDecrementDesiredCapacity=termination.decrement
            ),
            done=("not found", "no managed instance"),
        )

    def complete(self, completion: Completion) -> None:
        """Let a node go that a lifecycle hook holds; "No active Lifecycle Action" means that it went already."""
        self._unless_done(
            lambda: self._clients.autoscaling.complete_lifecycle_action(
                AutoScalingGroupName=completion.group,
                LifecycleHookName=completion.hook or HOOK,
                InstanceId=completion.node,
                LifecycleActionResult="CONTINUE",
            ),
            done=("no active lifecycle action",),
        )

    def announce(self, subject: str, text: str) -> None:
        """Publish to the responder's topic, once: a person can wait, the rest of the batch cannot."""
        self._calls += 1
        self._clients.sns.publish(TopicArn=self._topic, Subject=subject[:SUBJECT_CHARACTERS], Message=text)

    def _described(self, **query: Any) -> list[AutoScalingGroupTypeDef]:
        groups: list[AutoScalingGroupTypeDef] = []
        while True:
            answer = self._call(lambda: self._clients.autoscaling.describe_auto_scaling_groups(**query, MaxRecords=100))
            groups += answer["AutoScalingGroups"]
            if not answer.get("NextToken"):
                return groups
            query["NextToken"] = answer["NextToken"]

    def _unless_done(self, request: Callable[[], object], *, done: Collection[str]) -> None:
        """Make a request; a validation error whose message holds any part of ``done`` says that it was done before."""
        try:
            self._call(request)
        except ClientError as error:
            message = error.response["Error"].get("Message", "").lower()
            if _code(error) != "ValidationError" or not any(part in message for part in done):
                raise

    def _call(self, request: Callable[[], Answer]) -> Answer:
        """Make a request, again while it fails for reasons that pass and there is time."""
        pause = FIRST_PAUSE_SECONDS
        while True:
            self._calls += 1
            try:
                return request()
            except ClientError as error:
                if _code(error) not in RETRIED or not self._time_for(pause):
                    raise
            except (ConnectionError, HTTPClientError):
                if not self._time_for(pause):
                    raise
            self._pause(pause * random.uniform(0.5, 1))  # noqa: S311 - spreads retries, keeps no secret
            pause = min(2 * pause, LONGEST_PAUSE_SECONDS)

    def _time_for(self, pause: float) -> bool:
        return self._time_left() > pause


def _code(error: ClientError) -> str:
    return error.response["Error"]["Code"]


def view_of(group: AutoScalingGroupTypeDef) -> GroupView:
    """Return a group as Auto Scaling describes it, in our words."""
    instances = tuple(
        Instance(
            node=instance["InstanceId"],
            state=STATES.get(instance["LifecycleState"], State.GOING),
            healthy=instance["HealthStatus"].lower() == "healthy",
            version=instance.get("LaunchTemplate", {}).get("Version", ""),
        )
        for instance in group.get("Instances", [])
    )
    return GroupView(group["AutoScalingGroupName"], group["DesiredCapacity"], group["MaxSize"], instances)
