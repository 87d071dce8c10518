"""Whatever a hostile node writes, the responder makes nothing of it, except of what the node says of itself."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from responder_support import spec
from responder_world import World
from spotkeeper_lab.forgeries import (
    BELIEVED,
    FOREIGN,
    FORGED,
    KINDS,
    LIMIT_BYTES,
    THIRD,
    Forger,
    Forgery,
    confession,
    forgeries,
)
from spotkeeper_ledger import INTERRUPTION, keys
from spotkeeper_responder import Heard, NoticeWritten, Tick
from spotkeeper_responder.observe import MAX_NODE_DOCUMENT_BYTES

WRITABLE = [(sort, what) for sort, kinds in KINDS.items() for what in kinds if sort != FOREIGN or what == THIRD]


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def forger(world: World) -> Forger:
    victim, node = world.spot()[:2]
    fleet = spec()
    report = world.board.board.read(keys.report(fleet.fleet, fleet.node_prefix + victim))
    assert report is not None
    return Forger(fleet.fleet, fleet.incarnation, fleet.node_prefix, node, victim, report.body, world.now)


def hear(world: World, forgery: Forgery) -> None:
    """Let the responder hear of what was written, twice, and tick for longer than any grace or silence."""
    world._file(forgery.key, forgery.body)
    folder = forgery.key.split("/")[-2]
    for _ in range(2):
        assert world.respond(Heard("m", NoticeWritten(folder), spec().fleet)) == set()
    for _ in range(3):
        world.pass_time(31)  # all agents go on reporting, the one beside the forger among them
        world._file(forgery.key, forgery.body)
        assert world.respond(Tick()) == set()


@pytest.mark.parametrize(("sort", "what"), WRITABLE)
def test_nothing_comes_of_it(world: World, sort: str, what: str) -> None:
    by = forger(world)
    hear(world, Forgery(sort, what, *KINDS[sort][what](by)))
    assert world.ledger().notices == {}
    assert world.ledger().job_ended_at is None
    assert not world.cloud.done


def test_a_node_is_believed_about_itself_and_costs_only_its_own_place(world: World) -> None:
    by = forger(world)
    hear(world, confession(by))
    (noticed,) = world.ledger().notices
    assert noticed == by.node
    assert world.sim().backup.desired == 1
    assert len(world.cloud.of("terminate")) == 1
    assert by.node not in world.spot()
    assert by.victim in world.spot()


def test_signed_as_another_node_it_would_be_believed(world: World) -> None:
    """What keeps a node from being believed about another one is the folder that its role cannot write."""
    by = forger(world)
    signed = replace(by.notice(by.victim), deadline=world.now + 100)
    folder = world.write_notice(by.victim, INTERRUPTION, deadline=signed.deadline)
    world.respond(Heard("m", NoticeWritten(folder), spec().fleet))
    assert set(world.ledger().notices) == {by.victim}


def test_every_kind_comes_first_and_the_mix_is_the_same_for_a_seed(world: World) -> None:
    by = forger(world)
    count = sum(len(kinds) for kinds in KINDS.values())
    mixed = [(each.sort, each.what) for each in forgeries(by, 2 * count, seed=1)]
    assert set(mixed[:count]) == {(sort, what) for sort, kinds in KINDS.items() for what in kinds}
    assert len(mixed) == 2 * count
    assert mixed == [(each.sort, each.what) for each in forgeries(by, 2 * count, seed=1)]
    assert mixed != [(each.sort, each.what) for each in forgeries(by, 2 * count, seed=2)]
    assert len(list(forgeries(by, 5, seed=1))) == 5


def test_where_nodes_can_write_for_each_other_what_would_be_believed_is_left_out(world: World) -> None:
    mixed = {each.what: each.sort for each in forgeries(replace(forger(world), own_folder_only=False), 200, seed=1)}
    assert mixed.keys() == {what for kinds in KINDS.values() for what in kinds} - {*BELIEVED}
    assert mixed[THIRD] == FORGED


def test_what_is_too_large_would_be_believed_if_it_were_not(world: World) -> None:
    assert LIMIT_BYTES == MAX_NODE_DOCUMENT_BYTES
    by = forger(world)
    for what, made in KINDS["oversized"].items():
        assert len(made(by)[1]) > LIMIT_BYTES, what
    world._file(by.notice_key, KINDS["oversized"]["a notice just too large"](by)[1].replace(b"x" * 1000, b""))
    world.respond(Heard("m", NoticeWritten(spec().node_prefix + by.node), spec().fleet))
    assert set(world.ledger().notices) == {by.node}


def test_foreign_is_all_but_the_two_documents_of_its_own_and_the_two_of_the_job(world: World) -> None:
    by = forger(world)
    own = {by.notice_key, by.report_key, keys.generation(by.fleet), keys.progress(by.fleet)}
    for sort, kinds in KINDS.items():
        for what, made in kinds.items():
            elsewhere = made(by)[0] not in own
            assert elsewhere is (sort == FOREIGN or what == "a folder of another incarnation"), what
