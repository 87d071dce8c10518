from __future__ import annotations

import subprocess
import sys
import threading

import pytest

from spotkeeper_training.crew import Crew


def test_results_come_in_order_and_the_threads_stay() -> None:
    crew = Crew(3)
    meeting = threading.Barrier(3)

    def task(number: int) -> tuple[int, int]:
        meeting.wait(30)
        return number, threading.get_ident()

    found = [crew.run([lambda number=number: task(number) for number in range(3)]) for _ in range(2)]  # type: ignore[misc]
    assert [[number for number, _ in each] for each in found] == [[0, 1, 2]] * 2
    assert {thread for _, thread in found[0]} == {thread for _, thread in found[1]}
    crew.close()


def test_the_first_failure_is_raised_once_those_that_run_have_ended() -> None:
    begun, failed, ended = threading.Event(), threading.Event(), threading.Event()
    crew = Crew(2)

    def fails() -> None:
        assert begun.wait(30)
        failed.set()
        raise OSError("no")

    def goes_on() -> None:
        begun.set()
        assert failed.wait(30)
        ended.set()

    with pytest.raises(OSError, match="no"):
        crew.run([fails, goes_on])
    assert ended.is_set()
    crew.close()


def test_a_thread_that_was_made_ready_does_what_is_begun() -> None:
    crew = Crew(1)
    crew.get_ready()
    threads = {crew.start(threading.get_ident).result(30) for _ in range(3)}
    assert len(threads) == 1
    assert threading.get_ident() not in threads
    crew.close()
    assert crew.start(lambda: 7).result(30) == 7, "after it was closed it begins anew"
    crew.close()


def test_what_was_begun_is_done_before_the_program_ends() -> None:
    code = (
        "import time; from spotkeeper_training.crew import Crew; "
        "Crew(1).start(lambda: (time.sleep(0.1), print('done', flush=True)))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "done\n"
