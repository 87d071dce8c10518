"""The script that a new node runs, and that it does what it says: against a real S3 API and a metadata service."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from moto.server import ThreadedMotoServer

from spotkeeper import InputError
from spotkeeper.archives import agent_archive
from spotkeeper.aws.node_software import USER_DATA_BYTES
from spotkeeper.node import bootstrap, s3
from spotkeeper.user_data import render as rendered

LEDGER, REGION = "ledger", "eu-west-1"
COMMAND = """cd /opt && exec python3 train.py --note 'it is $HOME "quoted" `id` \\n' # é
SPOTKEEPER_END
echo done"""
CONFIG: dict[str, Any] = {
    "fleet": "p-s-f",
    "region": REGION,
    "ledger": f"s3://{LEDGER}",
    "run_dir": "/run/spotkeeper",
    "command": COMMAND,
    "notice_seconds": 120.0,
}
KEYS = {
    "AccessKeyId": "AKIDEXAMPLE",
    "SecretAccessKey": "secret",
    "Token": "session",
    "Expiration": "2030-01-01T00:00:00Z",
}


class Metadata(BaseHTTPRequestHandler):
    """As much of IMDSv2 as the bootstrap asks for: no token, no answer."""

    def do_PUT(self) -> None:
        self.answer(200 if self.path == "/latest/api/token" else 404, b"token")

    def do_GET(self) -> None:
        base = "/latest/meta-data/iam/security-credentials/"
        bodies = {base: b"role-of-node", f"{base}role-of-node": json.dumps(KEYS).encode()}
        if self.headers.get("X-aws-ec2-metadata-token") != "token":
            self.answer(401, b"")
        elif self.path in bodies:
            self.answer(200, bodies[self.path])
        else:
            self.answer(404, b"")

    def answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def cloud() -> Iterator[dict[str, str]]:
    """A metadata service and an S3 with the agent in it, as the environment that leads to them."""
    metadata = ThreadingHTTPServer(("127.0.0.1", 0), Metadata)
    thread = threading.Thread(target=metadata.serve_forever)
    thread.start()
    moto = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    moto.start()
    endpoint = "http://{}:{}".format(*moto.get_host_and_port())
    s3 = boto3.client("s3", REGION, endpoint_url=endpoint, aws_access_key_id="a", aws_secret_access_key="b")
    with suppress(s3.exceptions.BucketAlreadyOwnedByYou):  # what moto holds outlives its server, as long as the process
        s3.create_bucket(Bucket=LEDGER, CreateBucketConfiguration={"LocationConstraint": REGION})
    archive = agent_archive()
    s3.put_object(Bucket=LEDGER, Key=archive.key, Body=archive.body)
    s3.put_object(Bucket=LEDGER, Key=f"agent/{'0' * 64}.pyz", Body=b"print('not what was asked for')")
    yield {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_EC2_METADATA_SERVICE_ENDPOINT": f"http://127.0.0.1:{metadata.server_port}",
    }
    moto.stop()
    metadata.shutdown()
    thread.join()
    metadata.server_close()


def render(config: dict[str, Any], sha256: str) -> str:
    return rendered(config, sha256, USER_DATA_BYTES)


def run(script: str, root: Path, cloud: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Run user data as a node would, in a root of its own and with a systemctl that writes down what it is told."""
    tools = root / "tools"
    tools.mkdir(parents=True)
    systemctl = tools / "systemctl"
    systemctl.write_text(f'#!/bin/sh\necho "$*" >>{root}/systemctl.log\n')
    systemctl.chmod(0o755)
    (tools / "python3").symlink_to(sys.executable)
    environment = {"PATH": f"{tools}:{os.environ['PATH']}", "SPOTKEEPER_ROOT": str(root), **cloud}
    return subprocess.run(["bash"], input=script, capture_output=True, text=True, env=environment, check=False)


def test_the_script_is_valid_and_small() -> None:
    script = render(CONFIG, agent_archive().sha256)
    checked = subprocess.run(["bash", "-n"], input=script, capture_output=True, text=True, check=False)
    assert (checked.returncode, checked.stderr) == (0, "")
    assert len(script.encode()) < USER_DATA_BYTES * 3 // 4  # room for a long command


def test_the_limit_is_ec2s_and_exact() -> None:
    room = USER_DATA_BYTES - len(render({**CONFIG, "command": ""}, "0" * 64).encode())
    assert len(render({**CONFIG, "command": "x" * room}, "0" * 64).encode()) == 16384
    with pytest.raises(InputError, match="user data is 16385 bytes, expected one that is shorter by 1 "):
        render({**CONFIG, "command": "x" * (room + 1)}, "0" * 64)


def test_a_node_installs_and_starts_the_agent(tmp_path: Path, cloud: dict[str, str]) -> None:
    archive = agent_archive()
    done = run(render(CONFIG, archive.sha256), tmp_path, cloud)
    assert (done.returncode, done.stderr) == (0, "")

    assert (tmp_path / "opt/spotkeeper/agent.pyz").read_bytes() == archive.body
    config = tmp_path / "etc/spotkeeper/agent.json"
    assert json.loads(config.read_text()) == {**CONFIG, "run_dir": f"{tmp_path}/run/spotkeeper"}
    assert config.stat().st_mode & 0o777 == 0o600  # the command may hold what is not for everybody

    unit = (tmp_path / "etc/systemd/system/spotkeeper-agent.service").read_text()
    (start,) = [line for line in unit.splitlines() if line.startswith("ExecStart=")]
    python, *rest = start.removeprefix("ExecStart=").split()
    assert Path(python).is_absolute()
    assert rest == [f"{tmp_path}/opt/spotkeeper/agent.pyz", "run", "--config", str(config)]
    assert (tmp_path / "systemctl.log").read_text().splitlines() == [
        "daemon-reload",
        "enable --now spotkeeper-agent.service",
    ]


def test_the_installed_command_is_the_agent(tmp_path: Path, cloud: dict[str, str]) -> None:
    assert run(render(CONFIG, agent_archive().sha256), tmp_path, cloud).returncode == 0
    command = tmp_path / "usr/local/bin/spotkeeper-agent"
    said = subprocess.run([command, "notice", "--help"], capture_output=True, text=True, check=True)
    assert "--deadline" in said.stdout


def test_another_agent_than_the_one_that_was_named_is_refused(tmp_path: Path, cloud: dict[str, str]) -> None:
    done = run(render(CONFIG, "0" * 64), tmp_path, cloud)
    assert done.returncode != 0
    assert f"expected {'0' * 64}; nothing was installed" in done.stderr
    assert not (tmp_path / "opt").exists()
    assert not (tmp_path / "systemctl.log").exists()


def test_a_node_that_is_too_early_tries_again(monkeypatch: pytest.MonkeyPatch, cloud: dict[str, str]) -> None:
    pauses: list[float] = []
    monkeypatch.setattr("time.sleep", pauses.append)
    monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", cloud["AWS_EC2_METADATA_SERVICE_ENDPOINT"])
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")  # nobody listens there
    with pytest.raises(OSError, match="refused"):
        bootstrap.fetch_agent(f"s3://{LEDGER}", "0" * 64, REGION)
    assert pauses == [1, 2, 4, 8, 16, 32, 64]


@pytest.mark.parametrize(
    ("region", "url"),
    [
        ("eu-west-1", "https://ledger.s3.eu-west-1.amazonaws.com/agent/0.pyz"),
        ("cn-north-1", "https://ledger.s3.cn-north-1.amazonaws.com.cn/agent/0.pyz"),
    ],
)
def test_a_real_node_asks_its_regions_s3(
    region: str, url: str, monkeypatch: pytest.MonkeyPatch, cloud: dict[str, str]
) -> None:
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    monkeypatch.delenv("AWS_ENDPOINT_URL_S3", raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", cloud["AWS_EC2_METADATA_SERVICE_ENDPOINT"])
    asked: list[tuple[str, dict[str, str]]] = []
    request = s3.request

    def ask(method: str, at: str, headers: Any) -> bytes:
        if at.startswith("https://"):
            asked.append((at, dict(headers)))
            return b"agent"
        return request(method, at, headers)

    monkeypatch.setattr(s3, "request", ask)
    assert s3.fetch("ledger", "agent/0.pyz", region) == b"agent"
    ((found, headers),) = asked
    assert found == url
    assert headers["Authorization"] == expected_signature(url, region, headers)


def expected_signature(url: str, region: str, headers: dict[str, str]) -> str:
    """Sign the same request at the same moment with botocore."""
    signed = ("X-Amz-Date", "X-Amz-Security-Token", "X-Amz-Content-SHA256")
    wanted = AWSRequest("GET", url, headers={name: headers[name] for name in signed})
    wanted.context["timestamp"] = headers["X-Amz-Date"]
    signer = S3SigV4Auth(Credentials(KEYS["AccessKeyId"], KEYS["SecretAccessKey"], KEYS["Token"]), "s3", region)
    signature = signer.signature(signer.string_to_sign(wanted, signer.canonical_request(wanted)), wanted)
    names = signer.signed_headers(signer.headers_to_sign(wanted))
    return f"AWS4-HMAC-SHA256 Credential={signer.scope(wanted)}, SignedHeaders={names}, Signature={signature}"
