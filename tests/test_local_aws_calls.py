import pytest

from spotkeeper_lab.local import UNKNOWN
from spotkeeper_lab.local_aws.calls import access_key_id, signer


@pytest.mark.parametrize("temporary", [False, True])
def test_a_caller_is_known_by_the_key_it_was_given(temporary: bool) -> None:
    key = access_key_id("responder", temporary=temporary)
    header = f"AWS4-HMAC-SHA256 Credential={key}/20240101/us-east-1/sqs/aws4_request, SignedHeaders=host, Signature=00"
    assert len(key) == 20
    assert signer(header) == ("responder", "sqs")


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("", (UNKNOWN, "")),
        ("Bearer x", (UNKNOWN, "")),
        ("AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20240101/us-east-1/s3/aws4_request, Signature=0", (UNKNOWN, "s3")),
    ],
)
def test_others_are_unknown(header: str, expected: tuple[str, str]) -> None:
    assert signer(header) == expected


@pytest.mark.parametrize("name", ["", "Upper", "with-hyphen", "longer" * 3])
def test_a_name_that_no_key_can_hold_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=f"caller: was '{name}', expected"):
        access_key_id(name)
