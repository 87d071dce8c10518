import pytest

from ledger_support import Answer, Asked, answering
from spotkeeper_ledger import Unavailable
from spotkeeper_ledger.imds import TOKEN_SECONDS, InstanceMetadata


def metadata(asked: Asked) -> Answer:
    if asked.method == "PUT":
        return (
            Answer(body=b"token-1") if asked.headers["x-aws-ec2-metadata-token-ttl-seconds"] == "21600" else Answer(400)
        )
    if asked.headers.get("x-aws-ec2-metadata-token") != "token-1":
        return Answer(401)
    return {"/latest/meta-data/instance-id": Answer(body=b"i-1")}.get(asked.path, Answer(404))


def test_reads_with_one_token() -> None:
    with answering(metadata) as server:
        imds = InstanceMetadata(server.url)
        assert imds.get("instance-id") == "i-1"
        assert imds.get("spot/instance-action") is None
    assert [asked.method for asked in server.asked] == ["PUT", "GET", "GET"]


def test_a_forgotten_token_is_renewed_once() -> None:
    tokens = iter([b"old", b"token-1"])
    with answering(lambda a: Answer(body=next(tokens)) if a.method == "PUT" else metadata(a)) as server:
        assert InstanceMetadata(server.url).get("instance-id") == "i-1"
    assert [asked.method for asked in server.asked] == ["PUT", "GET", "PUT", "GET"]


def test_the_endpoint_comes_from_the_usual_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    with answering(metadata) as server:
        monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", server.url)
        assert InstanceMetadata().get("instance-id") == "i-1"


@pytest.mark.parametrize("status", [401, 403, 500, 503])
def test_any_other_answer_is_unavailable(status: int) -> None:
    with (
        answering(lambda a: Answer(body=b"t") if a.method == "PUT" else Answer(status)) as server,
        pytest.raises(Unavailable, match=str(status)),
    ):
        InstanceMetadata(server.url).get("instance-id")


def test_a_service_that_hangs_is_given_up_and_asked_again() -> None:
    silent = True

    def answer(asked: Asked) -> Answer:
        return Answer(body=b"i-1", drip=True) if silent and asked.method == "GET" else metadata(asked)

    with answering(answer) as server:
        imds = InstanceMetadata(server.url, timeout=0.2)
        with pytest.raises(Unavailable, match="instance-id"):
            imds.get("instance-id")
        silent = False
        assert imds.get("instance-id") == "i-1"


def test_a_token_is_renewed_before_it_expires(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1000.0]
    monkeypatch.setattr("spotkeeper_ledger.imds.time.monotonic", lambda: now[0])
    with answering(metadata) as server:
        imds = InstanceMetadata(server.url, timeout=1e9)
        for elapsed in (0, TOKEN_SECONDS * 0.89, TOKEN_SECONDS * 0.02):
            now[0] += elapsed
            assert imds.get("instance-id") == "i-1"
    assert [asked.method for asked in server.asked] == ["PUT", "GET", "GET", "PUT", "GET"]


def test_no_token_is_unavailable_and_version_1_is_never_tried() -> None:
    with answering(lambda a: Answer(403)) as server, pytest.raises(Unavailable, match="token: status 403"):
        InstanceMetadata(server.url).get("instance-id")
    assert all(asked.method == "PUT" for asked in server.asked)
