from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spotkeeper_agent.notices import GRAVITY, SHORTEST_SECONDS, Book, Moment, Notice, Word
from spotkeeper_ledger import DRAIN, INTERRUPTION, NOTICE_KINDS, REBALANCE, SCALE_IN

NOW = Moment(wall=1_000_000.0, boot=500.0)
EMPTY = Book("i-1", {INTERRUPTION: 120.0, SCALE_IN: 600.0, DRAIN: 600.0}, rebalance_expiry_seconds=1200.0)

moments = st.floats(NOW.wall - 300, NOW.wall + 1000)
words = st.builds(
    Word,
    kind=st.sampled_from(NOTICE_KINDS),
    source=st.sampled_from(["imds", "signal", "command"]),
    at=moments,
    deadline=st.none() | moments,
    drill=st.booleans(),
)


def later(seconds: float) -> Moment:
    return Moment(NOW.wall + seconds, NOW.boot + seconds)


def meaning(notice: Notice | None) -> object:
    assert notice is not None
    return (notice.notice_id, notice.kind, notice.deadline, notice.drill)


def hear(book: Book, *said: Word, now: Moment = NOW) -> Book:
    for word in said:
        book = book.hear(word, now)
    return book


@given(st.lists(words, min_size=1, max_size=6), st.randoms(use_true_random=False))
def test_the_order_of_words_does_not_matter(said: list[Word], random: object) -> None:
    shuffled = list(said)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert meaning(hear(EMPTY, *said).notice) == meaning(hear(EMPTY, *shuffled).notice)


@given(st.lists(words, min_size=1, max_size=6), st.data())
def test_one_notice_from_many_sources_is_one_notice(said: list[Word], data: st.DataObject) -> None:
    book = hear(EMPTY, *said)
    word = data.draw(st.sampled_from(said))
    again = replace(word, source="signal")
    assert book.hear(again, later(data.draw(st.floats(0, 60)))) is book


@given(st.lists(words, min_size=2, max_size=8))
def test_a_notice_only_gets_graver_and_closer(said: list[Word]) -> None:
    book = EMPTY
    for seconds, word in enumerate(said):
        before, book = book.notice, book.hear(word, later(seconds))
        after = book.notice
        assert after is not None
        if before is None:
            continue
        assert GRAVITY[after.kind] >= GRAVITY[before.kind]
        assert after.drill <= before.drill or after.notice_id != before.notice_id
        if before.deadline is not None:
            assert after.deadline is not None
            assert after.deadline.wall <= before.deadline.wall
            assert after.deadline.boot <= before.deadline.boot


@given(words)
def test_a_job_is_told_to_stop_before_it_is_made_to_and_both_before_the_deadline(word: Word) -> None:
    notice = hear(EMPTY, word).notice
    assert notice is not None
    if notice.kind == REBALANCE:
        with pytest.raises(ValueError, match="no deadline"):
            notice.stop_times()
        return
    assert notice.deadline is not None
    term_at, kill_at = notice.stop_times()
    assert NOW.boot < term_at < kill_at < notice.deadline.boot
    assert notice.deadline.boot - term_at <= 10


def test_word_without_a_deadline_takes_the_usual_one_of_its_kind() -> None:
    interruption = hear(EMPTY, Word(INTERRUPTION, "imds", NOW.wall - 5)).notice
    assert interruption is not None
    assert interruption.deadline == Moment(NOW.wall + 115, NOW.boot + 115)
    scale_in = hear(EMPTY, Word(SCALE_IN, "imds", NOW.wall)).notice
    assert scale_in is not None
    assert scale_in.deadline == later(600)
    assert interruption.notice_id == scale_in.notice_id == "i-1:leaving"


def test_a_deadline_that_is_past_leaves_the_least_time() -> None:
    notice = hear(EMPTY, Word(INTERRUPTION, "imds", NOW.wall, NOW.wall - 3600)).notice
    assert notice is not None
    assert notice.deadline == later(SHORTEST_SECONDS)


def test_a_wall_clock_that_is_set_back_does_not_give_a_job_more_time() -> None:
    book = hear(EMPTY, Word(INTERRUPTION, "imds", NOW.wall, NOW.wall + 100))
    set_back = Moment(NOW.wall - 3600, NOW.boot + 10)
    closer = book.hear(Word(INTERRUPTION, "signal", NOW.wall, NOW.wall + 99), set_back).notice
    assert closer is not None
    assert closer.deadline == Moment(NOW.wall + 99, NOW.boot + 100)


def test_leaving_after_a_recommendation_is_another_notice_with_its_own_deadline() -> None:
    book = hear(EMPTY, Word(REBALANCE, "imds", NOW.wall))
    assert book.notice is not None
    assert (book.notice.notice_id, book.notice.leaving, book.notice.deadline) == ("i-1:rebalance", False, None)
    book = book.hear(Word(DRAIN, "signal", NOW.wall), NOW)
    assert book.notice is not None
    assert (book.notice.notice_id, book.notice.leaving) == ("i-1:leaving", True)


def test_a_recommendation_that_nothing_follows_is_forgotten_and_its_echoes_with_it() -> None:
    said = Word(REBALANCE, "imds", NOW.wall)
    book = hear(EMPTY, said)
    assert book.expire(later(1199)) is book
    over = book.expire(later(1200))
    assert over.notice is None
    assert over.hear(said, later(1300)) is over
    assert over.hear(replace(said, source="signal", at=NOW.wall + 2), later(1300)) is over
    assert over.hear(replace(said, at=NOW.wall + 1250), later(1300)).notice is not None
    assert over.hear(Word(INTERRUPTION, "imds", NOW.wall), later(1300)).notice is not None


def test_a_drill_is_over_at_its_deadline_and_the_real_thing_is_not() -> None:
    drill = Word(INTERRUPTION, "command", NOW.wall, NOW.wall + 60, drill=True)
    book = hear(EMPTY, drill)
    assert book.expire(later(59)) is book
    over = book.expire(later(60))
    assert over.notice is None
    assert over.hear(drill, later(61)) is over
    real = replace(drill, drill=False)
    became_real = hear(book, real)
    assert became_real.notice is not None
    assert not became_real.notice.drill
    assert became_real.expire(later(10_000)) is became_real
    assert over.hear(real, later(61)).notice is not None, "real word is never taken for an echo"


@given(st.lists(st.tuples(st.integers(0, 5), st.booleans()), min_size=1, max_size=20))
def test_each_word_that_asks_for_a_save_causes_one_at_most_and_a_new_one_after_a_save_does(
    heard: list[tuple[int, bool]],
) -> None:
    """Words come lost, repeated and in any order; between them, some saves are confirmed."""
    book, saved, newest, saves, words = EMPTY, False, -1, 0, set()
    for turn, (number, confirms) in enumerate(heard):
        before = book.notice
        word = Word(REBALANCE, "signal", NOW.wall + 60 * number, drill=True)
        book = book.hear(word, later(400 + turn), saved=saved)
        assert book.notice is not None
        is_new = before is None or book.notice.heard != before.heard
        assert is_new == (before is None or (saved and number > newest))
        saves, saved = saves + is_new, confirms or (saved and not is_new)
        newest = max(newest, number)
        words.add(number)
        assert saves <= len(words)


def test_what_is_no_wish_for_a_save_is_one_notice_whether_it_was_saved_or_not() -> None:
    for word in (Word(REBALANCE, "imds", NOW.wall), Word(INTERRUPTION, "imds", NOW.wall, NOW.wall + 60, drill=True)):
        book = hear(EMPTY, word)
        assert book.hear(replace(word, at=NOW.wall + 30), later(30), saved=True) is book
    wish = Word(REBALANCE, "signal", NOW.wall + 30, drill=True)
    real = hear(EMPTY, Word(REBALANCE, "imds", NOW.wall))
    assert real.hear(wish, later(30), saved=True) is real


def test_a_real_recommendation_after_a_save_that_was_wished_for_is_a_notice_of_its_own() -> None:
    wished = hear(EMPTY, Word(REBALANCE, "signal", NOW.wall, drill=True))
    said = Word(REBALANCE, "imds", NOW.wall - 10)
    real = wished.hear(said, later(30), saved=True)
    assert real.notice is not None
    assert (real.notice.heard, real.notice.drill) == (later(30), False)
    assert real.hear(replace(said, source="signal", at=NOW.wall + 31), later(32), saved=True) is real, "an echo"


def test_job_and_responder_are_told_the_same() -> None:
    notice = hear(EMPTY, Word(SCALE_IN, "imds", NOW.wall, NOW.wall + 60, drill=True)).notice
    assert notice is not None
    local, document = notice.as_file("boot-7"), notice.as_document("fleet", "inc", "i-1")
    assert (local.notice_id, local.kind, local.deadline, local.drill) == ("i-1:leaving", SCALE_IN, NOW.wall + 60, True)
    assert (local.leaving, local.at, local.deadline_boottime, local.boot_id) == (True, NOW.wall, 560.0, "boot-7")
    told = (document.notice_id, document.kind, document.deadline, document.drill, document.heard_at, document.source)
    assert told == ("i-1:leaving", SCALE_IN, NOW.wall + 60, True, NOW.wall, "imds")
    assert (document.fleet, document.incarnation, document.node) == ("fleet", "inc", "i-1")
