import threading

import pytest

from spotkeeper_lab.local.moments import EventLog


def test_moments_are_kept_in_order_with_what_there_is_to_say() -> None:
    log = EventLog()
    log.add("desired-changed", group="spot", desired=3)
    log.add("reclaimed", "i-1")
    first, second = log.moments()
    assert (first.what, first.node, first.detail) == ("desired-changed", None, {"group": "spot", "desired": 3})
    assert (second.what, second.node) == ("reclaimed", "i-1")
    assert first.at <= second.at


def test_waiting_finds_what_has_happened_already() -> None:
    log = EventLog()
    added = log.add("reclaimed", "i-1")
    assert log.wait(lambda moment: moment.node == "i-1", timeout=0) is added


def test_waiting_ends_when_it_happens() -> None:
    log = EventLog()
    waiting = threading.Event()

    def happen() -> None:
        waiting.wait()
        log.add("reclaimed", "i-2")

    other = threading.Thread(target=happen)
    other.start()

    def holds(moment: object) -> bool:
        waiting.set()  # asked about the first moment: from here on the second one may come
        return getattr(moment, "node", None) == "i-2"

    log.add("reclaimed", "i-1")
    assert log.wait(holds, timeout=20).node == "i-2"
    other.join()


def test_waiting_in_vain_says_what_happened_instead() -> None:
    log = EventLog()
    log.add("reclaimed", "i-1")
    with pytest.raises(TimeoutError, match=r"not within 0\.01 s; what happened was: reclaimed"):
        log.wait(lambda moment: moment.what == "terminated", timeout=0.01)
