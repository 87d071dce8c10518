"""The code that components ship: the responder's function and the agent, each built the same on every machine.

Every file is named here, so that nothing else in a folder (byte code, an editor's copy) can change a digest, and line
ends are made equal. A test holds the lists against the folders.
"""

import hashlib
import io
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources

import pulumi

LEDGER_FILES = (
    "__init__.py",
    "board.py",
    "checkpoints.py",
    "codec.py",
    "credentials.py",
    "documents/__init__.py",
    "documents/job.py",
    "documents/memory.py",
    "documents/notices.py",
    "documents/spec.py",
    "facts.py",
    "folder.py",
    "gce.py",
    "gcs.py",
    "google_token.py",
    "http.py",
    "imds.py",
    "keys.py",
    "open.py",
    "patience.py",
    "renewed.py",
    "run_dir.py",
    "s3.py",
    "sigv4.py",
)
AGENT_FILES = (
    "__init__.py",
    "__main__.py",
    "agent.py",
    "agreement.py",
    "cli.py",
    "clouds.py",
    "config.py",
    "council.py",
    "desk.py",
    "doctor.py",
    "events.py",
    "exits.py",
    "gcp.py",
    "generation_ledger.py",
    "generations.py",
    "goodput.py",
    "hangs.py",
    "hook.py",
    "job.py",
    "keeper.py",
    "lease.py",
    "local.py",
    "logs.py",
    "member.py",
    "node.py",
    "notice_command.py",
    "notices.py",
    "outbox.py",
    "peer_messages.py",
    "peer_table.py",
    "peers.py",
    "processes.py",
    "progress.py",
    "pubsub.py",
    "reporter.py",
    "run.py",
    "runner.py",
    "server.py",
    "sources.py",
    "tail.py",
    "team.py",
    "team_ranks.py",
    "team_words.py",
    "voice.py",
    "watchdog.py",
)
RESPONDER_FILES = (
    "__init__.py",
    "announcements.py",
    "aws/__init__.py",
    "aws/cloud.py",
    "aws/events.py",
    "aws/failures.py",
    "aws/handler.py",
    "aws/prices.py",
    "deadline.py",
    "drains.py",
    "fallback.py",
    "gcp/__init__.py",
    "gcp/cloud.py",
    "gcp/compute.py",
    "gcp/events.py",
    "gcp/failures.py",
    "gcp/handler.py",
    "gcp/names.py",
    "gcp/turns.py",
    "limits.py",
    "logs.py",
    "malformed.py",
    "metrics.py",
    "model.py",
    "notices.py",
    "observe.py",
    "pacing.py",
    "plans.py",
    "policies.py",
    "ports.py",
    "reconcile.py",
    "respond.py",
    "roster.py",
    "serve.py",
    "signals.py",
    "sizes.py",
    "speeds.py",
    "strength.py",
    "tuning.py",
    "updates.py",
    "warm.py",
    "watch.py",
    "wording.py",
)

NOT_IN_FUNCTION = {
    "": ("checkpoints.py", "folder.py", "run_dir.py"),
    "aws": ("gce.py", "gcs.py", "google_token.py", "imds.py"),
    "gcp": ("credentials.py", "imds.py", "s3.py", "sigv4.py"),
}
"""What a cloud's function never opens of the ledger package, and, under no name, what no function does."""

_EPOCH = (1980, 1, 1, 0, 0, 0)
"""The earliest time that a zip file can hold: the same in every build."""
_NO_API = '"""What reacts. The public API of its package is not in the archive: nothing imports it there."""\n'
_GCP_MAIN = """\
from types import SimpleNamespace

import functions_framework

from spotkeeper_responder.gcp.handler import handle


@functions_framework.http
def on_message(request):
    handle(SimpleNamespace(data=request.get_json(force=True, silent=True)))
    return ""
"""
"""Takes what a subscription pushes as it is: of messages that are attributes only the framework makes no events."""
_GCP_REQUIREMENTS = "functions-framework>=3.8,<4\n"
_AGENT_MAIN = """\
import sys

from spotkeeper_agent.cli import main

sys.exit(main())
"""


@dataclass(frozen=True)
class AgentArchive:
    """The agent as one file that Python runs."""

    body: bytes
    sha256: str

    @property
    def key(self) -> str:
        """Where the archive lies in the ledger bucket: under its own digest, so that it never changes."""
        return f"agent/{self.sha256}.pyz"


def function_archive(cloud: str) -> pulumi.AssetArchive:
    """Return the responder's function as text assets, which Pulumi zips; no path of this machine is in it.

    Args:
        cloud: ``aws`` or ``gcp``.
    """
    return pulumi.AssetArchive({name: pulumi.StringAsset(text) for name, text in function_sources(cloud).items()})


def function_digest(cloud: str) -> str:
    """Return a digest of the responder's function for a cloud, which is another one whenever the code is."""
    return hashlib.sha256(repr(sorted(function_sources(cloud).items())).encode()).hexdigest()


def function_sources(cloud: str) -> Mapping[str, str]:
    """Return every file of the responder's function for a cloud by its name in the archive; of the other cloud none."""
    others = {"aws": "gcp/", "gcp": "aws/"}[cloud]
    idle = {*NOT_IN_FUNCTION[""], *NOT_IN_FUNCTION[cloud]}
    return {
        **_sources("spotkeeper_ledger", tuple(name for name in LEDGER_FILES if name not in idle)),
        **_sources("spotkeeper_responder", tuple(name for name in RESPONDER_FILES if not name.startswith(others))),
        "spotkeeper_responder/__init__.py": _NO_API,
        f"spotkeeper_responder/{cloud}/__init__.py": _NO_API,
        **({"main.py": _GCP_MAIN, "requirements.txt": _GCP_REQUIREMENTS} if cloud == "gcp" else {}),
    }


@cache
def agent_archive() -> AgentArchive:
    """Return the agent as a zip application: not compressed, sorted, times fixed, hence always the same bytes."""
    files = {
        "__main__.py": _AGENT_MAIN,
        **_sources("spotkeeper_ledger", LEDGER_FILES),
        **_sources("spotkeeper_agent", AGENT_FILES),
    }
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name in sorted(files):
            entry = zipfile.ZipInfo(name, _EPOCH)
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, files[name].encode())
    body = buffer.getvalue()
    return AgentArchive(body, hashlib.sha256(body).hexdigest())


def source(package: str, name: str) -> str:
    """Return the text of one file of an installed package, with Unix line ends."""
    return resources.files(package).joinpath(*name.split("/")).read_text("utf-8").replace("\r\n", "\n")


def _sources(package: str, names: tuple[str, ...]) -> dict[str, str]:
    return {f"{package}/{name}": source(package, name) for name in names}
