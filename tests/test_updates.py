from dataclasses import replace

import pytest

from responder_support import T0, ledger, node, seen, spec, view
from spotkeeper_ledger import DRAIN
from spotkeeper_responder import Instance, State, Tick
from spotkeeper_responder.reconcile import decide
from spotkeeper_responder.updates import outdated, replaceable

RESTART = spec(on_update="checkpoint-restart", command_version="2")


def running(version: str, *numbers: int) -> list[Instance]:
    return [Instance(node(n), State.IN_SERVICE, version=version) for n in numbers]


@pytest.mark.parametrize(
    ("fleet", "version", "expected"),
    [
        (RESTART, "1", True),
        (RESTART, "2", False),
        (RESTART, "", False),
        (replace(RESTART, command_version=""), "1", False),
        (replace(RESTART, on_update="next-run"), "1", False),
    ],
)
def test_only_a_known_other_version_is_old_and_only_where_that_matters(fleet, version, expected) -> None:
    assert outdated(fleet, *running(version, 1)) is expected


def test_spares_go_first_and_the_job_stays_where_it_is() -> None:
    fleet = running("1", 1, 2, 3, 4)
    assert replaceable(RESTART, view(fleet, members=[node(1)]), fleet) == fleet[1:]


def test_the_job_moves_once_a_node_of_the_new_version_has_reported() -> None:
    old, new = running("1", 1), running("2", 5, 6, 7)
    silent = view([*old, *new], members=[node(1)], reported={})
    assert replaceable(RESTART, silent, [*old, *new]) == []
    assert replaceable(RESTART, view([*old, *new], members=[node(1)]), [*old, *new]) == old


def test_where_every_node_runs_the_job_nobody_waits_for_a_successor() -> None:
    gang = running("1", 1, 2, 3, 4)
    assert replaceable(RESTART, view(gang, members=[i.node for i in gang]), gang) == gang


def test_an_update_drains_by_name_asks_for_successors_and_buys_nothing() -> None:
    fleet = view(running("1", 1, 2, 3, 4), members=[node(1)])
    decision = decide(RESTART, fleet, ledger(spot_desired=4, backup_desired=0, seen=seen([1, 2, 3, 4])), [Tick()], T0)
    assert {n: r.kind for n, r in decision.ledger.notices.items()} == {node(n): DRAIN for n in (2, 3, 4)}
    assert decision.sizes == {"spot": 7}
    assert {signal.node for signal in decision.signals} == {node(n) for n in (2, 3, 4)}
    assert decision.terminations == ()
    again = decide(RESTART, replace(fleet, spot=replace(fleet.spot, desired=7)), decision.ledger, [Tick()], T0 + 1)
    assert "backup" not in again.sizes


def test_next_run_leaves_a_running_fleet_alone() -> None:
    fleet = view(running("1", 1, 2, 3, 4), members=[node(1)])
    kept = replace(RESTART, on_update="next-run")
    decision = decide(kept, fleet, ledger(spot_desired=4, backup_desired=0, seen=seen([1, 2, 3, 4])), [Tick()], T0)
    assert not decision.acts
