"""Requests: what is refused and which field is named, operations, repeated requests, pages."""

from typing import Any
from uuid import uuid4

import pytest

from local_gcp_support import BASE, GROUPS, REGION, SPOT, TEMPLATES, Cloud, group, link, template
from spotkeeper_lab.local_gcp import Timing

SCHEDULING = "resource.properties.scheduling"


@pytest.mark.parametrize(
    ("scheduling", "field", "why"),
    [
        (
            {"provisioningModel": "STANDARD", "instanceTerminationAction": "DELETE"},
            "instanceTerminationAction",
            "standard",
        ),
        ({"instanceTerminationAction": "STOP"}, "instanceTerminationAction", "standard"),
        ({**SPOT, "automaticRestart": True}, "automaticRestart", "cannot be automatically restarted"),
        ({"preemptible": True, "automaticRestart": True}, "automaticRestart", "cannot be automatically restarted"),
        ({"provisioningModel": "STANDARD", "preemptible": True}, "preemptible", "STANDARD"),
        ({**SPOT, "preemptible": False}, "preemptible", "Spot VMs are preemptible"),
        ({**SPOT, "preemptionNoticeDuration": {"seconds": "30"}}, "preemptionNoticeDuration", "0 or 120"),
        ({**SPOT, "preemptionNoticeDuration": {"seconds": 120, "nanos": 1}}, "preemptionNoticeDuration", "0 or 120"),
        ({"preemptionNoticeDuration": {"seconds": "120"}}, "preemptionNoticeDuration", "Only Spot"),
        ({**SPOT, "onHostMaintenance": "MIGRATE"}, "onHostMaintenance", "TERMINATE"),
        ({"provisioningModel": "FLEX_START"}, "instanceTerminationAction", "DELETE"),
        (
            {"provisioningModel": "FLEX_START", "automaticRestart": True, "instanceTerminationAction": "DELETE"},
            "automaticRestart",
            "does not restart",
        ),
    ],
)
def test_a_template_that_breaks_a_rule_is_refused_by_its_field(scheduling: dict, field: str, why: str) -> None:
    status, message = Cloud().refused("POST", TEMPLATES, template(scheduling=scheduling))
    assert status == 400
    assert f"'{SCHEDULING}.{field}'" in message
    assert why in message


@pytest.mark.parametrize(
    "scheduling",
    [
        {},
        SPOT,
        {"provisioningModel": "SPOT"},
        {"preemptible": True, "automaticRestart": False},
        {**SPOT, "preemptionNoticeDuration": {"seconds": "0"}, "onHostMaintenance": "TERMINATE"},
        {"instanceTerminationAction": "DELETE", "maxRunDuration": {"seconds": "3600"}},
        {
            "provisioningModel": "FLEX_START",
            "instanceTerminationAction": "DELETE",
            "maxRunDuration": {"seconds": 3600},
        },
    ],
)
def test_a_template_that_keeps_the_rules_is_taken(scheduling: dict) -> None:
    cloud = Cloud()
    cloud.do("POST", TEMPLATES, template(scheduling=scheduling))
    kept = cloud.do("GET", f"{TEMPLATES}/spot")["properties"]["scheduling"]
    assert kept.keys() == scheduling.keys()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"properties": {"machineType": ""}}, "Required field 'resource.properties.machineType'"),
        ({"properties": {"disks": []}}, "Required field 'resource.properties.disks'"),
        ({"properties": {"networkInterfaces": []}}, "Required field 'resource.properties.networkInterfaces'"),
        (
            {"properties": {"scheduling": {}, "guestAccelerators": [{"acceleratorCount": 1}]}},
            f"'{SCHEDULING}.onHostMaintenance'",
        ),
        ({"properties": {"scheduling": {"provisioningModel": "RESERVATION_BOUND"}}}, "consumeReservationType"),
        ({"properties": {"scheduling": {"provisioningModel": "FLEX_START", "instanceTerminationAction": "DELETE"}}},
         "Required field 'resource.properties.scheduling.maxRunDuration'"),
        ({"name": "No"}, "Invalid value for field 'resource.name': 'No'. Must be a match of regex"),
        ({"name": None}, "Required field 'resource.name' not specified"),
        ({"propertys": {}}, "Unknown name \"propertys\" at 'resource'"),
        ({"properties": {"canIpForward": "yes"}}, "Invalid value for field 'resource.properties.canIpForward'"),
        ({"properties": {"disks": {}}}, "'resource.properties.disks': '{}'. Expected an array"),
        ({"properties": {"disks": ["sda"]}}, "'resource.properties.disks[0]': 'sda'. Expected an object"),
        ({"properties": {"disks": [{"nam": 1}]}}, "Unknown name \"nam\" at 'resource.properties.disks[0]'"),
        ({"properties": {"labels": {"a": 1}}}, "'resource.properties.labels.a': '1'. Expected a string"),
        ({"properties": {"disks": [{"diskSizeGb": "many"}]}}, "'many'. Expected a whole number"),
        ({"properties": {"scheduling": {"minNodeCpus": 2**31}}}, "Must be from -2147483648 to 2147483647"),
    ],
)  # fmt: skip
def test_a_template_of_the_wrong_form_is_refused_by_its_field(change: dict, words: str) -> None:
    body = template()
    merged = {**body, **change, "properties": {**body["properties"], **change.get("properties", {})}}
    status, message = Cloud().refused("POST", TEMPLATES, merged)
    assert (status, words in message) == (400, True), message


def test_a_template_without_properties_is_refused() -> None:
    assert (
        Cloud().refused("POST", TEMPLATES, {"name": "bare"})[1] == "Required field 'resource.properties' not specified"
    )


def test_numbers_of_64_bits_travel_as_strings_and_what_is_output_only_is_ignored() -> None:
    cloud = Cloud()
    disks = [{"boot": True, "diskSizeGb": 50}]
    body = {**template(disks=disks), "selfLink": "mine"}
    scheduling = {**SPOT, "preemptionNoticeDuration": {"seconds": 120}}
    body["properties"]["scheduling"] = scheduling
    cloud.do("POST", TEMPLATES, body)
    kept = cloud.do("GET", f"{TEMPLATES}/spot")
    assert kept["properties"]["disks"][0]["diskSizeGb"] == "50"
    assert kept["properties"]["scheduling"]["preemptionNoticeDuration"] == {"seconds": "120"}
    assert kept["id"].isdecimal()
    assert kept["selfLink"].endswith(f"/regions/{REGION}/instanceTemplates/spot")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"targetsize": 1}, "Unknown name \"targetsize\" at 'resource'"),
        ({"targetSize": None}, "Required field 'resource.targetSize'"),
        ({"targetSize": 2001}, "'resource.targetSize': '2001'"),
        ({"targetSize": -1}, "'resource.targetSize': '-1'"),
        ({"targetSize": True}, "'resource.targetSize': 'True'. Expected a whole number"),
        ({"instanceTemplate": None}, "Required field 'resource.instanceTemplate'"),
        ({"instanceTemplate": "spot"}, "'resource.instanceTemplate': 'spot'. The URL is malformed"),
        ({"versions": [{"name": "v"}]}, "Required field 'resource.versions[0].instanceTemplate'"),
        ({"baseInstanceName": "Base"}, "'resource.baseInstanceName': 'Base'"),
        ({"baseInstanceName": "b" * 59}, "'resource.baseInstanceName'"),
        ({"distributionPolicy": {"targetShape": "ANYWHERE"}}, "Must be one of ANY, ANY_SINGLE_ZONE, BALANCED, EVEN"),
        ({"distributionPolicy": {"zones": [{"zone": "zones/us-central1-a"}]}}, "must exist in the region"),
        ({"distributionPolicy": {"zones": [{"zone": f"zones/{REGION}-a"}] * 2}}, "named once"),
        ({"updatePolicy": {"instanceRedistributionType": "NONE", "maxSurge": {"fixed": 2}}}, "maxSurge.fixed': '2'"),
        (
            {"updatePolicy": {"instanceRedistributionType": "NONE", "maxUnavailable": {"fixed": 1}}},
            "maxUnavailable.fixed': '1'",
        ),
        (
            {
                "updatePolicy": {
                    "instanceRedistributionType": "NONE",
                    "maxSurge": {"fixed": 0},
                    "maxUnavailable": {"fixed": 0},
                }
            },
            "Either maxSurge or maxUnavailable",
        ),
    ],
)
def test_a_group_that_breaks_a_rule_is_refused_by_its_field(change: dict, words: str) -> None:
    cloud = Cloud()
    cloud.do("POST", TEMPLATES, template())
    status, message = cloud.refused("POST", GROUPS, {**group(), **change})
    assert (status, words in message) == (400, True), message


@pytest.mark.parametrize("shape", ["ANY", "BALANCED", "ANY_SINGLE_ZONE"])
@pytest.mark.parametrize("policy", [{"instanceRedistributionType": "PROACTIVE"}, {}])
def test_only_an_even_group_redistributes_and_that_is_the_default(shape: str, policy: dict) -> None:
    cloud = Cloud()
    cloud.do("POST", TEMPLATES, template())
    status, message = cloud.refused("POST", GROUPS, group(shape=shape, updatePolicy=policy))
    assert status == 400
    assert "'resource.updatePolicy.instanceRedistributionType': 'PROACTIVE'" in message
    assert f"Must be NONE for a group with target shape {shape}." in message
    assert cloud.do("POST", GROUPS, group(shape="EVEN", updatePolicy=policy))["status"] == "DONE"


@pytest.mark.parametrize(
    "change",
    [
        {"baseInstanceName": "vm-###"},
        {"standbyPolicy": {"mode": "MANUAL"}},
        {"statefulPolicy": {"preservedState": {}}},
        {"instanceLifecyclePolicy": {"defaultActionOnFailure": "DO_NOTHING"}},
        {"versions": [{"instanceTemplate": f"regions/{REGION}/instanceTemplates/spot"}] * 2},
    ],
)
def test_what_the_api_has_and_the_local_cloud_has_not_is_answered_loudly(change: dict) -> None:
    cloud = Cloud()
    cloud.do("POST", TEMPLATES, template())
    status, message = cloud.refused("POST", GROUPS, {**group(), **change})
    assert (status, "is not in the local cloud" in message) == (501, True)


@pytest.mark.parametrize(
    ("verb", "path", "status", "words"),
    [
        ("GET", f"{GROUPS}/nobody", 404, f"regions/{REGION}/instanceGroupManagers/nobody' was not found"),
        ("GET", f"{TEMPLATES}/nobody", 404, "instanceTemplates/nobody' was not found"),
        ("DELETE", f"{TEMPLATES}/nobody", 404, "instanceTemplates/nobody' was not found"),
        ("GET", f"{BASE}/regions/{REGION}/operations/operation-x", 404, "operations/operation-x' was not found"),
        ("GET", f"{BASE}/zones/{REGION}-a/instances/nobody", 404, "instances/nobody' was not found"),
        ("POST", f"{GROUPS}/fleet/resize", 400, "Required field 'size' not specified"),
        ("POST", f"{GROUPS}/fleet/resize?size=many", 400, "Invalid value for field 'size': 'many'"),
        ("POST", f"{GROUPS}/fleet/resize?size=-1", 400, "Invalid value for field 'size': '-1'. Must be from 0"),
        ("POST", f"{GROUPS}/fleet/resize?size=2001", 400, "Invalid value for field 'size': '2001'"),
        ("POST", f"{GROUPS}/fleet/resize?size=1&sise=2", 400, "Unknown name \"sise\" at 'query'"),
        ("POST", f"{GROUPS}/fleet/resize?size=1&project=other", 400, "Unknown name \"project\" at 'query'"),
        ("POST", f"{GROUPS}/fleet/deleteInstances", 400, "Required field 'resource' not specified"),
        ("POST", f"{GROUPS}/fleet/listManagedInstances?filter=a", 501, "filter is not in the local cloud"),
        ("POST", f"{GROUPS}/fleet/resizes?size=1", 404, "was not found on this server"),
        ("PUT", f"{GROUPS}/fleet", 404, "was not found on this server"),
        ("GET", "/compute/v2/projects", 404, "was not found on this server"),
        ("GET", f"{BASE}/regions/{REGION}/instanceGroupManagers/fleet/listErrors", 501, "listErrors is not in the"),
        ("GET", f"{BASE}/regions/mars/instanceGroupManagers/fleet", 400, "Invalid value for field 'region': 'mars'"),
        ("GET", f"{BASE}/zones/mars-a/instances", 400, "Invalid value for field 'zone': 'mars-a'"),
        ("GET", f"{BASE}/zones/Mars/instances", 400, "Must be a match of regex"),
        ("GET", "/compute/v1/projects/elsewhere/zones", 404, "'projects/elsewhere' was not found"),
    ],
)
def test_a_request_that_cannot_be_is_refused(verb: str, path: str, status: int, words: str) -> None:
    cloud = Cloud()
    cloud.fleet()
    answered = cloud.compute.api.answer(verb, path, b"")
    assert (answered.status, words in answered.body["error"]["message"]) == (status, True), answered.body
    assert answered.body["error"]["errors"][0]["message"] == answered.body["error"]["message"]


def test_a_body_that_is_no_json_or_not_wanted_is_refused() -> None:
    cloud = Cloud()
    cloud.fleet()
    assert cloud.compute.api.answer("POST", TEMPLATES, b"{").status == 400
    status, message = cloud.refused("POST", f"{GROUPS}/fleet/resize", {"size": 2}, size=1)
    assert (status, 'Unknown name "size"' in message) == (400, True)


@pytest.mark.parametrize("method", ["deleteInstances", "recreateInstances"])
@pytest.mark.parametrize(
    ("named", "words"),
    [
        (["zones/europe-west4-a/instances/i"] * 1001, "a maximum of 1000 instances"),
        ([], "Required field 'resource.instances'"),
        (["just-a-name"], "Invalid value for field 'resource.instances[0]': 'just-a-name'"),
    ],
)
def test_too_many_instances_none_or_malformed_ones_are_refused(method: str, named: list, words: str) -> None:
    cloud = Cloud()
    cloud.fleet()
    status, message = cloud.refused("POST", f"{GROUPS}/fleet/{method}", {"instances": named})
    assert (status, words in message) == (400, True), message


def test_a_second_one_of_a_name_is_refused_and_what_is_used_is_not_deleted() -> None:
    cloud = Cloud()
    cloud.fleet()
    assert cloud.refused("POST", TEMPLATES, template())[0] == 409
    assert cloud.refused("POST", GROUPS, group())[0] == 409
    status, message = cloud.refused("DELETE", f"{TEMPLATES}/spot")
    assert (status, "already being used by" in message) == (400, True)
    cloud.do("DELETE", f"{GROUPS}/fleet")
    cloud.do("DELETE", f"{TEMPLATES}/spot")
    assert cloud.refused("GET", f"{TEMPLATES}/spot")[0] == 404
    assert cloud.refused("POST", GROUPS, group())[0] == 404


def test_of_two_insertions_at_once_the_second_one_s_operation_fails() -> None:
    cloud = Cloud()
    _, first = cloud.ask("POST", TEMPLATES, template())
    second = cloud.do("POST", TEMPLATES, template())
    assert first["name"] != second["name"]
    assert (second["status"], second["httpErrorStatusCode"]) == ("DONE", 409)
    assert second["error"]["errors"][0]["code"] == "RESOURCE_ALREADY_EXISTS"


def test_global_templates_serve_as_well() -> None:
    cloud = Cloud()
    cloud.do("POST", f"{BASE}/global/instanceTemplates", template("everywhere"))
    assert "region" not in cloud.do("GET", f"{BASE}/global/instanceTemplates/everywhere")
    cloud.do("POST", GROUPS, group(instanceTemplate="global/instanceTemplates/everywhere"))
    assert cloud.size() == 0
    assert cloud.refused("DELETE", f"{BASE}/global/instanceTemplates/everywhere")[0] == 400


def test_a_repeated_request_is_the_same_operation_whatever_else_it_says() -> None:
    cloud = Cloud()
    cloud.fleet()
    request = str(uuid4())
    first = cloud.do("POST", f"{GROUPS}/fleet/resize", size=2, requestId=request)
    cloud.do("POST", f"{GROUPS}/fleet/resize", size=1)
    again = cloud.do("POST", f"{GROUPS}/fleet/resize", size=2, requestId=request.upper())
    assert (again["name"], again["status"], cloud.size()) == (first["name"], "DONE", 1)
    other = cloud.do("POST", f"{GROUPS}/fleet/resize", size=3, requestId=str(uuid4()))
    assert (other["name"] != first["name"], cloud.size()) == (True, 3)


def test_a_repeated_deletion_of_instances_does_not_shrink_twice() -> None:
    cloud = Cloud()
    cloud.fleet(size=3)
    one, *_ = cloud.booted()
    request = str(uuid4())
    for _ in range(2):
        cloud.do("POST", f"{GROUPS}/fleet/deleteInstances", {"instances": [link(one)]}, requestId=request)
    assert cloud.size() == 2


@pytest.mark.parametrize("wrong", ["once", "00000000-0000-0000-0000-000000000000"])
def test_a_request_id_that_is_no_uuid_is_refused(wrong: str) -> None:
    cloud = Cloud()
    cloud.fleet()
    status, message = cloud.refused("POST", f"{GROUPS}/fleet/resize", size=2, requestId=wrong)
    assert (status, f"'requestId': '{wrong}'" in message) == (400, True)


@pytest.mark.parametrize(("how", "pages"), [("PAGINATED", [2, 2, 1]), ("PAGELESS", [5])])
def test_managed_instances_come_in_pages_where_the_group_says_so(how: str, pages: list[int]) -> None:
    cloud = Cloud()
    cloud.fleet(size=5, listManagedInstancesResults=how)
    found: list[list[Any]] = []
    token = ""
    while token or not found:
        answer = cloud.do("POST", f"{GROUPS}/fleet/listManagedInstances", maxResults=2, pageToken=token)
        found.append(answer["managedInstances"])
        token = answer.get("nextPageToken", "")
    assert [len(one) for one in found] == pages
    assert len({one["name"] for several in found for one in several}) == 5


def test_a_patch_changes_what_it_names_and_refuses_what_stays() -> None:
    cloud = Cloud()
    cloud.fleet(size=1)
    before = cloud.do("GET", f"{GROUPS}/fleet")
    changed = {"targetSize": 2, "instanceLifecyclePolicy": {"onRepair": {"allowChangingZone": "YES"}}}
    cloud.do("PATCH", f"{GROUPS}/fleet", {**changed, "fingerprint": before["fingerprint"]})
    after = cloud.do("GET", f"{GROUPS}/fleet")
    assert (after["targetSize"], len(cloud.managed())) == (2, 2)
    assert after["instanceLifecyclePolicy"]["onRepair"] == {"allowChangingZone": "YES"}
    assert after["distributionPolicy"] == before["distributionPolicy"]
    wrong = [
        ({"fingerprint": before["fingerprint"]}, 412, "fingerprint"),
        ({"name": "other"}, 400, "The name cannot be changed"),
        ({"distributionPolicy": {"zones": [{"zone": f"zones/{REGION}-a"}]}}, 400, "The zones cannot be changed"),
        ({"updatePolicy": {"instanceRedistributionType": "PROACTIVE"}}, 400, "Must be NONE"),
        ({"instanceTemplate": f"regions/{REGION}/instanceTemplates/none"}, 404, "was not found"),
        ({"updatePolicy": {"type": "PROACTIVE"}, "instanceTemplate": "global/instanceTemplates/x"}, 501, "rolling"),
    ]
    for body, status, words in wrong:
        got, message = cloud.refused("PATCH", f"{GROUPS}/fleet", body)
        assert (got, words in message) == (status, True), message


def test_instances_groups_and_zones_are_listed() -> None:
    cloud = Cloud(Timing(boot_seconds=0))
    assert "items" not in cloud.do("GET", GROUPS)
    cloud.fleet(size=2, shape="ANY_SINGLE_ZONE")
    names = {one["name"] for one in cloud.managed()}
    listed = cloud.do("GET", f"{BASE}/zones/{REGION}-a/instances")["items"]
    assert {one["name"] for one in listed} == names
    assert "items" not in cloud.do("GET", f"{BASE}/zones/{REGION}-b/instances")
    assert [one["name"] for one in cloud.do("GET", GROUPS)["items"]] == ["fleet"]
    zones = cloud.do("GET", f"{BASE}/zones")["items"]
    assert f"{REGION}-a" in [one["name"] for one in zones]
    assert cloud.do("GET", f"{BASE}/zones/{REGION}-a")["region"].endswith(f"/regions/{REGION}")
