from __future__ import annotations

from dataclasses import replace
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from spotkeeper_agent.generations import (
    CRASHED,
    DONE,
    ENDING,
    FINISHED,
    FORMING,
    GONE,
    NONE,
    RUNNING,
    RUNS,
    STOPPED,
    Change,
    Door,
    Peer,
    View,
    decide,
    is_live,
    joining,
    writer,
)
from spotkeeper_ledger import Generation, Member

LEASE = 30.0
NAMES = ("a", "b", "c", "d", "e")


def member(node: str, **facts: Any) -> Member:
    return Member(node, "boot", f"10.0.0.{ord(node)}", port=7610, **facts)


def peer(node: str, job: str = RUNS, *, generation: int = 4, known_seconds: float = 100.0, **facts: Any) -> Peer:
    return Peer(member(node), known_seconds=known_seconds, job=job, generation=generation, **facts)


def view(*peers: Peer, members: str = "abc", state: str = RUNNING, me: str = "a", **facts: Any) -> View:
    """What ``me`` sees of generation 4 of ``members``; who is not among ``peers`` runs and is well."""
    known = {node: peer(node) for node in members} | {each.member.node: each for each in peers}
    current = Generation("f", "i", 4, state, tuple(known[node].member for node in members))
    given = {"unchanged_seconds": 1.0, "lease_seconds": LEASE, "settle_seconds": 10.0, "min_nodes": 1}
    return View(me, "i", current, peers=known, **{**given, "max_restarts": 3, **facts})


def names(change: Change | None) -> str:
    return "".join(member.node for member in change.members) if change else ""


def test_nothing_is_written_while_all_is_well() -> None:
    assert decide(view()) is None
    assert decide(view(peer("d", NONE, generation=3))) is None  # who comes waits for a checkpoint


def test_the_first_live_member_writes_and_nobody_else() -> None:
    silent = peer("a", silent_seconds=LEASE)
    for me, wanted in (("b", "bc"), ("c", "")):
        assert names(decide(view(silent, me=me))) == wanted
    no_ledger = peer("b", ledger=False)
    assert names(decide(view(silent, no_ledger, me="c"))) == "bc"


def test_a_notice_waits_until_the_command_is_down_everywhere() -> None:
    leaving = peer("b", STOPPED, leaving=True)
    assert decide(view(leaving, peer("a", STOPPED))) is None
    change = decide(view(leaving, peer("a", STOPPED), peer("c", STOPPED), peer("d", NONE, generation=0)))
    assert change == Change(RUNNING, tuple(map(member, "acd")), "notice")


def test_if_all_go_those_that_have_come_take_over_or_anybody_who_will() -> None:
    gone = [peer(node, STOPPED, leaving=True) for node in "abc"]
    assert decide(view(*gone, peer("d", NONE, generation=0))) == Change(RUNNING, (member("d"),), "notice")
    change = decide(view(*gone))
    assert change is not None
    assert (change.state, change.ends) == (ENDING, True)
    assert decide(view(*gone, peer("d", NONE), state=ENDING, me="d")) == Change(FORMING, (member("d"),), "lost")


def test_a_stranger_takes_a_silent_generation_but_no_living_one() -> None:
    stranger = peer("d", NONE, generation=0)
    assert decide(view(stranger, me="d", unchanged_seconds=LEASE - 1)) is None
    assert decide(view(stranger, me="d", unchanged_seconds=LEASE)) == Change(FORMING, (member("d"),), "lost")
    assert decide(view(replace(stranger, leaving=True), me="d", unchanged_seconds=LEASE)) is None


def test_below_the_minimum_it_forms_and_waits() -> None:
    lost = [peer("b", silent_seconds=2 * LEASE), peer("c", silent_seconds=2 * LEASE)]
    change = decide(view(*lost, min_nodes=2))
    assert change == Change(FORMING, (member("a"),), "lost", 0)
    alone = view(members="a", state=FORMING, min_nodes=2)
    assert decide(alone) is None
    come = view(peer("d", NONE, known_seconds=1.0), members="a", state=FORMING, min_nodes=2)
    assert decide(come) == Change(FORMING, tuple(map(member, "ad")))
    waits = view(peer("d", NONE, known_seconds=9.0), members="ad", state=FORMING, min_nodes=2)
    assert decide(waits) is None
    settled = view(peer("d", NONE, known_seconds=10.0), members="ad", state=FORMING, min_nodes=2)
    assert decide(settled) == Change(RUNNING, tuple(map(member, "ad")))


def test_the_lesser_side_of_a_split_waits_twice_as_long() -> None:
    greater = view(peer("a", silent_seconds=LEASE), me="b")
    assert names(decide(greater)) == "bc"
    lesser = [peer("b", silent_seconds=LEASE), peer("c", silent_seconds=LEASE)]
    assert decide(view(*lesser)) is None
    assert names(decide(view(*(replace(each, silent_seconds=2 * LEASE) for each in lesser)))) == "a"
    half = view(peer("a", silent_seconds=LEASE), members="ab", me="b")
    assert decide(half) is None  # the half that has the master goes first
    assert names(decide(view(peer("b", silent_seconds=LEASE), members="ab"))) == "a"


def test_a_crash_costs_one_restart_and_only_where_nobody_has_died() -> None:
    crashed = [peer("b", CRASHED), peer("c", CRASHED, silent_seconds=5.0)]
    assert decide(view(*crashed, crashed_seconds=4.0)) is None  # c may be what has died
    change = decide(view(*crashed, crashed_seconds=6.0))
    assert change == Change(RUNNING, tuple(map(member, "abc")), "crash", 1)
    dead = [peer("b", CRASHED), peer("c", silent_seconds=LEASE)]
    assert decide(view(*dead, crashed_seconds=40.0)) == Change(RUNNING, tuple(map(member, "ab")), "lost", 0)
    broke = view(*crashed, crashed_seconds=6.0)
    assert broke.current is not None
    often = decide(replace(broke, current=replace(broke.current, crashes=3)))
    assert often is not None
    assert (often.state, often.reason, often.crashes) == (FINISHED, "failed", 4)
    soon = replace(broke, crashed_seconds=5.5, max_restarts=9)
    assert soon.current is not None
    assert decide(replace(soon, current=replace(soon.current, crashes=3))) is None  # the fourth pause is 8 s


def test_it_is_finished_when_it_is_finished_everywhere() -> None:
    done = [peer(node, DONE) for node in "abc"]
    assert decide(view(*done[:2])) is None
    change = decide(view(*done))
    assert change is not None
    assert (change.state, change.reason, change.ends) == (FINISHED, "finished", True)
    assert decide(view(*done, state=FINISHED)) is None


def test_an_agent_that_was_started_again_takes_part_in_the_next_one() -> None:
    change = decide(view(peer("b", GONE)))
    assert change == Change(RUNNING, tuple(map(member, "abc")), "lost")


def test_all_that_was_stopped_for_newcomers_starts_again_with_them() -> None:
    stopped = [peer(node, STOPPED) for node in "abc"]
    change = decide(view(*stopped, peer("e", NONE, known_seconds=5), peer("d", NONE, known_seconds=9)))
    assert change == Change(RUNNING, tuple(map(member, "abcde")), "join")


def test_the_master_is_on_demand_where_one_is() -> None:
    stopped = [peer(node, STOPPED) for node in "ab"]
    kept = Peer(member("c", on_demand=True), generation=4, job=STOPPED)
    assert names(decide(view(*stopped, kept))) == "cab"
    going = replace(kept, leaving=True)
    assert names(decide(view(*stopped, going))) == "ab"


def test_only_nodes_of_one_zone_where_that_is_wanted() -> None:
    stopped = [Peer(member(node, zone="z1"), generation=4, job=STOPPED) for node in "ab"]
    come = [Peer(member(node, zone="z2"), known_seconds=9) for node in "cde"]
    one = view(*stopped, *come, members="ab", single_zone=True)
    assert joining(one) == []
    assert names(decide(one)) == "ab"
    assert names(decide(replace(one, min_nodes=3))) == "cde"


def test_another_creation_of_the_fleet_begins_anew() -> None:
    assert decide(replace(view(), incarnation="j")) == Change(FORMING, (member("a"),))
    assert decide(replace(view(peer("a", leaving=True)), current=None)) is None


def test_newcomers_wait_for_the_next_checkpoint_or_not_at_all() -> None:
    door = Door("checkpoint")
    come = [member("d")]
    assert not door.opens([], 100)
    assert not door.opens(come, 100)
    assert not door.opens(come, 100)
    assert door.opens(come, 200)
    assert not Door("checkpoint").opens(come, None)
    assert Door("now").opens(come, None)
    again = Door("checkpoint")
    assert [again.opens(come, 1), again.opens([], 2), again.opens(come, 2)] == [False, False, False]


jobs = st.sampled_from([NONE, RUNS, STOPPED, DONE, CRASHED, GONE])


@st.composite
def worlds(draw: st.DrawFn) -> View:
    """Anything that a node can see."""
    members = draw(st.lists(st.sampled_from(NAMES), min_size=1, max_size=4, unique=True))
    peers = {}
    for node in NAMES:
        if node in members or draw(st.booleans()):
            facts = member(node, on_demand=draw(st.booleans()))
            peers[node] = Peer(
                facts,
                silent_seconds=draw(st.sampled_from([0.0, LEASE / 2, LEASE, 2 * LEASE])),
                known_seconds=draw(st.sampled_from([0.0, 50.0])),
                leaving=draw(st.booleans()),
                ledger=draw(st.booleans()),
                generation=draw(st.sampled_from([3, 4])),
                job=draw(jobs),
            )
    me = draw(st.sampled_from(sorted(peers)))
    state = draw(st.sampled_from([FORMING, RUNNING, ENDING, FINISHED]))
    current = Generation("f", "i", 4, state, tuple(peers[node].member for node in members))
    return View(
        me,
        "i",
        draw(st.sampled_from([current, current, current, None])),
        unchanged_seconds=draw(st.sampled_from([0.0, LEASE])),
        peers=peers,
        lease_seconds=LEASE,
        settle_seconds=10.0,
        min_nodes=draw(st.integers(1, 3)),
        max_restarts=3,
        crashed_seconds=draw(st.sampled_from([None, 0.5, 100.0])),
    )


@settings(max_examples=400, deadline=None)
@given(worlds())
def test_whatever_is_seen_the_next_generation_is_sound(seen: View) -> None:
    change = decide(seen)
    if change is None or change.ends:
        return
    nodes = [member.node for member in change.members]
    assert nodes
    assert len(set(nodes)) == len(nodes)
    assert not [node for node in nodes if seen.peers[node].leaving]
    assert all(is_live(seen, node) for node in nodes)
    assert change.state == FORMING or len(nodes) >= seen.min_nodes
    if any(member.on_demand for member in change.members):
        assert change.members[0].on_demand
    if seen.current is None or seen.me not in {member.node for member in seen.current.members}:
        return
    wanted = {node for node, each in seen.peers.items() if is_live(seen, node) and not each.leaving}
    assert set(nodes) == wanted  # every live node that stays is in
    old = [member.node for member in seen.current.members if member.node in nodes[1:]]
    assert [node for node in nodes[1:] if node in old] == old  # survivors keep their order, behind the master
    assert writer(seen) == seen.me


@settings(max_examples=200, deadline=None)
@given(worlds())
def test_of_all_that_see_the_same_at_most_one_member_writes(seen: View) -> None:
    members = {member.node for member in seen.current.members} if seen.current else set()
    seen = replace(seen, peers={node: replace(each, silent_seconds=0.0) for node, each in seen.peers.items()})
    assert len([node for node in members if decide(replace(seen, me=node)) is not None]) <= 1


@settings(max_examples=200, deadline=None)
@given(worlds())
def test_it_comes_to_rest(seen: View) -> None:
    """Whatever is seen, writing what is decided and doing what was written ends, and soon."""
    peers = {
        node: replace(each, silent_seconds=0.0, ledger=True, known_seconds=50.0) for node, each in seen.peers.items()
    }
    for _ in range(6):
        seen = replace(seen, peers=peers, unchanged_seconds=LEASE, crashed_seconds=None)
        changes = [(node, decide(replace(seen, me=node))) for node in sorted(peers)]
        change = next((each for _, each in changes if each is not None), None)
        if change is None:
            break
        old = seen.current
        number = 1 if old is None else old.number if change.ends else old.number + 1
        current = Generation("f", "i", number, change.state, change.members, crashes=change.crashes)
        seen = replace(seen, current=current)
        nodes = {member.node for member in change.members}
        peers = {
            node: replace(each, generation=number, job=RUNS if node in nodes else NONE) for node, each in peers.items()
        }
    else:
        raise AssertionError(f"still changing: {seen}")
