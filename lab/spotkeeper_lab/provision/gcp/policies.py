"""Who may do what: members of roles on whatever takes a policy."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from spotkeeper_lab.provision.gcp.project import Gcp, creates, deletes
from spotkeeper_lab.provision.state import Resource
from spotkeeper_lab.provision.table import Created, Inputs

Binding = Mapping[str, Any]


@dataclass(frozen=True)
class _Kind:
    """A type of member, and where the policy is that it belongs to."""

    named: tuple[str, ...]
    """Inputs that say of what the policy is."""
    path: Callable[[Gcp, Mapping[str, str]], str]
    """Returns the URL's path of that, from those inputs."""
    read: str = "GET"
    """Verb with which its policy is read."""


def _full(path: str, start: str, prefix: str) -> str:
    return path if path.startswith(start) else f"{prefix}{path}"


def _topic(gcp: Gcp, given: Mapping[str, str]) -> str:
    return "/v1/" + _full(given["topic"], "projects/", f"projects/{gcp.project}/topics/")


def _subscription(gcp: Gcp, given: Mapping[str, str]) -> str:
    return "/v1/" + _full(given["subscription"], "projects/", f"projects/{gcp.project}/subscriptions/")


def _service(gcp: Gcp, given: Mapping[str, str]) -> str:
    region = given.get("location", gcp.region)
    return "/v2/" + _full(given["name"], "projects/", f"projects/{gcp.project}/locations/{region}/services/")


BUCKET = "gcp:storage/bucketIAMMember:BucketIAMMember"
KINDS: Mapping[str, _Kind] = {
    BUCKET: _Kind(("bucket",), lambda _, given: f"/storage/v1/b/{given['bucket'].removeprefix('b/')}/iam"),
    "gcp:pubsub/topicIAMMember:TopicIAMMember": _Kind(("topic",), _topic),
    "gcp:pubsub/subscriptionIAMMember:SubscriptionIAMMember": _Kind(("subscription",), _subscription),
    "gcp:cloudrunv2/serviceIamMember:ServiceIamMember": _Kind(("name", "location"), _service),
    "gcp:projects/iAMMember:IAMMember": _Kind(
        (), lambda gcp, given: f"/v3/projects/{given.get('project', gcp.project)}", read="POST"
    ),
    "gcp:serviceaccount/iAMMember:IAMMember": _Kind(
        ("serviceAccountId",), lambda _, given: f"/v1/{given['serviceAccountId']}", read="POST"
    ),
}
"""Type of member to where its policy is."""


def _join(gcp: Gcp, kind: str, given: Inputs) -> Created:
    named = given.take_all(*KINDS[kind].named, "project")
    role, member, condition = (given.take(each) for each in ("role", "member", "condition"))
    where = KINDS[kind].path(gcp, named)

    def add(bindings: list[dict[str, Any]]) -> list[dict[str, Any]]:
        mine = [each for each in bindings if _is(each, role, condition)]
        if not mine:
            return [*bindings, _binding(role, condition, [member])]
        mine[0]["members"] = sorted({*mine[0]["members"], member})
        return bindings

    _change(gcp, kind, where, add)
    title = f"/{condition['title']}" if condition else ""
    return f"{where.rpartition('/')[2]}/{role}/{member}{title}", {}


def _leave(gcp: Gcp, resource: Resource) -> None:
    """Take a role away again."""
    given = resource.inputs

    def remove(bindings: list[dict[str, Any]]) -> list[dict[str, Any]]:
        for each in bindings:
            if _is(each, given["role"], given.get("condition")):
                each["members"] = [member for member in each["members"] if member != given["member"]]
        return [each for each in bindings if each["members"]]

    _change(gcp, resource.kind, KINDS[resource.kind].path(gcp, given), remove)


def _change(gcp: Gcp, kind: str, where: str, change: Callable[[list[dict[str, Any]]], list[dict[str, Any]]]) -> None:
    with gcp.policies:  # a policy is written as a whole
        if kind == BUCKET:
            policy = gcp.rest.call("GET", where, optionsRequestedPolicyVersion=3)
            gcp.rest.call("PUT", where, {**_written(policy), "bindings": change(policy.get("bindings", []))})
            return
        policy = gcp.rest.call(KINDS[kind].read, f"{where}:getIamPolicy", {} if KINDS[kind].read == "POST" else None)
        changed = {**_written(policy), "bindings": change(policy.get("bindings", []))}
        gcp.rest.call("POST", f"{where}:setIamPolicy", {"policy": changed})


def _written(policy: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is written back of a policy besides its bindings; with conditions it is of version 3."""
    return {"version": 3, **({"etag": policy["etag"]} if "etag" in policy else {})}


def _binding(role: str, condition: Mapping[str, str] | None, members: list[str]) -> dict[str, Any]:
    return {"role": role, "members": members, **({"condition": dict(condition)} if condition else {})}


def _is(binding: Binding, role: str, condition: Mapping[str, str] | None) -> bool:
    return binding["role"] == role and (binding.get("condition") or None) == (dict(condition) if condition else None)


def _enter(kind: str) -> None:
    @creates(kind)
    def member(gcp: Gcp, _: str, given: Inputs) -> Created:
        return _join(gcp, kind, given)


for _kind in KINDS:
    _enter(_kind)
deletes(*KINDS)(_leave)
