"""Who serves, what is missing, and what of that was lost."""

from __future__ import annotations

from dataclasses import replace

import pytest

from responder_support import T0, instances, ledger, node, notice, record, seen, spec, view
from spotkeeper_ledger import DRAIN
from spotkeeper_responder import BACKUP, SPOT, Instance, State, Tick, decide
from spotkeeper_responder.strength import forget, measure, see, silent

SEEN = ledger(seen=seen(range(1, 5)))


def reported(**ages: float) -> dict[str, float]:
    """Last reports by age: ``n1=30`` is node 1, half a minute ago."""
    return {node(int(name[1:])): T0 - age for name, age in ages.items()}


@pytest.mark.parametrize(("age", "shortfall"), [(0, 0), (90, 0), (90.1, 1)])
def test_a_node_serves_while_its_last_report_is_younger_than_three_of_them(age: float, shortfall: int) -> None:
    seen_now = view(instances(range(1, 5)), reported=reported(n1=age, n2=0, n3=0, n4=0))
    assert measure(spec(), seen_now, SEEN, T0).shortfall == shortfall


@pytest.mark.parametrize(("ticked", "backup"), [(180, None), (100, None), (60, 4)])
def test_nodes_that_the_ledger_was_away_for_are_not_lost(ticked: float, backup: int | None) -> None:
    seen_now = view(instances(range(1, 5)), reported={node(n): T0 - 140 for n in range(1, 5)})
    remembered = replace(SEEN, ticked_at=T0 - ticked, spot_desired=4, backup_desired=0)
    decision = decide(spec(), seen_now, remembered, [Tick()], T0)
    assert decision.sizes.get(BACKUP) == backup
    assert decision.facts.silent == (backup or 0)
    assert decision.ledger.ticked_at == T0


@pytest.mark.parametrize(("age", "shortfall"), [(0, 0), (600, 0), (600.1, 1)])
def test_a_node_that_never_reported_serves_for_the_boot_grace(age: float, shortfall: int) -> None:
    seen_now = view(instances(range(1, 5)), reported=reported(n2=0, n3=0, n4=0))
    remembered = ledger(seen=seen(range(1, 5), first_at=T0 - age))
    assert measure(spec(), seen_now, remembered, T0).shortfall == shortfall


def test_booting_nodes_serve_but_have_not_joined() -> None:
    seen_now = view(instances(range(1, 5)), reported=reported(n1=0, n2=0))
    strength = measure(spec(), seen_now, ledger(seen=seen(range(1, 5), first_at=T0)), T0)
    assert (strength.shortfall, strength.unjoined) == (0, 2)


@pytest.mark.parametrize("state", [State.HELD, State.GOING])
def test_nodes_on_their_way_out_do_not_serve(state: State) -> None:
    seen_now = view((*instances([1], state), *instances([2, 3, 4])))
    strength = measure(spec(), seen_now, SEEN, T0)
    assert (strength.shortfall, strength.missing, strength.lost) == (1, 1, 1)


def test_a_node_that_its_group_takes_for_unhealthy_does_not_serve() -> None:
    seen_now = view((Instance(node(1), State.IN_SERVICE, healthy=False), *instances([2, 3, 4])))
    assert measure(spec(), seen_now, SEEN, T0).shortfall == 1


def test_pending_nodes_are_coming_unless_they_were_noticed() -> None:
    seen_now = view((*instances([1, 2]), *instances([3, 4], State.PENDING)))
    assert measure(spec(), seen_now, ledger(), T0).missing == 0
    noticed = ledger(notices={node(3): record(3)})
    strength = measure(spec(), seen_now, noticed, T0)
    assert (strength.shortfall, strength.missing, strength.lost) == (2, 1, 1)


def test_lost_are_those_that_ran_and_are_gone_going_or_silent() -> None:
    seen_now = view(instances([1, 2, 3]), reported=reported(n1=0, n2=500, n3=0))
    remembered = replace(SEEN, notices={node(3): record(3)})
    strength = measure(spec(), seen_now, remembered, T0)  # 2 is silent, 3 goes, 4 is gone
    assert (strength.shortfall, strength.lost) == (3, 3)


def test_what_we_let_go_ourselves_is_not_lost() -> None:
    remembered = replace(SEEN, notices={node(1): record(1, DRAIN)})
    assert measure(spec(), view(instances(range(1, 5))), remembered, T0).lost == 0


def test_a_new_fleet_has_lost_nothing() -> None:
    strength = measure(spec(), view(), ledger(), T0)
    assert (strength.shortfall, strength.missing, strength.lost) == (4, 4, 0)


def test_a_base_that_is_the_whole_target_leaves_nothing_for_spot() -> None:
    assert measure(spec(base=4), view(), ledger(), T0).shortfall == 0


def test_nodes_are_seen_once_they_run_and_last_seen_on_ticks() -> None:
    seen_now = view((*instances([1]), *instances([2], State.PENDING)), instances([3]))
    first = see(spec(), seen_now, {}, {}, T0, tick=False)
    assert {name: (s.group, s.first_at) for name, s in first.items()} == {node(1): (SPOT, T0), node(3): (BACKUP, T0)}
    assert see(spec(), seen_now, first, {}, T0 + 30, tick=False) == first
    assert see(spec(), seen_now, first, {}, T0 + 60, tick=True)[node(1)].last_at == T0 + 60


def test_spot_nodes_that_are_gone_are_remembered_until_spot_is_at_strength() -> None:
    known = {**seen([1, 2]), **seen([3], BACKUP)}
    left = view(instances([1]))
    assert see(spec(), left, known, {}, T0, tick=True).keys() == {node(1), node(2)}
    assert forget(left, known).keys() == {node(1), node(3)}  # an on-demand node is kept until it has been counted
    short = decide(spec(), left, ledger(seen=known), [], T0)
    assert node(2) in short.ledger.seen
    full = decide(spec(target=1), left, ledger(seen=known), [Tick()], T0)
    assert node(2) not in full.ledger.seen
    between = decide(spec(target=1), left, ledger(seen=known), [], T0)
    assert node(2) in between.ledger.seen, "the next tick has to account for it"


def test_of_those_that_are_gone_no_more_are_remembered_than_can_be_missed() -> None:
    known = {node(n): replace(s, last_at=T0 + n) for n, s in enumerate(seen(range(10)).values())}
    ours = {node(9): record(9, DRAIN), node(8): record(8)}
    left = see(spec(target=3), view(instances([0])), known, ours, T0, tick=False)
    assert left.keys() == {node(0), node(8), node(7), node(6)}  # 9 was let go by ourselves


def test_silent_nodes_are_counted_in_both_groups_and_without_those_that_go() -> None:
    seen_now = view(instances([1, 2]), instances([3]), reported=reported(n1=500, n2=500, n3=500))
    assert silent(spec(), seen_now, ledger(notices={node(2): record(2)}), T0) == 2


def test_the_shortfalls_clock_starts_once_and_stops_at_strength() -> None:
    first = decide(spec(), view(instances([1, 2, 3])), SEEN, [], T0)
    later = decide(spec(), view(instances([1, 2]), now=T0 + 40), first.ledger, [], T0 + 40)
    full = decide(spec(), view(instances(range(1, 5)), now=T0 + 80), later.ledger, [Tick()], T0 + 80)
    assert [d.ledger.shortfall_since for d in (first, later, full)] == [T0, T0, None]


def test_node_seconds_are_counted_from_tick_to_tick() -> None:
    seen_now = view(instances([1, 2]), instances([3]))
    first = decide(spec(), seen_now, ledger(), [Tick()], T0)
    between = decide(spec(), seen_now, first.ledger, [notice(1)], T0 + 30)
    second = decide(spec(), seen_now, between.ledger, [Tick()], T0 + 60)
    assert (first.ledger.spot_node_seconds, second.ledger.spot_node_seconds) == (0, 120)
    assert second.ledger.on_demand_node_seconds == 60
