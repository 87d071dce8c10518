import threading
from typing import Any

import pytest

from local_gcp_support import GROUPS, SPOT, TEMPLATES, Cloud, group, template
from spotkeeper_lab.local_gcp import LocalGcp, Timing
from test_local_gcp_server import QUICK, Client

NOTICE = {**SPOT, "preemptionNoticeDuration": {"seconds": "120"}}


def test_what_happens_is_told_when_it_happens_with_names_numbers_and_places() -> None:
    told: list[tuple[str, str | None, dict[str, Any]]] = []

    def tell(what: str, node: str | None, /, **details: Any) -> None:
        told.append((what, node, details))

    with LocalGcp(QUICK, tell=tell) as cloud:
        client = Client(cloud.endpoint)
        client.done("POST", TEMPLATES, template(scheduling=SPOT))
        client.done("POST", GROUPS, group(size=1))
        name = cloud.events.wait(lambda moment: moment.what == "node-started", 60).node
        assert name
        cloud.preempt(name)
        starts = [0]

        def again(moment: Any) -> bool:
            starts[0] += moment.what == "node-started"
            return starts[0] == 2

        cloud.events.wait(again, 60)
    life = ["instance-launched", "node-started", "notice-injected", "leaving", "reclaimed"]
    assert [(what, node) for what, node, _ in told] == [
        ("desired-changed", None),
        *((what, name) for what in (*life, "instance-launched", "node-started")),
    ]
    lives = [details["id"] for what, _, details in told if what == "node-started"]
    assert len(set(lives)) == 2
    assert {details["group"] for _, _, details in told} == {"fleet"}
    _, _, first = told[1]
    assert (first["model"], first["machine_type"], first["zone"]) == ("SPOT", "g2-standard-4", "europe-west4-a")
    assert [(moment.what, moment.node) for moment in cloud.events.moments()] == [(what, node) for what, node, _ in told]


def test_closing_leaves_no_thread_behind_though_a_connection_is_open() -> None:
    before = set(threading.enumerate())
    cloud = LocalGcp(Timing(operation_seconds=3600))
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


def test_a_name_that_nobody_has_is_refused() -> None:
    with LocalGcp(QUICK) as cloud, pytest.raises(ValueError, match="name: was 'nobody', expected"):
        cloud.preempt("nobody")


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
