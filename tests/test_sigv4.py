"""The signer against botocore's own, over many requests."""

from datetime import UTC, datetime
from unittest import mock

from botocore.auth import S3SigV4Auth, SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials as BotoCredentials
from hypothesis import given, settings
from hypothesis import strategies as st

from spotkeeper_ledger.sigv4 import Credentials, sign, uri_encode

NOW = 1_795_000_000.0

keys = st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\x00/"), min_size=1), min_size=1, max_size=4)
segments = keys.map("/".join).filter(lambda key: not set(key.split("/")) & {".", ".."})
queries = st.dictionaries(st.text(st.characters(codec="ascii")), st.text(st.characters(codec="utf-8")), max_size=4)
header_values = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=30)
extra_headers = st.dictionaries(st.sampled_from(["If-Match", "If-None-Match", "Content-Type", "Range"]), header_values)


def by_botocore(service: str, method: str, url: str, headers: dict[str, str], body: bytes, token: str | None) -> str:
    signer = (S3SigV4Auth if service == "s3" else SigV4Auth)(
        BotoCredentials("AKIDEXAMPLE", "wJalr+secret/", token), service, "eu-west-1"
    )
    request = AWSRequest(method, url, headers=headers, data=body)
    request.context["payload_signing_enabled"] = True
    # botocore takes the time from one place; the clock is all that is replaced
    with mock.patch(
        "botocore.auth.get_current_datetime", return_value=datetime.fromtimestamp(NOW, UTC).replace(tzinfo=None)
    ):
        signer.add_auth(request)
    return str(request.headers["Authorization"])


@settings(max_examples=100, deadline=None)
@given(
    service=st.sampled_from(["s3", "autoscaling"]),
    method=st.sampled_from(["GET", "PUT", "POST", "DELETE"]),
    path=segments,
    query=queries,
    headers=extra_headers,
    body=st.binary(max_size=100),
    token=st.none() | st.just("FwoGZXIvYXdzE//token=="),
)
def test_the_signature_is_botocores(service, method, path, query, headers, body, token) -> None:
    text = "&".join(f"{uri_encode(name)}={uri_encode(value)}" for name, value in query.items())
    target = uri_encode(path, keep_slash=True) if service == "s3" else ""
    url = f"https://bucket.example.com:8443/{target}" + (f"?{text}" if text else "")
    ours = sign(
        method, url, headers, body, Credentials("AKIDEXAMPLE", "wJalr+secret/", token), "eu-west-1", service, NOW
    )
    assert ours["Authorization"] == by_botocore(service, method, url, headers, body, token)


def test_credentials_do_not_show_their_secret() -> None:
    assert "hush" not in repr(Credentials("AKID", "hush", "hush-token"))
