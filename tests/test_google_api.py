"""Who asks Google's services: whoever this machine is set up for, and an error of one line where it is for nobody."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from google.auth import jwt

from gcp_account import FAST, FLEET, fleet
from ledger_support import Answer, Asked, Server, answering
from oncall_support import Ledger
from spotkeeper_lab.local_gcp import LocalGcp, token_of
from spotkeeper_lab.operations.account import NoCloud
from spotkeeper_lab.operations.google_api import Api
from spotkeeper_ledger import keys

BUCKET = "spotkeeper-shop-europe-west4"
EMAIL = "oncall@shop.iam.gserviceaccount.com"


class Google:
    """Gives out tokens for what a key has signed."""

    def __init__(self, folder: Path) -> None:
        self.key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self.file = folder / "key.json"
        self.answer: tuple[int, Any] = (200, {"access_token": token_of("oncall"), "expires_in": 3600})

    def __call__(self, asked: Asked) -> Answer:
        public = self.key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        signed = parse_qs(asked.body.decode())["assertion"][0]
        claims = jwt.decode(signed, certs=public, audience="https://oauth2.googleapis.com/token")
        assert claims["iss"] == EMAIL
        assert claims["scope"] == "https://www.googleapis.com/auth/cloud-platform"
        return Answer(self.answer[0], {"Content-Type": "application/json"}, json.dumps(self.answer[1]).encode())

    def serve(self, server: Server) -> None:
        private = self.key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        told = {"type": "service_account", "client_email": EMAIL, "token_uri": f"{server.url}/token"}
        self.file.write_text(json.dumps({**told, "private_key": private.decode(), "private_key_id": "1"}))


@pytest.fixture
def google(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Google]:
    made = Google(tmp_path)
    with answering(made) as server:
        made.serve(server)
        monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(made.file))
        yield made


def test_a_key_file_is_who_asks_all_services(
    google: Google, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("spotkeeper_lab.operations.gcp.PULL_SECONDS", 0.2)
    with LocalGcp(tmp_path / "cloud", FAST) as local:
        local.buckets.add(BUCKET)
        for name, value in local.environment("others").items():
            monkeypatch.setenv(name, value)
        ledger = Ledger(f"gs://{BUCKET}", capsys)
        ledger.fleet(FLEET)
        ledger.put(keys.spec(FLEET), fleet())
        assert ledger.run("status", FLEET).code == 0
        assert ledger.run("redrive").code == 2
        asked = local.calls.snapshot()["oncall"]
    services = {operation.partition(".")[0] for operation in asked}
    assert services == {"storage", "compute", "pubsub"}


def test_credentials_that_get_no_token_are_an_error_of_one_line(
    google: Google, capsys: pytest.CaptureFixture[str]
) -> None:
    google.answer = 400, {"error": "invalid_grant", "error_description": "Account\nis gone"}
    said = Ledger(f"gs://{BUCKET}", capsys).run("status")
    assert (said.code, said.out, said.err.count("\n")) == (2, "", 1)
    assert "Google does not accept the credentials: invalid_grant" in said.err
    assert "run `gcloud auth application-default login`" in said.err


@pytest.mark.parametrize("file", ["", "no-such-file.json"])
def test_without_credentials_it_is_told_what_to_do(
    file: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"CLOUDSDK_CONFIG": str(tmp_path), "NO_GCE_CHECK": "true"}.items():
        monkeypatch.setenv(name, value)
    if file:
        monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", file)
    said = Ledger(f"gs://{BUCKET}", capsys).run("status")
    assert (said.code, said.out, said.err.count("\n")) == (2, "", 1)
    assert "no Google credentials: run `gcloud auth application-default login`" in said.err
    assert file in said.err


# ---------------------------------------------------------------- requests


def test_a_request_that_nobody_answers_in_time_has_nothing_to_tell() -> None:
    with answering(lambda _: Answer(body=b"{}", drip=True)) as server:
        assert Api(server.url, None, 1.0).wait("POST", "/pull", {}, 0.2) == {}


def test_a_request_that_cannot_be_sent_has_not_nothing_to_tell() -> None:
    with pytest.raises(NoCloud, match="refused"):
        Api("http://127.0.0.1:9", None, 1.0).wait("POST", "/pull", {}, 60.0)


def test_what_may_pass_is_asked_again_and_what_will_not_is_told_at_once() -> None:
    answers = iter(
        [Answer(429), Answer(503), Answer(body=b'{"a": 1}'), Answer(403, body=b'{"error": {"message": "no"}}')]
    )
    with answering(lambda _: next(answers)) as server:
        api = Api(server.url, None, 20.0)
        assert api.call("GET", "/x") == {"a": 1}
        with pytest.raises(NoCloud, match=r"^/x: status 403 no$"):
            api.call("GET", "/x?y")


@pytest.mark.parametrize("body", [b"[]", b"<html>"])
def test_what_is_no_object_is_no_answer(body: bytes) -> None:
    with answering(lambda _: Answer(body=body)) as server, pytest.raises(NoCloud, match="no JSON object"):
        Api(server.url, None, 1.0).call("GET", "/x")
