"""A ledger with fleets in it, as a responder and nodes leave it, and the command line on it."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pytest
import requests
from moto.server import ThreadedMotoServer

from responder_support import FLEET, PREFIX, node, spec
from spotkeeper_lab import cli
from spotkeeper_ledger import (
    ANY,
    Board,
    FleetLedger,
    FleetSpec,
    Generation,
    Member,
    NodeReport,
    NodeSeen,
    Progress,
    dump,
    keys,
    load,
    open_board,
)


@dataclass(frozen=True)
class Said:
    """What a command returned and wrote."""

    code: int
    out: str
    err: str


class Ledger:
    """A ledger in a folder, or at another URI, with ``spotkeeper`` run on it."""

    def __init__(self, uri: str, capsys: pytest.CaptureFixture[str]) -> None:
        self.uri, self._capsys = uri, capsys
        self.board: Board = open_board(uri)
        self.now = time.time()

    @classmethod
    def in_folder(cls, folder: Path, capsys: pytest.CaptureFixture[str]) -> Ledger:
        return cls(folder.as_uri(), capsys)

    def put(self, key: str, document: Any) -> None:
        self.board.write(key, dump(document), expect=ANY)

    def fleet(
        self, name: str = FLEET, *, spot: Sequence[int] = (1, 2, 3, 4), backup: Sequence[int] = (), **changes: Any
    ) -> FleetSpec:
        """Make a fleet of four spot nodes whose agents have just reported; ``changes`` are those of its ledger."""
        wanted = spec(fleet=name, spot_group=f"spotkeeper-{name}-spot", backup_group=f"spotkeeper-{name}-backup")
        self.put(keys.spec(name), wanted)
        seen = {
            node(n): NodeSeen(group, self.now - 3600, self.now - 20)
            for group, ns in (("spot", spot), ("backup", backup))
            for n in ns
        }
        made = {
            "fleet": name,
            "incarnation": wanted.incarnation,
            "revision": 7,
            "seen": seen,
            "ticked_at": self.now - 20,
        }
        self.put(
            keys.ledger(name), FleetLedger(**{**made, "spot_desired": 4, "backup_desired": len(backup), **changes})
        )
        for n in (*spot, *backup):
            self.report(name, n)
        return wanted

    def report(self, name: str, number: int) -> None:
        made = NodeReport(name, "AROATEST", node(number), boot_id="b", at=self.now)
        self.put(keys.report(name, PREFIX + node(number)), made)

    def job(self, name: str = FLEET, **changes: Any) -> None:
        """Let the first node run the job."""
        member = Member(node(1), "b", "10.0.0.1")
        self.put(keys.generation(name), Generation(name, "AROATEST", 3, "running", (member,)))
        told = {"generation": 3, "node": node(1), "at": self.now, "step": 120, "total": 400}
        told |= {"published_step": 100, "published_at": self.now - 300}
        self.put(keys.progress(name), Progress(name, "AROATEST", **{**told, **changes}))

    def ledger(self, name: str = FLEET) -> FleetLedger:
        found = self.board.read(keys.ledger(name))
        assert found is not None
        return load(FleetLedger, found.body)

    def run(self, *arguments: str) -> Said:
        """Run ``spotkeeper`` with this ledger."""
        try:
            code = cli.main([*arguments, "--ledger", self.uri])
        except SystemExit as left:
            code = int(left.code or 0)
        told = self._capsys.readouterr()
        return Said(code, told.out, told.err)


BUCKET, REGION = "spotkeeper-123456789012-eu-west-1", "eu-west-1"


@contextmanager
def aws() -> Iterator[None]:
    """An empty account, reached as a person's is: through the environment."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    requests.post(f"http://{host}:{port}/moto-api/reset", timeout=60)  # what moto holds outlives its server
    with pytest.MonkeyPatch.context() as patch:
        for name in ("AWS_SESSION_TOKEN", "AWS_PROFILE"):
            patch.delenv(name, raising=False)
        for name, value in {
            "AWS_ENDPOINT_URL": f"http://{host}:{port}",
            "AWS_ACCESS_KEY_ID": "testing",
            "AWS_SECRET_ACCESS_KEY": "testing",
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
        }.items():
            patch.setenv(name, value)
        client("s3").create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": REGION})
        yield
    server.stop()


def client(service: Any) -> Any:
    """A client of that account; boto3's default session would remember another one."""
    return boto3.Session().client(service, region_name=REGION)
