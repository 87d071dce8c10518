"""The event bus: the cloud's own events, in AWS's shapes, on their way to the queues that rules name.

Rules, their patterns and the queues are moto's. Delivery is done here, because moto leaves the account out of what it
delivers, matches every event to a scheduled rule, and delivers to rules that are disabled.
"""

from __future__ import annotations

import json
import random
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from moto.events.models import Rule, events_backends
from moto.sqs.models import sqs_backends

from spotkeeper_lab.local_aws.world import World, iso

INTERRUPTION_WARNING = "EC2 Spot Instance Interruption Warning"
REBALANCE_RECOMMENDATION = "EC2 Instance Rebalance Recommendation"

_COPIES = 3
_SHUFFLE_SECONDS = 1.0


@dataclass
class EventFaults:
    """What goes wrong with the cloud's own events; all delivery of them is best effort. May be switched at any time."""

    drop_warnings: bool = False
    """Lose interruption warnings and rebalance recommendations."""
    duplicate: bool = False
    """Deliver every event three times, under one id."""
    shuffle: bool = False
    """Deliver every copy up to a second late, each by a time of its own."""


class EventBus:
    """Sends events to the targets of the rules that match."""

    def __init__(self, world: World, faults: EventFaults) -> None:
        self._world = world
        self._faults = faults
        self._random = random.Random(0)  # noqa: S311 - order, not secrets; the same in every run

    def send(self, detail_type: str, source: str, detail: Mapping[str, Any], resources: Sequence[str] = ()) -> None:
        """Send one event of the cloud's own, through the faults."""
        if self._faults.drop_warnings and detail_type in (INTERRUPTION_WARNING, REBALANCE_RECOMMENDATION):
            return
        event = self._event(detail_type, source, detail, resources)
        for _ in range(_COPIES if self._faults.duplicate else 1):
            late = self._random.uniform(0, _SHUFFLE_SECONDS) if self._faults.shuffle else 0.0
            self._world.timers.after(late, partial(self._deliver, event))

    def inject(
        self, detail_type: str, source: str, detail: Mapping[str, Any], resources: Sequence[str], times: int
    ) -> None:
        """Deliver an event that a scenario makes up, ``times`` times under one id, now and without faults."""
        event = self._event(detail_type, source, detail, resources)
        for _ in range(times):
            self._deliver(event)

    def fire_schedules(self) -> None:
        """Fire every enabled rule that has a schedule, once."""
        with self._world.lock:
            for rule in self._rules():
                if rule.scheduled_expression:
                    self._to_targets(rule, self._event("Scheduled Event", "aws.events", {}, [rule.arn]))

    def _event(
        self, detail_type: str, source: str, detail: Mapping[str, Any], resources: Sequence[str]
    ) -> Mapping[str, Any]:
        return {
            "version": "0",
            "id": str(uuid.uuid4()),
            "detail-type": detail_type,
            "source": source,
            "account": self._world.account,
            "time": iso(time.time()),
            "region": self._world.region,
            "resources": list(resources),
            "detail": dict(detail),
        }

    def _deliver(self, event: Mapping[str, Any]) -> None:
        with self._world.lock:
            for rule in self._rules():
                if rule.event_pattern.get_pattern() and rule.event_pattern.matches_event(event):  # type: ignore[arg-type]  # a TypedDict
                    self._to_targets(rule, event)

    def _rules(self) -> list[Rule]:
        bus = events_backends[self._world.account][self._world.region].describe_event_bus("default")
        return [rule for rule in bus.rules.values() if rule.state == "ENABLED"]

    def _to_targets(self, rule: Rule, event: Mapping[str, Any]) -> None:
        for target in rule.targets:
            unknown = {"InputPath", "InputTransformer"} & target.keys()
            service, name = str(target["Arn"]).split(":")[2], str(target["Arn"]).rpartition(":")[2]
            if unknown or service != "sqs":
                wanted = ", ".join(unknown) or target["Arn"]
                raise NotImplementedError(
                    f"rule {rule.name}: was {wanted}, expected a queue and a whole event or a constant Input"
                )
            queues = sqs_backends[self._world.account][self._world.region]
            queues.send_message(queue_name=name, message_body=target.get("Input") or json.dumps(event))
