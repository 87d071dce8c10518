"""Nothing secret leaves the place where it belongs: not through declared resources, user data, state or logs."""

from __future__ import annotations

import base64
import io
import json
import os
import re
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator

import pytest

from ledger_support import Answer, Asked, Server, answering
from pulumi_support import Declared
from spotkeeper.archives import agent_archive
from spotkeeper_agent.hook import HookName, LifecycleHook
from spotkeeper_agent.logs import log
from spotkeeper_ledger import BoardError
from test_stack import run

CANARIES = {
    "AWS_ACCESS_KEY_ID": "ASIACANARYCANARY0001",
    "AWS_SECRET_ACCESS_KEY": "canary+secret/Key0000000000000000000002",
    "AWS_SESSION_TOKEN": "canary-session-token-3",
    "PULUMI_CONFIG_PASSPHRASE": "canary-passphrase-4",
    "PULUMI_ACCESS_TOKEN": "pul-canary5",
    "WANDB_API_KEY": "canary-of-the-job-6",
}
"""What the environment of whoever deploys may hold."""
SECRET = re.compile(
    r"(?-i:(?:AKIA|ASIA)[A-Z0-9]{12,})|-----BEGIN [A-Z ]*PRIVATE KEY|aws_secret_access_key\s*[=:]|canary|"
    r"AWS4-HMAC-SHA256 Credential=[A-Z0-9]|X-Amz-(?:Signature|Credential)=",
    re.IGNORECASE,
)
"""Key ids, private keys, signed headers and query strings, and the canaries."""
MAX_USER_DATA = 16 * 1024


@pytest.fixture(scope="module")
def declared() -> Iterator[Declared]:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in CANARIES.items():
            patch.setenv(name, value)
        yield run(command="exec python3 train.py")


def user_data(declared: Declared) -> bytes:
    return base64.b64decode(declared.one("LaunchTemplate").inputs["userData"])


def test_the_canaries_would_be_found() -> None:
    for value in CANARIES.values():
        assert SECRET.search(f"export X={value}")
    for text in (
        "AKIAIOSFODNN7EXAMPLE",
        "Authorization: AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20261123",
        "?X-Amz-Signature=abc",
    ):
        assert SECRET.search(text)


def test_what_is_declared_and_exported_holds_no_secret(declared: Declared) -> None:
    agent = base64.b64encode(agent_archive().body).decode()
    for seen in declared.notes.seen:
        # Half a megabyte of base64 looks like a key id somewhere by chance: the archive is unpacked and read below.
        plain = {name: value for name, value in seen.inputs.items() if value != agent}
        assert not SECRET.search(json.dumps(plain, default=str)), seen.label
    assert not SECRET.search(json.dumps(dict(declared.exports), default=str))
    assert not SECRET.search(json.dumps(declared.notes.outputs, default=str))


def test_user_data_holds_no_secret_and_nothing_of_the_deployers_environment(declared: Declared) -> None:
    script = user_data(declared)
    assert len(script) <= MAX_USER_DATA
    assert not SECRET.search(script.decode())
    (config,) = re.findall(r"cat >agent\.json <<'SPOTKEEPER_END'\n(.*?)\nSPOTKEEPER_END", script.decode(), re.DOTALL)
    given = {name: value for name, value in os.environ.items() if len(value) > 12} | CANARIES
    told = json.loads(config)
    assert not [name for name, value in given.items() if value in told.values()]
    assert told["command"] == "exec python3 train.py"


def test_what_nodes_download_holds_no_secret(declared: Declared) -> None:
    body = base64.b64decode(declared.one("BucketObjectv2", "training-agent").inputs["contentBase64"])
    with zipfile.ZipFile(io.BytesIO(body)) as packed:
        for name in packed.namelist():
            assert not SECRET.search(packed.read(name).decode()), name


def test_the_functions_environment_names_places_only(declared: Declared) -> None:
    variables = declared.one("Function").inputs["environment"]["variables"]
    assert set(variables) == {"SPOTKEEPER_LEDGER", "SPOTKEEPER_TOPIC_ARN", "SPOTKEEPER_DOCUMENT"}


def test_instance_metadata_needs_a_token_and_stays_on_the_node(declared: Declared) -> None:
    (template,) = declared.all("LaunchTemplate")
    options = template.inputs["metadataOptions"]
    assert (options["httpTokens"], options["httpPutResponseHopLimit"]) == ("required", 1)
    for group in declared.all("Group"):  # nothing but this template starts a node
        chosen = group.inputs["mixedInstancesPolicy"]["launchTemplate"]
        assert "launchTemplateId" in chosen["launchTemplateSpecification"]
        assert not [each for each in chosen["overrides"] if "launchTemplateSpecification" in each]
        assert "launchConfiguration" not in group.inputs


# ---------------------------------------------------------------- logs

HANDLE = """
import json, sys, time
from spotkeeper_responder.aws.handler import handle
class Context:
    ends = time.monotonic() + 4
    def get_remaining_time_in_millis(self):
        return int(1000 * (self.ends - time.monotonic()))
print("RESULT", handle({"Records": json.load(sys.stdin)}, Context()))
"""
WARNING = {
    "detail-type": "EC2 Spot Instance Interruption Warning",
    "source": "aws.ec2",
    "time": "2026-11-23T22:00:00Z",
    "detail": {"instance-id": "i-0123456789abcdef0", "instance-action": "terminate"},
}


def quoting(status: int) -> Callable[[Asked], Answer]:
    """Refuse as AWS refuses a signature: everything that was sent is quoted, the session's token included."""

    def answer(asked: Asked) -> Answer:
        sent = "\n".join(f"{name}:{value}" for name, value in asked.headers.items())
        said = "The request signature we calculated does not match the signature you provided."
        message = f"{said}\n\nThe Canonical String for this request should have been\n'{asked.method}\n{sent}'"
        body = f"<Error><Code>SignatureDoesNotMatch</Code><Message>{message}</Message></Error>"
        wrapped = body if "/s3/" in asked.headers["authorization"] else f"<ErrorResponse>{body}</ErrorResponse>"
        return Answer(status, {"Content-Type": "text/xml"}, wrapped.encode())

    return answer


def hanging_up(_: Asked) -> Answer:
    return Answer(hang_up=True)


ANSWERS = {"refused": quoting(403), "broken": quoting(500), "away": hanging_up}


def environment(server: Server) -> dict[str, str]:
    return {
        **CANARIES,
        "AWS_ENDPOINT_URL": server.url,
        "AWS_REGION": "eu-west-1",
        "AWS_DEFAULT_REGION": "eu-west-1",
        "PATH": os.environ["PATH"],
    }


@pytest.mark.parametrize("trouble", ANSWERS)
def test_the_functions_log_tells_what_failed_and_nothing_secret(trouble: str) -> None:
    with answering(ANSWERS[trouble]) as server:
        spoilt = f'{{"Authorization": "{CANARIES["AWS_SESSION_TOKEN"]}'  # somebody's message that is none
        bodies = [json.dumps(WARNING), json.dumps({**WARNING, "detail-type": "Scheduled Event"}), "{", spoilt]
        names = {
            "SPOTKEEPER_LEDGER": "s3://ledger",
            "SPOTKEEPER_DOCUMENT": "d",
            "SPOTKEEPER_TOPIC_ARN": "arn:aws:sns:x",
        }
        ended = subprocess.run(
            [sys.executable, "-c", HANDLE],
            env={**environment(server), **names},
            input=json.dumps([{"messageId": f"m{n}", "body": body} for n, body in enumerate(bodies)]),
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
    assert any(CANARIES["AWS_SESSION_TOKEN"] in asked.headers.get("x-amz-security-token", "") for asked in server.asked)
    assert "the roster cannot be read" in ended.stdout
    assert "nodes cannot be placed" in ended.stdout
    assert not SECRET.search(ended.stdout + ended.stderr)


@pytest.mark.parametrize("trouble", ANSWERS)
def test_the_agents_log_tells_what_failed_and_nothing_secret(
    trouble: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with answering(ANSWERS[trouble]) as server:
        for name, value in environment(server).items():
            monkeypatch.setenv(name, value)
        with pytest.raises(BoardError) as raised:
            LifecycleHook(HookName("group", "hook", "i-1"), "eu-west-1").complete()
        log("sending-fails", error=f"{type(raised.value).__name__}: {raised.value}")
    told = capsys.readouterr().out
    assert "CompleteLifecycleAction" in told or trouble == "away"
    assert not SECRET.search(told)
