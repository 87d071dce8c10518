"""Every refusal names the input, what it was and what is expected."""

from __future__ import annotations

import asyncio
from typing import Any

import pulumi
import pytest

import spotkeeper
from pulumi_support import declare, declare_fleet, declare_responder, fleet_args
from spotkeeper.fleet import FleetTimings, plan_fleet, plan_timings
from spotkeeper_ledger import DeadlineSpec

ONE_ZONE = ["subnet-a", "subnet-1a"]


def _deadline(**changes: Any) -> dict[str, Any]:
    """A policy whose deadline can be met, but for the changes."""
    return {"policy": "deadline", "deadline": {"hours": 60, "work_hours": 40, "on_demand_price": 3.06, **changes}}


FLEET = {
    "serving": ({"workload": "serving"}, "workload: was 'serving', expected 'training' (a fleet drains"),
    "workload": ({"workload": "batch"}, "workload: was 'batch', expected 'training'"),
    "no nodes": ({"nodes": 0}, "nodes: was 0, expected a whole number, at least 1"),
    "half a node": ({"nodes": 2.5}, "nodes: was 2.5, expected a whole number"),
    "nodes as text": ({"nodes": "4"}, "nodes: was '4', expected a whole number"),
    "nodes as truth": ({"nodes": True}, "nodes: was True, expected a whole number"),
    "negative base": ({"on_demand_base": -1}, "on_demand_base: was -1, expected a whole number, from 0 to 4"),
    "large base": ({"on_demand_base": 5}, "on_demand_base: was 5, expected a whole number, from 0 to 4"),
    "maximum below base": (
        {"on_demand_base": 2, "on_demand_max": 1},
        "on_demand_max: was 1, expected a whole number, from 2 to 4",
    ),
    "maximum above nodes": ({"on_demand_max": 5}, "on_demand_max: was 5, expected a whole number, from 0 to 4"),
    "no hours": ({"max_on_demand_hours": 0}, "max_on_demand_hours: was 0, expected a number, more than 0"),
    "endless hours": ({"max_on_demand_hours": float("inf")}, "max_on_demand_hours: was inf, expected a number"),
    "hours as text": ({"max_on_demand_hours": "20"}, "max_on_demand_hours: was '20', expected a number, more than 0"),
    "hours as truth": ({"max_on_demand_hours": True}, "max_on_demand_hours: was True, expected a number"),
    "policy": ({"policy": "always"}, "policy: was 'always', expected 'never' or 'mirror' or 'patient'"),
    "policy wait": ({"policy_wait_seconds": 0}, "policy_wait_seconds: was 0, expected seconds, more than 0"),
    "deadline without a block": (
        {"policy": "deadline"},
        "deadline: was None, expected a block with on_demand_price and either by or hours",
    ),
    "deadline of another policy": (
        {"deadline": {"hours": 60, "on_demand_price": 3.06}},
        "policy: was None, expected 'deadline', which is what the deadline block is for",
    ),
    "deadline without a price": (
        _deadline(on_demand_price=None),
        "deadline.on_demand_price: was None, expected a number",
    ),
    "deadline for nothing": (_deadline(on_demand_price=0), "deadline.on_demand_price: was 0, expected a number"),
    "deadline without a time": (_deadline(hours=None), "deadline.hours: was None, expected either hours or by"),
    "deadline twice": (_deadline(by="2027-03-01T08:00:00Z"), "deadline.hours: was 60.0, expected either hours or by"),
    "deadline somewhere": (
        _deadline(hours=None, by="2027-03-01 08:00"),
        "deadline.by: was '2027-03-01 08:00', expected a date and time with an offset from UTC",
    ),
    "deadline in words": (_deadline(hours=None, by="tomorrow"), "deadline.by: was 'tomorrow', expected a date"),
    "deadline that cannot be met": (
        _deadline(work_hours=59.9),
        "deadline.hours: was 60.0, expected at least 60.1, work_hours and one restart: on-demand alone takes that long",
    ),
    "deadline with an excess below zero": (_deadline(excess=-1), "deadline.excess: was -1, expected a number"),
    "deadline with a typo": (_deadline(price=3), "deadline.price: was 3, expected one of by, excess, hours"),
    "deadline with little on-demand": (
        {**_deadline(), "on_demand_max": 2},
        "on_demand_max: was 2, expected 4, all nodes: the policy 'deadline' may need them",
    ),
    "deadline with a limit": (
        {**_deadline(), "max_on_demand_hours": 9},
        "max_on_demand_hours: was 9, expected no limit",
    ),
    "gang": ({"gang": "zone"}, "gang: was 'zone', expected 'none' or 'single_zone' or 'region'"),
    "elastic alone": (
        {"elastic": {}},
        "gang: was 'none', expected 'single_zone' or 'region', because nodes of an elastic",
    ),
    "elastic minimum": (
        {"gang": "region", "elastic": {"min_nodes": 5}},
        "elastic.min_nodes: was 5, expected a whole number, from 1 to 4",
    ),
    "elastic processes": (
        {"gang": "region", "elastic": {"processes_per_node": 0}},
        "elastic.processes_per_node: was 0, expected a whole number, from 1 to 1024",
    ),
    "elastic join": (
        {"gang": "region", "elastic": {"join": "never"}},
        "elastic.join: was 'never', expected 'checkpoint' or 'now'",
    ),
    "elastic word": (
        {"gang": "region", "elastic": {"max_nodes": 5}},
        "elastic.max_nodes: was 5, expected one of join, min_nodes, processes_per_node",
    ),
    "rebalance": (
        {"on_rebalance": "panic"},
        "on_rebalance: was 'panic', expected 'checkpoint' or 'replace' or 'ignore'",
    ),
    "update": ({"on_update": "now"}, "on_update: was 'now', expected 'next-run' or 'checkpoint-restart'"),
    "destroy": ({"on_destroy": "keep"}, "on_destroy: was 'keep', expected 'checkpoint' or 'force'"),
    "signal": ({"notice_signal": "KILL"}, "notice_signal: was 'KILL', expected 'none' or 'USR1' or 'USR2' or 'HUP'"),
    "notice": ({"notice_command": ["sync"]}, "notice_command: was ['sync'], expected a string"),
    "confirms": ({"notice_command_confirms": True}, "notice_command_confirms: was True, expected a notice_command"),
    "restarts": ({"max_restarts": -1}, "max_restarts: was -1, expected a whole number, at least 0"),
    "volume": ({"root_volume_gib": 0}, "root_volume_gib: was 0, expected a whole number, from 1 to 16384"),
    "lowest price": (
        {"allocation_strategy": "lowest-price"},
        "'price-capacity-optimized' (it draws from the pools that are reclaimed first)",
    ),
    "strategy": (
        {"allocation_strategy": "cheap"},
        "allocation_strategy: was 'cheap', expected 'capacity-optimized' or",
    ),
    "weights": (
        {"weights": {"g5.xlarge": 2}},
        "weights: was {'g5.xlarge': 2}, expected no weights: a node is one unit",
    ),
    "weighted types": (
        {"instance_types": [{"instance_type": "g5.xlarge", "weighted_capacity": 2}]},
        "instance_types: was {'instance_type': 'g5.xlarge', 'weighted_capacity': 2}, expected the name of an instance "
        "type, and no weights",
    ),
    "misspelt": ({"onDemandBase": 1}, "onDemandBase: was 1, expected one of accept_narrow_pool,"),
    "type": ({"instance_types": ["large"]}, "instance_types: was 'large', expected the name of an instance type"),
    "no types": ({"instance_types": []}, "instance_types: was [], expected a list of instance types"),
    "one type as text": ({"instance_types": "g5.xlarge"}, "instance_types: was 'g5.xlarge', expected a list"),
    "a type twice": (
        {"instance_types": ["g5.xlarge"] * 2},
        "instance_types: was ['g5.xlarge', 'g5.xlarge'], expected each",
    ),
    "neither": ({"instance_types": ...}, "instance_types: was None, expected either instance_types or instance_requ"),
    "both": (
        {"instance_requirements": {"vcpu_min": 1, "memory_gib_min": 1}},
        "expected either instance_types or instance_",
    ),
    "narrow flag": ({"accept_narrow_pool": "yes"}, "accept_narrow_pool: was 'yes', expected true or false"),
    "mixed gang": (
        {"gang": "region", "instance_types": ["g5.xlarge", "g6.xlarge"]},
        "instance_types: was ['g5.xlarge', 'g6.xlarge'], expected one accelerator for all nodes of a gang, not A10G",
    ),
    "gang with and without": (
        {"gang": "single_zone", "instance_types": ["g5.xlarge", "c7i.xlarge"]},
        "expected one accelerator for all nodes of a gang, not A10G and none",
    ),
    "narrow": (
        {"subnet_ids": ONE_ZONE},
        "instance_types: was ['g5.xlarge', 'g5.2xlarge'] in 1 zone, which makes 2 candidate pools (types times zones), "
        "expected at least 6 (more types, or subnets in more zones), or accept_narrow_pool",
    ),
    "no subnets": ({"subnet_ids": []}, "subnet_ids: was [], expected subnets of one VPC"),
    "two networks": (
        {"subnet_ids": ["subnet-a@vpc-1", "subnet-b@vpc-2"]},
        "in vpc-1 and vpc-2, expected subnets of one VPC",
    ),
    "no responder": ({"responder": ...}, "responder: was None, expected a value; this input is required"),
    "no checkpoint": ({"checkpoint_uri": ...}, "checkpoint_uri: was None, expected a value; this input is required"),
    "responder": ({"responder": "gs://ledger"}, "responder: was 'gs://ledger', expected the uri of an AwsInterruption"),
    "responder folder": (
        {"responder": "s3://ledger/fleets"},
        "responder: was 's3://ledger/fleets', expected the uri of",
    ),
    "checkpoint": ({"checkpoint_uri": "/mnt/efs"}, "checkpoint_uri: was '/mnt/efs', expected s3://bucket/prefix"),
    "checkpoint pattern": (
        {"checkpoint_uri": "s3://bucket/*"},
        "checkpoint_uri: was 's3://bucket/*', expected s3://bucket",
    ),
    "checkpoint variable": ({"checkpoint_uri": "s3://bucket/${aws:userid}"}, "checkpoint_uri: was 's3://bucket/${aws"),
    "checkpoint in ledger": (
        {"checkpoint_uri": "s3://spotkeeper-ledger/fleets/x"},
        "checkpoint_uri: was 's3://spotkeeper-ledger/fleets/x', expected another bucket, or another folder",
    ),
    "checkpoint is ledger": (
        {"checkpoint_uri": "s3://spotkeeper-ledger"},
        "expected another bucket, or another folder",
    ),
    "command": ({"command": " "}, "command: was ' ', expected the training command"),
    "command as list": ({"command": ["python3"]}, "command: was ['python3'], expected a string"),
    "long command": ({"command": "x" * 9000}, "bytes, expected one that is shorter by "),
    "tags": (
        {"tags": {"spotkeeper:fleet": "mine"}},
        "tags: was 'spotkeeper:fleet', expected a key that starts with neither",
    ),
    "many tags": ({"tags": {f"t{n}": "" for n in range(46)}}, "tags: was '46 tags', expected at most 45"),
    "short hook": (
        {"timings": {"hook_seconds": 60}},
        "timings.hook_seconds: was 60.0, expected from 95 (signal_poll_seconds + save_seconds: the hook must not end "
        "before the save can) to 172800",
    ),
    "long hook": ({"timings": {"hook_seconds": 172801}}, "timings.hook_seconds: was 172801.0, expected from 95"),
    "no notice": ({"timings": {"notice_seconds": 0}}, "timings.notice_seconds: was 0, expected seconds, more than 0"),
    "negative linger": (
        {"timings": {"linger_seconds": -1}},
        "timings.linger_seconds: was -1, expected seconds, at least 0",
    ),
    "endless": (
        {"timings": {"lease_seconds": float("inf")}},
        "timings.lease_seconds: was inf, expected seconds, more than",
    ),
    "misspelt timing": ({"timings": {"linger": 5}}, "timings.linger: was 5, expected one of boot_grace_seconds,"),
}

REQUIREMENTS = {
    "no least memory": ({"vcpu_min": 4}, {}, "instance_requirements.memory_gib_min: was None, expected a value"),
    "upside down": (
        {"vcpu_min": 8, "vcpu_max": 4, "memory_gib_min": 1},
        {},
        "instance_requirements.vcpu_max: was 4, expected at least vcpu_min, 8",
    ),
    "misspelt": (
        {"vcpu_min": 1, "memory_gib_min": 1, "gpus": 1},
        {},
        "instance_requirements.gpus: was 1, expected one of accelerator_count_max,",
    ),
    "names": (
        {"vcpu_min": 1, "memory_gib_min": 1, "accelerator_names": "h100"},
        {},
        "instance_requirements.accelerator_names: was 'h100', expected a list of accelerators",
    ),
    "gang of any": (
        {"vcpu_min": 1, "memory_gib_min": 1, "accelerator_count_min": 1},
        {"gang": "single_zone"},
        "instance_requirements.accelerator_names: was [], expected exactly one, for all nodes of a gang",
    ),
    "prioritized": (
        {"vcpu_min": 1, "memory_gib_min": 1},
        {"allocation_strategy": "capacity-optimized-prioritized"},
        "allocation_strategy: was 'capacity-optimized-prioritized', expected a strategy without priorities",
    ),
    "narrow": (
        {"vcpu_min": 1, "memory_gib_min": 1},
        {"subnet_ids": ONE_ZONE},
        "in 1 zone, which makes 3 candidate pools (types times zones), expected at least 6",
    ),
}

RESPONDER = {
    "bucket": (
        {"bucket_name": "Ledger"},
        "bucket_name: was 'Ledger', expected 3 to 52 lower-case letters, digits and hyph",
    ),
    "long bucket": ({"bucket_name": "a" * 53}, "expected 3 to 52 lower-case letters"),
    "dotted bucket": ({"bucket_name": "my.ledger"}, "bucket_name: was 'my.ledger', expected"),
    "retention": ({"log_retention_days": 31}, "log_retention_days: was 31, expected one of 1, 3, 5,"),
    "misspelt": ({"bucket": "ledger"}, "bucket: was 'ledger', expected one of alert_email, bucket_name,"),
    "tags": ({"tags": {"aws:x": "y"}}, "tags: was 'aws:x', expected a key that starts with neither"),
}


@pytest.mark.parametrize(("changes", "message"), FLEET.values(), ids=FLEET)
def test_a_fleet_refuses(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(spotkeeper.InputError) as refused:
        declare_fleet(**changes)
    assert message in str(refused.value)


@pytest.mark.parametrize(("requirements", "changes", "message"), REQUIREMENTS.values(), ids=REQUIREMENTS)
def test_requirements_refuse(requirements: dict[str, Any], changes: dict[str, Any], message: str) -> None:
    with pytest.raises(spotkeeper.InputError) as refused:
        declare_fleet(instance_types=..., instance_requirements=requirements, **changes)
    assert message in str(refused.value)


@pytest.mark.parametrize(("inputs", "message"), RESPONDER.values(), ids=RESPONDER)
def test_a_responder_refuses(inputs: dict[str, Any], message: str) -> None:
    with pytest.raises(spotkeeper.InputError) as refused:
        declare_responder(**inputs)
    assert message in str(refused.value)


def test_a_name_that_makes_no_fleet_id_is_refused() -> None:
    for name in ("x" * 90, "x" * 200):
        with pytest.raises(spotkeeper.InputError, match=r"^name: was 'xxx"):
            declare(lambda name=name: spotkeeper.AwsTrainingFleet(name, fleet_args()))


def test_what_is_narrow_but_meant_so_is_accepted() -> None:
    declared = declare_fleet(subnet_ids=ONE_ZONE, accept_narrow_pool=True)
    assert declared.exports["spot_group_name"] == "spotkeeper-spotkeeper-test-train-spot"


def test_values_that_come_from_other_resources_are_checked_when_they_are_known() -> None:
    async def later(value: Any) -> Any:
        await asyncio.sleep(0)
        return value

    def program() -> None:
        bucket = pulumi.Output.from_input("gs://elsewhere")
        spotkeeper.AwsTrainingFleet("train", fleet_args(checkpoint_uri=bucket, command=later("train")))

    with pytest.raises(spotkeeper.InputError, match="checkpoint_uri: was 'gs://elsewhere', expected"):
        declare(program)


def test_a_preview_does_not_mind_what_it_cannot_know_yet() -> None:
    def program() -> None:
        responder = spotkeeper.AwsInterruptionResponder("keeper", {})  # in a preview its uri is not known
        spotkeeper.AwsTrainingFleet("train", fleet_args(responder=responder.uri))

    declared = declare(program, preview=True)
    assert len(declared.all("Group")) == 2


def test_an_error_is_shown_without_a_stack_trace_and_not_at_length() -> None:
    error = spotkeeper.InputError("command", "x" * 5000, "less")
    assert isinstance(error, pulumi.RunError)
    assert len(str(error)) < 200
    assert str(error.renamed("spotkeeper:command")).startswith("spotkeeper:command: was 'xxx")


def test_numbers_may_come_as_floats_as_pulumi_sends_them() -> None:
    plan = plan_fleet({"nodes": 3.0, "on_demand_base": 1.0, "max_restarts": 0.0})
    assert (plan.nodes, plan.base, plan.maximum, plan.max_restarts) == (3, 1, 3, 0)
    assert isinstance(plan.nodes, int)


def test_a_deadline_reaches_the_spec_with_what_follows_from_the_timings() -> None:
    timings = {"signal_poll_seconds": 5, "save_seconds": 90}
    plan = plan_fleet({"nodes": 4, "timings": timings, **_deadline(restart_minutes=10, excess=0)})
    assert plan.deadline == DeadlineSpec(
        on_demand_price=3.06, hours=60, work_hours=40, excess=0, restart_seconds=600, release_seconds=155
    )
    dated = plan_fleet({"nodes": 4, **_deadline(hours=None, by="2027-03-01T08:00:00+01:00")}).deadline
    assert dated is not None
    assert dated.at == 1803884400.0
    assert plan_fleet({"nodes": 4}).deadline is None


def test_defaults_are_those_that_the_documents_have() -> None:
    assert plan_timings({}) == FleetTimings()
    plan = plan_fleet({"nodes": 4})
    assert (plan.policy.name, plan.policy.wait_seconds, plan.gang) == ("mirror", 600.0, "none")
    assert (plan.on_rebalance, plan.on_update, plan.on_destroy) == ("checkpoint", "next-run", "checkpoint")
    assert (plan.base, plan.maximum, plan.max_restarts) == (0, 4, 3)
