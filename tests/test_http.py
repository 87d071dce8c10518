import socket
import time

import pytest

from ledger_support import Answer, answering
from spotkeeper_ledger import Unavailable
from spotkeeper_ledger.http import Http


def test_one_connection_serves_many_requests() -> None:
    with answering(lambda _: Answer(body=b"x")) as server:
        http = Http(server.url, timeout=5)
        ports = set()
        for _ in range(3):
            assert http.request("GET", "/a").body == b"x"
            ports.add(http._local.connection.sock.getsockname())
    assert len(ports) == 1


def test_a_kept_connection_that_broke_is_opened_again_and_the_answer_says_so() -> None:
    answers = iter([Answer(), Answer(hang_up=True), Answer(body=b"second")])
    with answering(lambda _: next(answers)) as server:
        http = Http(server.url, timeout=5)
        assert not http.request("PUT", "/a", body=b"1").retried
        response = http.request("PUT", "/a", body=b"2")
    assert (response.body, response.retried) == (b"second", True)
    assert [asked.body for asked in server.asked] == [b"1", b"2", b"2"]


def test_a_server_that_hangs_up_on_a_new_connection_is_unavailable() -> None:
    with answering(lambda _: Answer(hang_up=True)) as server, pytest.raises(Unavailable, match="GET"):
        Http(server.url, timeout=5).request("GET", "/a")


def test_an_answer_that_drips_ends_with_the_timeout() -> None:
    with answering(lambda _: Answer(body=b"x" * 100, drip=True)) as server:
        started = time.monotonic()
        with pytest.raises(Unavailable):
            Http(server.url, timeout=0.3).request("GET", "/a")
    assert time.monotonic() - started < 3


@pytest.mark.parametrize(("length", "read"), [(10, 10), (11, 11), (5_000_000, 11)])
def test_of_a_longer_answer_only_the_beginning_is_read(length: int, read: int) -> None:
    with answering(lambda _: Answer(body=b"x" * length)) as server:
        http = Http(server.url, timeout=5, most_bytes=10)
        for _ in range(2):  # what was left unread is not taken for the next answer
            assert http.request("GET", "/a").body == b"x" * read


def test_nobody_listens() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{closed.getsockname()[1]}"
    with pytest.raises(Unavailable, match="GET 127"):
        Http(url, timeout=1).request("GET", "/a?X-Amz-Signature=hidden")


def test_an_error_does_not_show_the_query() -> None:
    with answering(lambda _: Answer(hang_up=True)) as server, pytest.raises(Unavailable) as error:
        Http(server.url, timeout=1).request("GET", "/a?signature=hidden")
    assert "hidden" not in str(error.value)


@pytest.mark.parametrize("url", ["", "ftp://x", "localhost:80"])
def test_another_scheme_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="base_url: was"):
        Http(url, timeout=1)
