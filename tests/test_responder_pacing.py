"""When a handler rests, and for how long."""

from __future__ import annotations

from pathlib import Path

import pytest

from responder_support import T0, ledger, node, record, spec
from responder_world import World
from spotkeeper_ledger import INTERRUPTION, FleetLedger
from spotkeeper_responder import Heard, NoticeHeard
from spotkeeper_responder.pacing import LOSER_REST, REST_SHARE, STORM_NOTICES, rest_seconds, yield_seconds

REST = REST_SHARE * 120
"""Of the two minutes that the spec of these tests gives."""


def stormy(notices: int = STORM_NOTICES, at: float = T0) -> FleetLedger:
    return ledger(notices={node(n): record(n, at=at) for n in range(notices)})


class TestRest:
    def test_there_is_none_without_a_storm(self) -> None:
        assert rest_seconds(spec(), stormy(STORM_NOTICES - 1), T0, waited=0, lost=False) == 0

    def test_a_storm_s_next_notices_may_wait_a_share_of_the_warning(self) -> None:
        assert rest_seconds(spec(), stormy(), T0, waited=0, lost=False) == pytest.approx(REST)
        assert rest_seconds(spec(notice_seconds=60), stormy(), T0, waited=0, lost=False) == pytest.approx(REST / 2)

    def test_who_has_lost_rests_longer_so_that_both_take_turns(self) -> None:
        assert rest_seconds(spec(), stormy(), T0, waited=0, lost=True) == pytest.approx(REST * LOSER_REST)

    def test_there_is_none_while_the_queue_is_behind(self) -> None:
        assert rest_seconds(spec(), stormy(), T0, waited=LOSER_REST * REST, lost=False) == pytest.approx(REST)
        assert rest_seconds(spec(), stormy(), T0, waited=LOSER_REST * REST + 0.1, lost=False) == 0

    def test_a_storm_that_has_passed_holds_nobody_up(self) -> None:
        assert rest_seconds(spec(), stormy(), T0 + REST - 0.1, waited=0, lost=False) > 0
        assert rest_seconds(spec(), stormy(), T0 + REST + 0.1, waited=0, lost=False) == 0


def test_who_has_lost_gives_the_other_one_as_long_as_it_took_and_at_most_a_second() -> None:
    assert yield_seconds(0.1) == pytest.approx(0.1)
    assert yield_seconds(5) == 1


class TestABatch:
    def test_of_a_storm_asks_for_a_rest_and_any_other_does_not(self, tmp_path: Path) -> None:
        world = World(tmp_path, spec(target=STORM_NOTICES, maximum=STORM_NOTICES))
        *most, last = world.spot()
        for nodes, rest in ((most, 0), ([last], REST)):
            responder = world.responder()
            said = [NoticeHeard(node=each, kind=INTERRUPTION, event_at=world.now) for each in nodes]
            assert responder.respond([Heard("m", each) for each in said]) == set()
            assert responder.rest_seconds == pytest.approx(rest)

    def test_is_never_kept_back(self, tmp_path: Path) -> None:
        world = World(tmp_path, spec(target=STORM_NOTICES, maximum=STORM_NOTICES))
        world.respond(*(NoticeHeard(node=each, kind=INTERRUPTION, event_at=world.now) for each in world.spot()))
        assert not world.pauses
        assert {signal.node for signal in world.signals().signals} == {*world.spot()}
