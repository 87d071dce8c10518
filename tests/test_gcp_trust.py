"""On Google Cloud: nothing secret is declared or exported, no role is wide, and nothing is open to whoever asks."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator

import pytest

from pulumi_support import Declared
from test_gcp_stack import run
from test_trust_secrets import CANARIES, SECRET

pytestmark = pytest.mark.xdist_group("pulumi_gcp")  # the provider takes seconds to load: one process does it

BINDINGS = (
    "BucketIAMMember",
    "IAMMember",
    "ServiceIamMember",
    "SubscriptionIAMMember",
    "TopicIAMMember",
)
ROLES = {
    "roles/iam.serviceAccountTokenCreator": "Pub/Sub calls the function as the account that may call it",
    "roles/pubsub.publisher": "nodes, the audit log's sink, and Pub/Sub for what it gives up",
    "roles/pubsub.subscriber": "Pub/Sub takes from the subscription what it gives up",
    "roles/run.invoker": "the account that may call the function",
    "roles/storage.objectUser": "bound to names of objects, but for a checkpoint bucket without a prefix",
    "roles/storage.objectViewer": "bound to names of objects",
}
"""Every role of Google's that anybody has, and what for."""


@pytest.fixture(scope="module")
def declared() -> Iterator[Declared]:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in CANARIES.items():
            patch.setenv(name, value)
        yield run(command="exec python3 train.py", gang="region", alertEmail="ops@example.com")


def test_what_is_declared_and_exported_holds_no_secret(declared: Declared) -> None:
    for seen in declared.notes.seen:
        # Half a megabyte of base64 looks like a key id somewhere by chance; it is the agent of AWS, and read there.
        plain = {name: value for name, value in seen.inputs.items() if seen.name != "training-agent"}
        assert not SECRET.search(json.dumps(plain, default=str)), seen.label
    assert not SECRET.search(json.dumps(dict(declared.exports), default=str))
    assert not SECRET.search(json.dumps(declared.notes.outputs, default=str))


def test_startup_scripts_hold_nothing_of_the_deployers_environment(declared: Declared) -> None:
    given = {name: value for name, value in os.environ.items() if len(value) > 12} | CANARIES
    for template in declared.all("RegionInstanceTemplate"):
        script = template.inputs["metadata"]["startup-script"]
        (config,) = re.findall(r"agent\.json <<'SPOTKEEPER_END'\n(.*?)\nSPOTKEEPER_END", script, re.DOTALL)
        told = json.loads(config)
        assert not [name for name, value in given.items() if value in told.values()]
        assert told["command"] == "exec python3 train.py"
        assert not SECRET.search(template.inputs["metadata"]["shutdown-script"])


def test_the_functions_environment_names_places_only(declared: Declared) -> None:
    variables = declared.one("Function").inputs["serviceConfig"]["environmentVariables"]
    assert set(variables) == {"SPOTKEEPER_LEDGER", "SPOTKEEPER_PROJECT", "SPOTKEEPER_REGION", "THREADS"}


def test_every_role_is_known_and_nobody_is_everybody(declared: Declared) -> None:
    bindings = [seen for kind in BINDINGS for seen in declared.all(kind)]
    assert {seen.kind for seen in declared.notes.seen if "iam" in seen.kind.lower()} == {*BINDINGS, "IAMCustomRole"}
    own = {f"projects/ml-project/roles/{role.inputs['roleId']}" for role in declared.all("IAMCustomRole")}
    assert {seen.inputs["role"] for seen in bindings} == {*ROLES, *own}
    for seen in bindings:
        assert re.fullmatch(r"serviceAccount:[^*]+@[a-z0-9.-]+\.iam\.gserviceaccount\.com", seen.inputs["member"])


def test_roles_on_buckets_are_bound_to_names_of_objects(declared: Declared) -> None:
    for seen in declared.all("BucketIAMMember"):
        condition = seen.inputs["condition"]["expression"]
        assert f'"projects/_/buckets/{seen.inputs["bucket"]}' in condition
        assert '""' not in condition.replace('objectListPrefix", ""', "")


def test_nodes_are_reached_by_nodes_only_and_not_from_the_internet(declared: Declared) -> None:
    (rule,) = declared.all("Firewall")
    assert rule.inputs["sourceServiceAccounts"] == rule.inputs["targetServiceAccounts"]
    for template in declared.all("RegionInstanceTemplate"):
        for interface in template.inputs["networkInterfaces"]:
            assert set(interface) == {"subnetwork"}
    assert declared.one("Function").inputs["serviceConfig"]["ingressSettings"] == "ALLOW_INTERNAL_ONLY"
