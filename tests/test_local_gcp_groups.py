from random import Random
from typing import Any

import pytest

from local_gcp_support import GROUPS, REGION, SPOT, TEMPLATES, Cloud, group, link, template
from spotkeeper_lab.local_gcp import CONFIGURATION, QUOTA, STANDARD, Timing

NOTICE = {**SPOT, "preemptionNoticeDuration": {"seconds": "120"}}


def names(found: list) -> list[str]:
    return [one["name"] for one in found]


def test_a_group_creates_its_instances_in_time_and_says_how_far_it_is() -> None:
    cloud = Cloud()
    cloud.fleet(size=2)
    assert [(one["currentAction"], one["instanceStatus"]) for one in cloud.managed()] == [
        ("CREATING", "PROVISIONING")
    ] * 2
    assert cloud.do("GET", f"{GROUPS}/fleet")["status"] == {"isStable": False}
    cloud.clock.pass_by(15)
    assert [one["instanceStatus"] for one in cloud.managed()] == ["STAGING"] * 2
    cloud.clock.pass_by(15)
    found = cloud.do("GET", f"{GROUPS}/fleet")
    assert found["currentActions"]["none"] == 2
    assert found["status"] == {"isStable": True}
    one, other = cloud.managed()
    assert one["name"] != other["name"]
    assert one["id"] != other["id"]
    assert one["name"].startswith("fleet-") and len(one["name"]) == len("fleet-") + 4
    assert (one["currentAction"], one["targetStatus"]) == ("NONE", "RUNNING")
    zone = link(one).split("/")[1]
    instance = cloud.do("GET", f"/compute/v1/projects/local-project/zones/{zone}/instances/{one['name']}")
    assert (instance["id"], instance["status"]) == (one["id"], "RUNNING")
    assert {item["key"]: item["value"] for item in instance["metadata"]["items"]}["created-by"].endswith("/fleet")


def test_a_change_takes_effect_with_its_operation_and_not_before() -> None:
    cloud = Cloud()
    cloud.fleet()
    _, operation = cloud.ask("POST", f"{GROUPS}/fleet/resize", size=3)
    assert (operation["status"], cloud.size()) == ("PENDING", 0)
    where = operation["selfLink"].removeprefix("https://www.googleapis.com")
    cloud.clock.pass_by(0.5)
    assert (cloud.do("GET", where)["status"], cloud.size()) == ("RUNNING", 0)
    cloud.clock.pass_by(0.5)
    assert (cloud.do("GET", where)["status"], cloud.size()) == ("DONE", 3)


@pytest.mark.parametrize(("scheduling", "notice"), [(SPOT, 0), (NOTICE, 120)])
def test_a_preempted_instance_has_its_notice_then_its_shutdown_and_lives_again_under_its_name(
    scheduling: dict, notice: int
) -> None:
    cloud = Cloud(Timing(status_lag_seconds=20, repair_delay_seconds=10))
    cloud.fleet(size=2, scheduling=scheduling)
    victim, other = cloud.booted()
    began = cloud.clock.now
    cloud.compute.preempt(victim["name"])
    cloud.compute.preempt(victim["name"])  # says nothing new
    cloud.clock.pass_by(notice + 30)
    life = cloud.told("notice-injected", "soft-off", "reclaimed")
    name = victim["name"]
    assert [(at - began, what, node) for at, what, node in life] == [
        (0, "notice-injected", name),
        (notice, "soft-off", name),
        (notice + 30, "reclaimed", name),
    ]
    cloud.clock.pass_by(19)
    late, _ = cloud.managed()
    assert (late["id"], late["instanceStatus"]) == (victim["id"], "STOPPING"), "the API knows it later"
    cloud.clock.pass_by(1)
    gone, still = cloud.managed()
    assert (gone["currentAction"], gone.get("id")) == ("CREATING", None)
    assert (still["id"], cloud.size()) == (other["id"], 2)
    cloud.clock.pass_by(10)
    again, _ = cloud.booted()
    assert again["name"] == victim["name"]
    assert again["id"] not in (victim["id"], other["id"])


@pytest.mark.parametrize("later", [1, 100])
def test_who_is_deleted_within_its_notice_leaves_once(later: int) -> None:
    cloud = Cloud()
    cloud.fleet(size=1, scheduling=NOTICE)
    (one,) = cloud.booted()
    cloud.compute.preempt(one["name"])
    cloud.clock.pass_by(later)
    cloud.do("POST", f"{GROUPS}/fleet/deleteInstances", {"instances": [link(one)]})
    cloud.clock.pass_by(300)
    assert [what for _, what, _ in cloud.told("soft-off", "reclaimed", "terminated")] == ["soft-off", "terminated"]
    assert not cloud.managed()


def test_the_status_says_running_after_the_soft_off_until_the_api_has_heard_of_it() -> None:
    cloud = Cloud(Timing(status_lag_seconds=60))
    cloud.fleet(size=1)
    (one,) = cloud.booted()
    cloud.compute.preempt(one["name"])
    cloud.clock.pass_by(59)
    assert cloud.told("reclaimed")
    assert cloud.managed()[0]["instanceStatus"] == "RUNNING"
    cloud.clock.pass_by(1)
    assert cloud.managed()[0]["instanceStatus"] == "STOPPING"


@pytest.mark.parametrize(("allowed", "moves"), [("NO", False), ("YES", True)])
def test_a_repaired_instance_leaves_its_zone_only_if_it_may(allowed: str, moves: bool) -> None:
    cloud = Cloud()
    cloud.fleet(size=1, instanceLifecyclePolicy={"onRepair": {"allowChangingZone": allowed}})
    (one,) = cloud.booted()
    zone = link(one).split("/")[1]
    cloud.compute.market.set_capacity(0, zone=zone)
    cloud.compute.preempt(one["name"])
    cloud.clock.pass_by(300)
    (again,) = cloud.managed()
    assert (link(again).split("/")[1] != zone) is moves
    assert again["currentAction"] == ("NONE" if moves else "CREATING")
    if not moves:
        assert again["lastAttempt"]["errors"]["errors"][0]["code"] == "ZONE_RESOURCE_POOL_EXHAUSTED"


@pytest.mark.parametrize(
    ("limit", "code"),
    [
        ({}, "ZONE_RESOURCE_POOL_EXHAUSTED"),
        ({"code": "ZONE_RESOURCE_POOL_EXHAUSTED_WITH_DETAILS"}, "ZONE_RESOURCE_POOL_EXHAUSTED_WITH_DETAILS"),
        ({"why": QUOTA}, "QUOTA_EXCEEDED"),
        ({"why": CONFIGURATION}, "RESOURCE_NOT_FOUND"),
    ],
)
def test_what_the_market_refuses_is_tried_again_and_says_why(limit: dict, code: str) -> None:
    cloud = Cloud()
    cloud.compute.market.set_capacity(1, **limit)
    cloud.fleet(size=2)
    cloud.clock.pass_by(30)
    has, lacks = cloud.managed()
    assert has["currentAction"] == "NONE" and "lastAttempt" not in has
    assert lacks["currentAction"] == "CREATING" and "instanceStatus" not in lacks
    assert lacks["lastAttempt"]["errors"]["errors"][0]["code"] == code
    cloud.compute.market.set_capacity(None)
    cloud.clock.pass_by(60)
    assert [one["currentAction"] for one in cloud.managed()] == ["NONE", "NONE"]
    assert not [one for one in cloud.managed() if "lastAttempt" in one]


def test_on_demand_goes_on_while_spot_is_sold_out() -> None:
    cloud = Cloud()
    cloud.compute.market.set_capacity(0)
    cloud.fleet(size=1, scheduling={})
    assert len(cloud.booted()) == 1
    cloud.compute.market.set_capacity(0, model=STANDARD)
    cloud.do("POST", f"{GROUPS}/fleet/resize", size=2)
    assert cloud.managed()[1]["lastAttempt"]


def test_the_shapes_choose_zones_each_in_its_way() -> None:
    zones = {}
    for shape in ("ANY", "ANY_SINGLE_ZONE", "BALANCED", "EVEN"):
        cloud = Cloud()
        cloud.compute.market.set_capacity(1, zone=f"{REGION}-a")
        policy = {"instanceRedistributionType": "PROACTIVE" if shape == "EVEN" else "NONE"}
        cloud.fleet(size=6, shape=shape, updatePolicy=policy)
        cloud.clock.pass_by(30)
        have = [link(one).split("/")[1][-1] for one in cloud.managed() if one["currentAction"] == "NONE"]
        zones[shape] = "".join(sorted(have))
    assert zones == {"ANY": "abbbbb", "ANY_SINGLE_ZONE": "a", "BALANCED": "abbbcc", "EVEN": "abbcc"}


def test_a_group_of_one_zone_that_found_none_goes_where_there_is_supply() -> None:
    cloud = Cloud()
    cloud.compute.market.set_capacity(0)
    cloud.fleet(size=3, shape="ANY_SINGLE_ZONE")
    cloud.compute.market.set_capacity(None)
    cloud.compute.market.set_capacity(0, zone=f"{REGION}-a")
    cloud.clock.pass_by(60)
    assert {link(one).split("/")[1] for one in cloud.booted()} == {f"{REGION}-b"}


def test_machine_types_of_a_lower_rank_come_first_and_those_of_one_rank_by_what_there_is() -> None:
    selections = {
        "good": {"machineTypes": ["g2-standard-8", "g2-standard-16"], "rank": 1},
        "last": {"machineTypes": ["n1-standard-8"], "rank": 2},
    }
    cloud = Cloud()
    cloud.compute.market.set_capacity(2, machine_type="g2-standard-8")
    cloud.compute.market.set_capacity(1, machine_type="g2-standard-16")
    cloud.fleet(size=4, instanceFlexibilityPolicy={"instanceSelections": selections})
    types = [one["propertiesFromFlexibilityPolicy"]["machineType"] for one in cloud.booted()]
    assert types == ["g2-standard-8", "g2-standard-8", "g2-standard-16", "n1-standard-8"]


def test_resizing_down_takes_what_does_not_exist_yet_and_then_the_newest() -> None:
    cloud = Cloud()
    cloud.fleet(size=2)
    old, _newer = cloud.booted()
    cloud.do("POST", f"{GROUPS}/fleet/resize", size=3)
    cloud.clock.pass_by(30)
    cloud.compute.market.set_capacity(0)
    cloud.do("POST", f"{GROUPS}/fleet/resize", size=4)
    cloud.do("POST", f"{GROUPS}/fleet/resize", size=1)
    found = cloud.managed()
    assert [(one["currentAction"], one["targetStatus"]) for one in found] == [
        ("NONE", "RUNNING"),
        ("DELETING", "DELETED"),
        ("DELETING", "DELETED"),
    ]
    cloud.clock.pass_by(30)
    assert names(cloud.managed()) == [old["name"]]


def test_resizing_down_takes_an_old_one_that_waits_for_its_next_life_first() -> None:
    cloud = Cloud(Timing(status_lag_seconds=0))
    cloud.fleet(size=2)
    old, newer = cloud.booted()
    cloud.compute.market.set_capacity(1)
    cloud.compute.preempt(old["name"])
    cloud.clock.pass_by(60)
    cloud.do("POST", f"{GROUPS}/fleet/resize", size=1)
    assert names(cloud.managed()) == [newer["name"]]


class Stuttering(Random):
    """Says everything twice."""

    def __init__(self) -> None:
        super().__init__(0)
        self.said: list[str] = []

    def choices(self, *arguments: Any, **options: Any) -> list[Any]:
        if self.said:
            said, self.said = self.said, []
            return said
        self.said = super().choices(*arguments, **options)
        return self.said


def test_no_name_is_given_twice() -> None:
    cloud = Cloud(random=Stuttering())
    cloud.fleet(size=3)
    assert len(set(names(cloud.managed()))) == 3


def test_deleting_named_instances_lowers_the_size_by_so_many() -> None:
    cloud = Cloud()
    cloud.fleet(size=3)
    first, second, third = cloud.booted()
    body = {"instances": [first["instance"], link(third)]}
    done = cloud.do("POST", f"{GROUPS}/fleet/deleteInstances", body)
    assert (done["status"], cloud.size()) == ("DONE", 1)
    assert [one["currentAction"] for one in cloud.managed()] == ["DELETING", "NONE", "DELETING"]
    cloud.clock.pass_by(30)
    assert names(cloud.managed()) == [second["name"]]
    assert {node for _, _, node in cloud.told("terminated")} == {first["name"], third["name"]}


@pytest.mark.parametrize(("skip", "size"), [(False, 2), (True, 1)])
def test_a_stranger_among_those_to_delete_fails_all_unless_it_is_skipped(skip: bool, size: int) -> None:
    cloud = Cloud()
    cloud.fleet(size=2)
    one, _ = cloud.booted()
    stranger = f"zones/{REGION}-a/instances/somebody-else"
    body = {"instances": [link(one), stranger], "skipInstancesOnValidationError": skip}
    done = cloud.do("POST", f"{GROUPS}/fleet/deleteInstances", body)
    assert ("error" not in done) is skip
    if not skip:
        assert "somebody-else" in done["error"]["errors"][0]["message"]
    assert cloud.size() == size
    if skip:
        twice = cloud.do("POST", f"{GROUPS}/fleet/deleteInstances", {"instances": [link(one)]})
        assert "already being deleted" in twice["error"]["errors"][0]["message"]


def test_recreated_instances_keep_their_name_and_the_size_and_take_the_new_template() -> None:
    cloud = Cloud()
    cloud.fleet(size=2)
    first, second = cloud.booted()
    cloud.do("POST", TEMPLATES, template("next"))
    link_of_next = f"regions/{REGION}/instanceTemplates/next"
    cloud.do("PATCH", f"{GROUPS}/fleet", {"instanceTemplate": link_of_next})
    cloud.do("POST", f"{GROUPS}/fleet/recreateInstances", {"instances": [link(first)]})
    assert [one["currentAction"] for one in cloud.managed()] == ["RECREATING", "NONE"]
    cloud.clock.pass_by(30)
    again, other = cloud.booted()
    assert (again["name"], other["id"], cloud.size()) == (first["name"], second["id"], 2)
    assert again["id"] != first["id"]
    used = [one["version"]["instanceTemplate"].rpartition("/")[2] for one in (again, other)]
    assert used == ["next", "spot"]


@pytest.mark.parametrize(("force", "used"), [("NO", "spot"), ("YES", "next")])
def test_a_repair_keeps_the_template_unless_the_group_says_otherwise(force: str, used: str) -> None:
    cloud = Cloud()
    cloud.fleet(size=1, instanceLifecyclePolicy={"forceUpdateOnRepair": force})
    (one,) = cloud.booted()
    cloud.do("POST", TEMPLATES, template("next"))
    cloud.do("PATCH", f"{GROUPS}/fleet", {"instanceTemplate": f"regions/{REGION}/instanceTemplates/next"})
    cloud.compute.preempt(one["name"])
    cloud.clock.pass_by(300)
    (again,) = cloud.managed()
    assert again["version"]["instanceTemplate"].endswith(used)


def test_an_instance_deleted_directly_comes_back() -> None:
    cloud = Cloud()
    cloud.fleet(size=1)
    (one,) = cloud.booted()
    cloud.do("DELETE", f"/compute/v1/projects/local-project/{link(one)}")
    cloud.clock.pass_by(30)
    assert cloud.managed()[0]["currentAction"] == "CREATING"
    cloud.clock.pass_by(10)
    (again,) = cloud.booted()
    assert (again["name"], cloud.size()) == (one["name"], 1)
    assert again["id"] != one["id"]


def test_a_simulated_maintenance_event_preempts_a_spot_instance() -> None:
    cloud = Cloud()
    cloud.fleet(size=1)
    (one,) = cloud.booted()
    cloud.do("POST", f"/compute/v1/projects/local-project/{link(one)}/simulateMaintenanceEvent")
    assert [what for _, what, _ in cloud.told("notice-injected", "soft-off")] == ["notice-injected", "soft-off"]


def test_a_group_is_deleted_when_its_last_instance_is_gone() -> None:
    cloud = Cloud()
    cloud.fleet(size=2)
    cloud.booted()
    operation = cloud.do("DELETE", f"{GROUPS}/fleet")
    where = operation["selfLink"].removeprefix("https://www.googleapis.com")
    assert operation["status"] == "RUNNING"
    assert cloud.refused("POST", f"{GROUPS}/fleet/resize", size=3)[0] == 400
    cloud.clock.pass_by(29)
    assert cloud.do("GET", where)["status"] == "RUNNING"
    cloud.clock.pass_by(1)
    assert cloud.do("GET", where)["status"] == "DONE"
    assert cloud.refused("GET", f"{GROUPS}/fleet")[0] == 404
    cloud.do("POST", GROUPS, group(size=1))
    assert len(cloud.booted()) == 1


@pytest.mark.parametrize("how", ["nobody", "standard"])
def test_only_a_spot_instance_that_is_there_can_be_preempted(how: str) -> None:
    cloud = Cloud()
    cloud.fleet(size=1, scheduling={})
    name = "nobody" if how == "nobody" else cloud.booted()[0]["name"]
    with pytest.raises(ValueError, match=f"{name}.*expected"):
        cloud.compute.preempt(name)
