from __future__ import annotations

from spotkeeper_lab.trainer_log import last_steps, parse, refused_at, resume_steps, resumed, stopped

ONE = parse(
    """
{"event": "start", "generation": 1, "resume_step": 0}
{"event": "stop", "generation": 1, "step": 40, "reason": "notice"}
{"event": "start", "generation": 3, "resume_step": 70}
{"event": "sto"""
)
TWO = parse('{"event": "start", "generation": 2, "resume_step": 40}\n{"event": "stop", "step": 70}\n7\n')


def test_lines_that_were_cut_off_or_are_no_events_are_left_out():
    assert [event["event"] for event in ONE] == ["start", "stop", "start"]
    assert len(TWO) == 2


def test_where_each_generation_went_on_from_and_how_far_it_came():
    assert resume_steps([ONE, TWO]) == {1: 0, 2: 40, 3: 70}
    assert last_steps([ONE, TWO]) == {1: 40, 2: 70}


def test_ranks_that_were_not_at_the_same_step_are_seen():
    other = parse(
        """
{"event": "start", "generation": 1, "resume_step": 0}
{"event": "stop", "generation": 1, "step": 41, "reason": "notice"}
{"event": "start", "generation": 3, "resume_step": 70}
{"event": "finish", "generation": 3, "step": 99}"""
    )
    assert resumed([ONE, other]) == {1: {0}, 3: {70}}
    assert stopped([ONE, other]) == {1: {40, 41}, 3: {99}}


def test_a_generation_that_crashed_and_started_again_counts_from_its_first_start():
    again = parse('{"event":"start","generation":1,"resume_step":5}\n{"event":"start","generation":1,"resume_step":9}')
    assert resume_steps([again]) == {1: 5}


def test_a_process_that_was_fenced_off_says_when_and_how_far_it_had_come():
    fenced = parse(
        '{"event":"start","generation":1,"resume_step":0}\n{"event":"fenced","at":7.5,"generation":1,"step":44,"found":2}'
    )
    assert refused_at(fenced) == 7.5
    assert refused_at(ONE) is None
    assert last_steps([fenced]) == {1: 44}
