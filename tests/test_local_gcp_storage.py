"""Cloud Storage by both of its APIs: what Google's own client and obstore do not ask for in other tests."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gcs_support import BUCKET, Storage, serving_storage
from spotkeeper_lab.local_gcp.web import Reply
from spotkeeper_ledger.http import Http

OBJECTS, UPLOADS = f"/storage/v1/b/{BUCKET}/o", f"/upload/storage/v1/b/{BUCKET}/o"


class Asking:
    """Requests in few words."""

    def __init__(self) -> None:
        self.storage = Storage()

    def ask(self, verb: str, target: str, body: bytes = b"", **headers: str) -> Reply:
        return self.storage.answer(verb, target, {name.replace("_", "-"): headers[name] for name in headers}, body)

    def json(self, verb: str, target: str, body: Any = None) -> Any:
        reply = self.ask(verb, target, b"" if body is None else json.dumps(body).encode())
        assert reply.status == 200, reply.body
        return json.loads(reply.body)

    def write(self, name: str, body: bytes = b"x", **query: str) -> Any:
        more = "".join(f"&{key}={value}" for key, value in query.items())
        reply = self.ask("POST", f"{UPLOADS}?uploadType=media&name={quote(name, safe='')}{more}", body)
        return json.loads(reply.body) if reply.status == 200 else reply.status


def test_conditions_hold_for_every_verb_and_by_both_apis() -> None:
    bucket = Asking()
    first = bucket.write("k", b"1", ifGenerationMatch="0")["generation"]
    assert bucket.write("k", b"2", ifGenerationMatch="0") == 412
    second = bucket.write("k", b"2", ifGenerationMatch=first)["generation"]
    stale, none = {"x_goog_if_generation_match": first}, {"x_goog_if_generation_match": "0"}
    by_xml = [("GET", {}, 200), ("GET", stale, 412), ("DELETE", stale, 412), ("PUT", stale, 412), ("PUT", none, 412)]
    for verb, headers, status in by_xml:
        assert bucket.ask(verb, f"/{BUCKET}/k", **headers).status == status, (verb, headers)
    by_json = [
        ("GET", f"?alt=media&ifGenerationMatch={first}", 412),
        ("GET", f"?ifGenerationNotMatch={second}", 304),
        ("GET", f"?ifMetagenerationMatch=1&ifGenerationMatch={second}", 200),
        ("DELETE", f"?ifGenerationMatch={first}", 412),
        ("DELETE", "?ifGenerationMatch=x", 400),
        ("GET", "?unheard=of", 400),
        ("DELETE", f"?ifGenerationMatch={second}", 204),
    ]
    for verb, query, status in by_json:
        assert bucket.ask(verb, f"{OBJECTS}/k{query}").status == status, (verb, query)
    assert bucket.ask("GET", f"{OBJECTS}/k").status == 404
    assert bucket.ask("GET", f"{OBJECTS}/k?ifGenerationMatch={second}").status == 412
    assert bucket.ask("PUT", f"/{BUCKET}/k", b"3", **none).status == 200


def test_a_bucket_keeps_versions_where_it_is_asked_to() -> None:
    bucket = Asking()
    assert bucket.json("PATCH", f"/storage/v1/b/{BUCKET}", {"versioning": {"enabled": True}})["versioning"] == {
        "enabled": True
    }
    made = [bucket.write("k", body)["generation"] for body in (b"1", b"2")]
    bucket.ask("DELETE", f"{OBJECTS}/k")
    assert bucket.ask("GET", f"{OBJECTS}/k").status == 404
    assert bucket.ask("GET", f"{OBJECTS}/k?alt=media&generation={made[0]}").body == b"1"
    found = bucket.json("GET", f"{OBJECTS}?versions=true")["items"]
    assert [one["generation"] for one in found] == made
    assert "items" not in bucket.json("GET", OBJECTS)
    assert bucket.ask("DELETE", f"{OBJECTS}/k?generation={made[0]}").status == 204
    assert [one["generation"] for one in bucket.json("GET", f"{OBJECTS}?versions=true")["items"]] == made[1:]
    assert bucket.ask("DELETE", f"/storage/v1/b/{BUCKET}").status == 409, "something is in it"
    bucket.ask("DELETE", f"{OBJECTS}/k?generation={made[1]}")
    assert bucket.ask("DELETE", f"/storage/v1/b/{BUCKET}").status == 204


@given(body=st.binary(max_size=300), sizes=st.lists(st.integers(1, 120), max_size=4))
def test_an_upload_in_several_requests_is_the_same_object(body: bytes, sizes: list[int]) -> None:
    bucket = Asking()
    began = bucket.ask("POST", f"{UPLOADS}?uploadType=resumable&ifGenerationMatch=0", b'{"name": "k"}')
    where, sent = began.headers["Location"], 0
    for size in sizes:
        part = body[sent : sent + size]
        if len(part) < size or sent + size >= len(body):
            break
        half = bucket.ask("PUT", where, part, content_range=f"bytes {sent}-{sent + size - 1}/*")
        sent += size
        assert (half.status, half.headers["Range"]) == (308, f"bytes=0-{sent - 1}")
    ends = f"{sent}-{len(body) - 1}" if len(body) > sent else "*"
    last = bucket.ask("PUT", where, body[sent:], content_range=f"bytes {ends}/{len(body)}")
    assert last.status == 200
    assert bucket.storage.objects["k"].body == body
    assert bucket.ask("PUT", where).status == 404, "it has come to its end"
    again = bucket.ask("POST", f"{UPLOADS}?uploadType=resumable&ifGenerationMatch=0", b'{"name": "k"}')
    assert bucket.ask("PUT", again.headers["Location"], body).status == 412


@given(body=st.binary(max_size=200))
def test_content_of_two_parts_arrives_as_it_was_sent(body: bytes) -> None:
    bucket = Asking()
    about = b'--b\r\nContent-Type: application/json\r\n\r\n{"name": "k", "metadata": {"a": "b"}}\r\n'
    content = b"--b\r\nContent-Type: text/plain\r\n\r\n" + body + b"\r\n--b--"
    kind = 'multipart/related; boundary="b"'
    reply = bucket.ask("POST", f"{UPLOADS}?uploadType=multipart", about + content, content_type=kind)
    assert reply.status == 200
    found = bucket.storage.objects["k"]
    assert (found.body, found.content_type, found.metadata) == (body, "text/plain", {"a": "b"})


def test_a_part_of_an_object_by_both_apis() -> None:
    bucket = Asking()
    bucket.write("k", b"0123456789")
    for target in (f"{OBJECTS}/k?alt=media", f"/{BUCKET}/k"):
        reply = bucket.ask("GET", target, range="bytes=2-4")
        assert (reply.status, reply.body, reply.headers["Content-Range"]) == (206, b"234", "bytes 2-4/10")
        assert bucket.ask("GET", target, range="bytes=8-").body == b"89"
        assert bucket.ask("GET", target, range="bytes=10-").status == 416


@pytest.mark.parametrize(
    ("verb", "target", "status"),
    [
        ("POST", f"{OBJECTS}/k/rewriteTo/b/{BUCKET}/o/l", 501),
        ("POST", f"/{BUCKET}/k?uploads", 501),
        ("PUT", f"/{BUCKET}", 501),
        ("GET", "/storage/v1/b/nobodys/o", 404),
        ("GET", "/nobodys/k", 404),
        ("POST", f"{UPLOADS}?uploadType=media", 400),
        ("POST", f"{UPLOADS}?uploadType=sometimes&name=k", 400),
        ("POST", "/storage/v1/b?project=p", 400),
    ],
)
def test_what_is_not_there_or_not_done_is_refused(verb: str, target: str, status: int) -> None:
    bucket = Asking()
    bucket.write("k")
    assert bucket.ask(verb, target, b"{}" if target.startswith("/storage") else b"x").status == status


def test_an_answer_without_a_body_leaves_the_connection_usable() -> None:
    bucket = Asking()
    with serving_storage(bucket.storage) as url:
        http = Http(url, 5.0)
        bucket.write("k")
        assert http.request("HEAD", f"/{BUCKET}/k", {}, b"").status == 200
        assert http.request("DELETE", f"{OBJECTS}/k", {}, b"").status == 204
        assert http.request("GET", f"{OBJECTS}/k", {}, b"").status == 404
