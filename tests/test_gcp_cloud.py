"""Fleets on managed instance groups, as the local Google Cloud keeps them by Google's own description of its API."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from agent_support import wait_until
from gcp_account import FAST, Account, fleet
from spotkeeper_lab.local_gcp import CAPACITY, QUOTA, LocalGcp
from spotkeeper_ledger import Unavailable
from spotkeeper_responder import CAPACITY as LACKING
from spotkeeper_responder import QUOTA as LIMITED
from spotkeeper_responder import SPOT, Completion, Termination


@pytest.fixture
def account(tmp_path: Path) -> Iterator[Account]:
    with LocalGcp(tmp_path, FAST) as local:
        yield Account(local, fleet())


def test_both_groups_as_they_are(account: Account) -> None:
    account.make({"spot": 3, "backup": 0})
    nodes = account.nodes(SPOT, 3)
    view = account.view()
    assert all(node.startswith("spotkeeper-shop-prod-digits-spot-") for node in nodes)
    assert all(node.rpartition(".")[2].isdigit() for node in nodes)
    assert {i.version for i in view.spot.instances} == {"1"}
    assert all(i.healthy for i in view.spot.instances)
    assert (view.spot.desired, view.backup.desired, view.backup.instances) == (3, 0, ())
    assert account.cloud().fleets_of({*nodes, "i-0abc"}) == dict.fromkeys(nodes, account.spec.fleet)


def test_a_fleet_without_its_groups_is_told_by_name(account: Account) -> None:
    with pytest.raises(LookupError, match=account.spec.spot_group):
        account.view()


def test_who_is_preempted_is_another_node_when_its_group_has_replaced_it(account: Account) -> None:
    account.make({"spot": 2, "backup": 0})
    before = account.nodes(SPOT, 2)
    name, _, _number = before[0].partition(".")
    account.local.interrupt(name, warn=False)
    wait_until(lambda: before[0] not in {i.node for i in account.view().spot.live})
    after = account.nodes(SPOT, 2)
    assert {node.partition(".")[0] for node in after} == {node.partition(".")[0] for node in before}
    assert before[0] not in after
    assert before[1] in after
    assert account.view().spot.desired == 2


def test_a_group_grows_by_its_size_and_shrinks_by_the_nodes_that_are_named(account: Account) -> None:
    account.make({"spot": 3, "backup": 0})
    nodes = account.nodes(SPOT, 3)
    cloud = account.cloud()
    cloud.groups(account.spec)
    cloud.resize(account.spec.backup_group, 2)
    backup = account.nodes("backup", 2)
    cloud = account.cloud()
    cloud.groups(account.spec)
    cloud.resize(account.spec.spot_group, 1)
    assert account.nodes(SPOT, 3) == nodes, "a size never chooses who goes"
    cloud.terminate(Termination(nodes[0], decrement=True))
    cloud.terminate(Termination(nodes[2], decrement=True))
    assert account.nodes(SPOT, 1) == [nodes[1]]
    assert account.nodes("backup", 2) == backup


def test_a_named_node_is_replaced_where_its_group_keeps_its_size(account: Account) -> None:
    account.make({"spot": 2, "backup": 0})
    before = account.nodes(SPOT, 2)
    cloud = account.cloud()
    cloud.groups(account.spec)
    cloud.terminate(Termination(before[0], decrement=False))
    wait_until(lambda: before[0] not in {i.node for i in account.view().spot.live})
    after = account.nodes(SPOT, 2)
    assert before[1] in after
    assert before[0] not in after


def test_everybody_goes_where_the_size_is_zero(account: Account) -> None:
    account.make({"spot": 2, "backup": 0})
    nodes = account.nodes(SPOT, 2)
    cloud = account.cloud()
    cloud.groups(account.spec)
    cloud.resize(account.spec.spot_group, 0)
    for node in nodes:
        cloud.terminate(Termination(node, decrement=False))
    wait_until(lambda: account.view().spot.desired == 0 and not account.view().spot.instances)


@pytest.mark.parametrize(("why", "kind"), [(CAPACITY, LACKING), (QUOTA, LIMITED)])
def test_what_cannot_be_had_is_no_node_has_its_reason_and_is_given_up_first(
    account: Account, why: str, kind: str
) -> None:
    account.local.market.set_capacity(1, why)
    account.make({"spot": 3, "backup": 0})
    cloud = account.cloud()

    def refused() -> bool:
        nonlocal cloud
        cloud = account.cloud()
        spot, _ = cloud.groups(account.spec)
        return len(spot.live) == 1 and len(cloud.launch_failures(account.spec, 0)) == 2

    wait_until(refused)
    assert {(f.group, f.failure_class, f.at) for f in cloud.launch_failures(account.spec, 0)} == {(SPOT, kind, 1000.0)}
    assert account.view().spot.desired == 3
    (node,) = (i.node for i in account.view().spot.live)
    cloud.resize(account.spec.spot_group, 1)
    assert account.nodes(SPOT, 1) == [node]


def test_a_node_that_is_gone_and_a_hook_that_there_is_not_are_no_errors(account: Account) -> None:
    account.make({"spot": 1, "backup": 0})
    cloud = account.cloud()
    cloud.groups(account.spec)
    calls = cloud.calls
    cloud.terminate(Termination("spotkeeper-shop-prod-digits-spot-zzzz.7", decrement=True))
    cloud.complete(Completion("n", "g", "h"))
    assert cloud.calls == calls


def test_nobody_is_told_past_the_ledger_and_people_are(account: Account) -> None:
    cloud = account.cloud()
    assert not cloud.reaches_nodes
    assert cloud.shows_failures
    with pytest.raises(Unavailable, match="only the ledger does"):
        cloud.signal("f", "interruption", None, ["n"])
    cloud.announce("subject", "text")
    assert account.announced == [("subject", "text")]


def test_a_size_is_set_only_of_a_group_that_was_looked_at(account: Account) -> None:
    with pytest.raises(LookupError, match="was never looked at"):
        account.cloud().resize("g", 1)
