import threading
from pathlib import Path

import pytest

from local_gcp_support import GROUPS, SPOT, TEMPLATES, Cloud, group, template
from spotkeeper_lab.local_gcp import LocalGcp, Timing
from test_local_gcp_server import QUICK, Client

NOTICE = {**SPOT, "preemptionNoticeDuration": {"seconds": "120"}}


def test_what_happens_is_told_when_it_happens_with_names_numbers_and_places(tmp_path: Path) -> None:
    with LocalGcp(tmp_path, QUICK) as cloud:
        client = Client(cloud.endpoint)
        client.done("POST", TEMPLATES, template(scheduling=SPOT))
        client.done("POST", GROUPS, group(size=1))
        node = cloud.events.wait(lambda moment: moment.what == "instance-running", 60).node
        assert node
        cloud.interrupt(node, warn=False)
        again = cloud.events.wait(lambda moment: moment.what == "instance-running" and moment.node != node, 60).node
    assert again and again.partition(".")[0] == node.partition(".")[0]
    told = cloud.events.moments()
    life = ["instance-launched", "instance-running", "notice-injected", "soft-off", "reclaimed"]
    assert [(moment.what, moment.node) for moment in told] == [
        ("desired-changed", None),
        *((what, node) for what in life),
        ("instance-launched", again),
        ("instance-running", again),
    ]
    assert {moment.detail["group"] for moment in told} == {"fleet"}
    first = told[1].detail
    assert (first["model"], first["machine_type"], first["zone"]) == ("SPOT", "g2-standard-4", "europe-west4-a")
    assert (first["lifecycle"], first["version"]) == ("spot", "spot")


def test_closing_leaves_no_thread_behind_though_a_connection_is_open(tmp_path: Path) -> None:
    before = set(threading.enumerate())
    cloud = LocalGcp(tmp_path, Timing(operation_seconds=3600))
    client = Client(cloud.endpoint)
    assert client.ask("POST", TEMPLATES, template())[0] == 200
    assert set(threading.enumerate()) - before
    cloud.close()
    assert not set(threading.enumerate()) - before
    client.connection.close()


def test_an_operating_system_that_is_done_ends_its_shutdown() -> None:
    cloud = Cloud(Timing(shutdown_seconds=30, status_lag_seconds=0))
    cloud.fleet(size=1, scheduling=NOTICE)
    (one,) = cloud.booted()
    cloud.compute.preempt(one["name"])
    cloud.clock.pass_by(121)
    assert not cloud.told("reclaimed")
    cloud.compute.powered_off(one["id"])
    cloud.compute.powered_off(one["id"])
    cloud.clock.pass_by(60)
    assert len(cloud.told("reclaimed")) == 1
    assert cloud.managed()[0]["id"] != one["id"]


def test_an_instance_that_powers_itself_off_is_repaired_once_the_api_knows() -> None:
    cloud = Cloud(Timing(status_lag_seconds=45, repair_delay_seconds=0))
    cloud.fleet(size=1, scheduling={})
    (one,) = cloud.booted()
    cloud.compute.powered_off(one["id"])
    cloud.clock.pass_by(44)
    assert cloud.managed()[0]["instanceStatus"] == "RUNNING"
    cloud.clock.pass_by(1)
    (again,) = cloud.booted()
    assert (again["name"], again["id"] == one["id"]) == (one["name"], False)


def test_a_name_that_nobody_has_is_refused(tmp_path: Path) -> None:
    with LocalGcp(tmp_path, QUICK) as cloud, pytest.raises(ValueError, match="name: was 'nobody', expected"):
        cloud.interrupt("nobody")


def test_word_of_an_old_life_does_not_end_the_next_one() -> None:
    cloud = Cloud(Timing(status_lag_seconds=0, repair_delay_seconds=0))
    cloud.fleet(size=1)
    (old,) = cloud.booted()
    cloud.compute.preempt(old["name"])
    cloud.clock.pass_by(30)
    (new,) = cloud.booted()
    cloud.compute.powered_off(old["id"])
    cloud.clock.pass_by(60)
    assert [(one["name"], one["id"]) for one in cloud.managed()] == [(old["name"], new["id"])]


def test_what_has_not_booted_has_no_operating_system_to_power_off() -> None:
    cloud = Cloud()
    cloud.fleet(size=1)
    (booting,) = cloud.managed()
    cloud.compute.powered_off(booting["id"])
    (one,) = cloud.booted()
    assert one["id"] == booting["id"]


def test_a_new_size_is_told_once() -> None:
    cloud = Cloud()
    cloud.fleet(size=0)
    for size in (1, 1, 2):
        cloud.do("POST", f"{GROUPS}/fleet/resize", size=size)
    cloud.do("PATCH", f"{GROUPS}/fleet", {"description": "the same size"})
    told = [details["desired"] for _, what, _, details in cloud.moments if what == "desired-changed"]
    assert told == [0, 1, 2]
