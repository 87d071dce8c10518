import json
import time
from datetime import UTC, datetime

import pytest

from ledger_support import Answer, Asked, answering
from spotkeeper_ledger import Denied, Unavailable
from spotkeeper_ledger.credentials import CredentialSource
from spotkeeper_ledger.imds import InstanceMetadata

ROLE = "/latest/meta-data/iam/security-credentials/"


@pytest.fixture(autouse=True)
def no_keys_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)


class Role:
    """A metadata service whose role hands out ASIA1, ASIA2, …, each valid for ``seconds``."""

    def __init__(self, seconds: float) -> None:
        self.seconds, self.given, self.away = seconds, 0, False

    def __call__(self, asked: Asked) -> Answer:
        if asked.method == "PUT":
            return Answer(body=b"t")
        if self.away:
            return Answer(503)
        if asked.path == ROLE:
            return Answer(body=b"node-role\n")
        self.given += 1
        expires = datetime.fromtimestamp(time.time() + self.seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        keys = {"AccessKeyId": f"ASIA{self.given}", "SecretAccessKey": "s", "Token": "t", "Expiration": expires}
        return Answer(body=json.dumps(keys).encode())


def test_the_environment_wins_and_is_read_at_every_call(monkeypatch: pytest.MonkeyPatch) -> None:
    source = CredentialSource()
    for key in ("AKIA1", "AKIA2"):
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", key)
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "s")
        assert source.get().access_key == key
    assert source.get().token is None


def test_the_roles_keys_are_kept_until_shortly_before_they_expire() -> None:
    role = Role(seconds=3600)
    with answering(role) as server:
        source = CredentialSource(InstanceMetadata(server.url))
        assert [source.get().access_key for _ in range(3)] == ["ASIA1"] * 3


def test_keys_near_their_end_are_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    role = Role(seconds=3600)
    with answering(role) as server:
        source = CredentialSource(InstanceMetadata(server.url))
        source.get()
        later = time.time() + 3400
        monkeypatch.setattr("spotkeeper_ledger.renewed.time.time", lambda: later)
        assert source.get().access_key == "ASIA2"


def test_old_keys_go_on_while_they_hold_and_not_a_moment_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    role = Role(seconds=3600)
    with answering(role) as server:
        source = CredentialSource(InstanceMetadata(server.url))
        source.get()
        role.away = True
        start = time.time()
        monkeypatch.setattr("spotkeeper_ledger.renewed.time.time", lambda: start + 3400)
        assert source.get().access_key == "ASIA1"
        monkeypatch.setattr("spotkeeper_ledger.renewed.time.time", lambda: start + 3700)
        with pytest.raises(Unavailable):
            source.get()


def test_an_instance_without_a_role_is_told_what_is_missing() -> None:
    with (
        answering(lambda a: Answer(body=b"t") if a.method == "PUT" else Answer(404)) as server,
        pytest.raises(Denied, match="AWS_ACCESS_KEY_ID"),
    ):
        CredentialSource(InstanceMetadata(server.url)).get()


@pytest.mark.parametrize("body", [b"", b"[]", b'{"Code":"Failed"}', b'{"Expiration": 3}'])
def test_a_broken_answer_is_unavailable(body: bytes) -> None:
    def answer(asked: Asked) -> Answer:
        if asked.method == "PUT":
            return Answer(body=b"t")
        return Answer(body=b"r") if asked.path == ROLE else Answer(body=body)

    with answering(answer) as server, pytest.raises(Unavailable, match="role r"):
        CredentialSource(InstanceMetadata(server.url)).get()
