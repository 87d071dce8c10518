from __future__ import annotations

import threading

from spotkeeper_agent.outbox import Outbox
from spotkeeper_ledger import Denied, Unavailable


def test_everything_arrives_in_the_order_in_which_it_was_put() -> None:
    arrived: list[str] = []
    outbox = Outbox()
    outbox.put("notice", lambda: arrived.append("notice"))
    outbox.put("report", lambda: arrived.append("report"))
    outbox.start()
    assert outbox.flush(10)
    assert arrived == ["notice", "report"]


def test_what_fails_is_sent_again_until_it_arrives() -> None:
    answers: list[Exception | None] = [Unavailable("down"), Denied("not yet"), None]
    arrived = threading.Event()

    def send() -> None:
        answer = answers.pop(0)
        if answer is not None:
            raise answer
        arrived.set()

    outbox = Outbox()
    outbox.start()
    outbox.put("report", send)
    assert arrived.wait(10)
    assert outbox.flush(10)
    assert not answers


def test_the_newest_of_a_sort_replaces_what_has_not_arrived() -> None:
    arrived: list[int] = []
    trying, go_on = threading.Event(), threading.Event()

    def old() -> None:
        trying.set()
        go_on.wait(10)
        raise Unavailable("down")

    outbox = Outbox()
    outbox.start()
    outbox.put("report", old)
    assert trying.wait(10)
    outbox.put("report", lambda: arrived.append(2))
    outbox.put("report", lambda: arrived.append(3))
    assert not outbox.flush(0.01), "something is on its way"
    go_on.set()
    assert outbox.flush(10)
    assert arrived == [3]


def test_one_that_fails_does_not_keep_the_others() -> None:
    arrived = threading.Event()

    def never() -> None:
        raise Unavailable("down")

    outbox = Outbox()
    outbox.put("progress", never)
    outbox.put("report", arrived.set)
    outbox.start()
    assert arrived.wait(10)
    assert not outbox.flush(0.01)
