"""Cloud Functions of the second generation: what is declared of them. ``function.py`` runs one.

Not done: builds (the archive is run as it is), revisions, traffic, event triggers other than a topic, secrets.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from spotkeeper_lab.local_gcp.buckets import Buckets
from spotkeeper_lab.local_gcp.function import Deployed
from spotkeeper_lab.local_gcp.messages import PUBLISHED
from spotkeeper_lab.local_gcp.pubsub import PubSub
from spotkeeper_lab.local_gcp.refusals import invalid, not_done, required
from spotkeeper_lab.local_gcp.services import Given, Kept, Method, Policies
from spotkeeper_lab.local_gcp.world import now

_MOST_CONCURRENCY, _MOST_SECONDS = 1000, 3600
_RETRY = "RETRY_POLICY_RETRY"


class Functions:
    """The functions of a project.

    Args:
        buckets: where their archives are.
        pubsub: where their triggers are.
        changed: is told of a function that was deployed anew.
    """

    def __init__(self, buckets: Buckets, pubsub: PubSub, changed: Callable[[Deployed], object]) -> None:
        self._buckets, self._pubsub, self._changed = buckets, pubsub, changed
        self.all = Kept()
        self._policies = Policies()

    def deployed(self, name: str) -> Deployed:
        """Return a function as it is run.

        Raises:
            Refused: There is none, or its archive is not there.
        """
        fields = self.all.get(name)
        build, service = fields["buildConfig"], fields["serviceConfig"]
        source = build["source"]["storageSource"]
        archive = self._buckets.read(source["bucket"], source["object"], {}, str(source.get("generation", "")))
        return Deployed(
            name=name.rpartition("/")[2],
            url=fields["url"],
            entry_point=build["entryPoint"],
            archive=archive.body,
            environment=service.get("environmentVariables", {}),
            timeout_seconds=float(service["timeoutSeconds"]),
            concurrency=int(service["maxInstanceRequestConcurrency"]),
            signature="cloudevent" if "eventTrigger" in fields else "http",
        )

    def methods(self) -> Mapping[str, Method]:
        """Return what answers which method."""
        functions = "cloudfunctions.projects.locations.functions"
        return {
            **self._policies.methods(functions, "run.projects.locations.services"),
            f"{functions}.create": self._create,
            f"{functions}.get": lambda asked, _: self.all.get(asked["name"]),
            f"{functions}.list": lambda asked, _: {"functions": self.all.below(asked["parent"])},
            f"{functions}.patch": self._patch,
            f"{functions}.delete": lambda asked, _: _done(asked["name"], self.all.remove(asked["name"])),
        }

    def _create(self, asked: Given, body: Given) -> Given:
        parent, short = asked["parent"], str(asked.get("functionId", ""))
        if not short:
            raise required("functionId")
        fields = self._complete({**body}, short)
        made = self.all.add(f"{parent}/functions/{short}", {**fields, "state": "ACTIVE", "createTime": now()})
        self._trigger(made, short)
        return _done(str(made["name"]), made)

    def _patch(self, asked: Given, body: Given) -> Given:
        name = asked["name"]
        kept = self.all.get(name)
        merged = {**kept, **body}
        for part in ("buildConfig", "serviceConfig"):
            merged[part] = {**kept[part], **body.get(part, {})}
        made = self.all.patch(name, self._complete(merged, name.rpartition("/")[2]))
        self._changed(self.deployed(name))
        return _done(name, made)

    def _complete(self, body: dict[str, Any], short: str) -> dict[str, Any]:
        build, service = body.get("buildConfig", {}), body.get("serviceConfig", {})
        for name in ("runtime", "entryPoint"):
            if not build.get(name):
                raise required(f"function.buildConfig.{name}")
        if "storageSource" not in build.get("source", {}):
            raise not_done("a function whose source is in no bucket")
        if service.get("secretEnvironmentVariables") or service.get("secretVolumes"):
            raise not_done("secrets of a function")
        source = build["source"]["storageSource"]
        self._buckets.read(source["bucket"], source["object"], {})
        concurrency = int(service.get("maxInstanceRequestConcurrency") or 1)
        if not 1 <= concurrency <= _MOST_CONCURRENCY:
            field = "function.serviceConfig.maxInstanceRequestConcurrency"
            raise invalid(field, concurrency, f"Must be from 1 to {_MOST_CONCURRENCY}.")
        if concurrency > 1 and float(str(service.get("availableCpu") or "0.58").removesuffix("m")) < 1:
            raise invalid(
                "function.serviceConfig.availableCpu", service.get("availableCpu"), "Concurrency needs at least 1 CPU."
            )
        seconds = int(service.get("timeoutSeconds") or 60)
        if not 1 <= seconds <= _MOST_SECONDS:
            raise invalid("function.serviceConfig.timeoutSeconds", seconds, f"Must be from 1 to {_MOST_SECONDS}.")
        url = f"https://{short}-local.a.run.app"
        uses = {"maxInstanceRequestConcurrency": concurrency, "timeoutSeconds": seconds, "uri": url}
        return {**body, "environment": "GEN_2", "url": url, "serviceConfig": {**service, **uses}}

    def _trigger(self, made: dict[str, Any], short: str) -> None:
        """Subscribe a function to the topic that it is triggered by, as Eventarc does."""
        trigger = made.get("eventTrigger")
        if trigger is None:
            return
        if trigger.get("eventType") != PUBLISHED:
            raise not_done(f"the event type {trigger.get('eventType')!r} of a trigger")
        project = str(made["name"]).split("/")[1]
        subscription = {
            "topic": trigger.get("pubsubTopic", ""),
            "pushConfig": {"pushEndpoint": made["url"]},
            "ackDeadlineSeconds": 600,
            "labels": {"goog-eventarc": "true"},
        }
        if trigger.get("retryPolicy") != _RETRY:
            raise not_done(f"a trigger whose retryPolicy is not {_RETRY}")
        self._pubsub.subscribe(f"projects/{project}/subscriptions/eventarc-{short}", subscription)


def _done(name: str, response: Given) -> Given:
    """Return an operation that has ended."""
    parent = name.partition("/functions/")[0]
    return {"name": f"{parent}/operations/done", "done": True, "response": dict(response)}
