"""What Google Cloud's provider answers besides a resource's inputs, and its lookups. No provider is loaded here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

GCP_PROJECT, GCP_NUMBER, GCP_REGION = "ml-project", "123456789012", "europe-west4"
ZONES = [f"{GCP_REGION}-{letter}" for letter in "abc"]
ROOT = "https://www.googleapis.com/compute/v1"
_HERE = f"projects/{GCP_PROJECT}"

INVOKES: Mapping[str, Callable[[Mapping[str, Any]], dict[str, Any]]] = {
    "gcp:organizations/getClientConfig:getClientConfig": lambda _: {
        "project": GCP_PROJECT,
        "region": GCP_REGION,
        "zone": "",
        "accessToken": "secret",
        "id": "config",
    },
    "gcp:organizations/getProject:getProject": lambda args: {"projectId": args["projectId"], "number": GCP_NUMBER},
    "gcp:compute/getZones:getZones": lambda args: {"names": ZONES, "region": args["region"]},
    "gcp:compute/getSubnetwork:getSubnetwork": lambda args: {
        "name": args["name"],
        "region": args["region"],
        "network": f"{ROOT}/projects/{args['project']}/global/networks/net",
        "selfLink": f"{ROOT}/projects/{args['project']}/regions/{args['region']}/subnetworks/{args['name']}",
    },
}


def _account(_: str, inputs: Mapping[str, Any]) -> dict[str, Any]:
    email = f"{inputs['accountId']}@{GCP_PROJECT}.iam.gserviceaccount.com"
    return {"email": email, "name": f"{_HERE}/serviceAccounts/{email}", "uniqueId": "101234567890123456789"}


def _named(kind: str) -> Callable[[str, Mapping[str, Any]], dict[str, Any]]:
    return lambda _, inputs: {"id": f"{_HERE}/{kind}/{inputs['name']}"}


def _regional(kind: str) -> Callable[[str, Mapping[str, Any]], dict[str, Any]]:
    return lambda _, inputs: {"selfLink": f"{ROOT}/{_HERE}/regions/{GCP_REGION}/{kind}/{inputs['name']}"}


def _nothing(_: str, __: Mapping[str, Any]) -> dict[str, Any]:
    return {}


OUTPUTS: Mapping[str, Callable[[str, Mapping[str, Any]], dict[str, Any]]] = {
    "gcp:cloudfunctionsv2/function:Function": lambda _, i: {
        "serviceConfig": {**i["serviceConfig"], "uri": f"https://{i['name']}-abc-ez.a.run.app"}
    },
    "gcp:cloudrunv2/serviceIamMember:ServiceIamMember": _nothing,
    "gcp:cloudscheduler/job:Job": _nothing,
    "gcp:compute/firewall:Firewall": _nothing,
    "gcp:compute/regionInstanceGroupManager:RegionInstanceGroupManager": _regional("instanceGroupManagers"),
    "gcp:compute/regionInstanceTemplate:RegionInstanceTemplate": _regional("instanceTemplates"),
    "gcp:logging/projectSink:ProjectSink": lambda *_: {
        "writerIdentity": f"serviceAccount:service-{GCP_NUMBER}@gcp-sa-logging.iam.gserviceaccount.com"
    },
    "gcp:monitoring/alertPolicy:AlertPolicy": _nothing,
    "gcp:monitoring/notificationChannel:NotificationChannel": lambda name, _: {
        "name": f"{_HERE}/notificationChannels/{name}"
    },
    "gcp:projects/iAMCustomRole:IAMCustomRole": lambda _, i: {"name": f"{_HERE}/roles/{i['roleId']}"},
    "gcp:projects/iAMMember:IAMMember": _nothing,
    "gcp:pubsub/subscription:Subscription": _named("subscriptions"),
    "gcp:pubsub/subscriptionIAMMember:SubscriptionIAMMember": _nothing,
    "gcp:pubsub/topic:Topic": lambda n, i: {"id": f"{_HERE}/topics/{i.get('name', n)}"},
    "gcp:pubsub/topicIAMMember:TopicIAMMember": _nothing,
    "gcp:serviceaccount/account:Account": _account,
    "gcp:serviceaccount/iAMMember:IAMMember": _nothing,
    "gcp:storage/bucket:Bucket": lambda _, i: {"id": i["name"], "url": f"gs://{i['name']}"},
    "gcp:storage/bucketIAMMember:BucketIAMMember": _nothing,
    "gcp:storage/bucketObject:BucketObject": _nothing,
    "pulumi:providers:gcp": _nothing,
}
"""What each type answers besides its inputs."""
