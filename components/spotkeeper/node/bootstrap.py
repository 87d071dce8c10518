"""Runs once on a new node: fetches the agent by its digest, installs it and describes it to systemd.

The component puts this file, and what reads its cloud's buckets, into the user data. Everything is installed below
``SPOTKEEPER_ROOT``, which is empty on a real node.

Usage: bootstrap.py AGENT_JSON SHA256
"""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import sys
import time
from importlib import import_module
from pathlib import Path

STOP_MARGIN_SECONDS = 30
"""How much longer than a notice the agent may take to stop: by then a job that it stops has saved or been killed."""
ATTEMPTS = 8  # with the pauses between them two minutes: new roles and routes take a while to work everywhere
UNIT = """\
[Unit]
Description=Spotkeeper agent of fleet {fleet}
Wants=network-online.target
After=network-online.target
StartLimitIntervalSec=0

[Service]
ExecStart={python} {root}/opt/spotkeeper/agent.pyz run --config {root}/etc/spotkeeper/agent.json
RuntimeDirectory=spotkeeper
RuntimeDirectoryPreserve=yes
Restart=always
RestartSec=2
KillMode=mixed
OOMPolicy=continue
TimeoutStopSec={stop_seconds:.0f}

[Install]
WantedBy=multi-user.target
"""
WRAPPER = """\
#!/bin/sh
exec {python} {root}/opt/spotkeeper/agent.pyz "$@"
"""


def fetch_agent(ledger: str, sha256: str, region: str) -> bytes:
    """Return the agent, if it is the one that the digest names; try again while the node or its role is too new."""
    scheme, _, bucket = ledger.partition("://")
    reader = import_module(f"spotkeeper.node.{scheme}")
    for attempt in range(ATTEMPTS):
        try:
            body: bytes = reader.fetch(bucket, f"agent/{sha256}.pyz", region)
            break
        except (OSError, http.client.HTTPException, ValueError, LookupError) as error:
            if attempt + 1 == ATTEMPTS:
                raise
            sys.stderr.write(f"spotkeeper: {error}; trying again\n")
            time.sleep(2**attempt)
    found = hashlib.sha256(body).hexdigest()
    if found != sha256:
        sys.exit(f"spotkeeper: the agent in {ledger} has the digest {found}, expected {sha256}; nothing was installed")
    return body


def install(path: Path, body: bytes, mode: int) -> None:
    """Put a file in its place, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".new")
    partial.write_bytes(body)
    partial.chmod(mode)
    partial.replace(path)


def main() -> None:
    """Install everything that the unit needs, and the unit last."""
    config = json.loads(Path(sys.argv[1]).read_bytes())
    root = os.environ.get("SPOTKEEPER_ROOT", "")
    config["run_dir"] = f"{root}{config['run_dir']}"
    agent = fetch_agent(config["ledger"], sys.argv[2], config["region"])
    filled = {"python": sys.executable, "root": root, "fleet": config["fleet"]}
    unit = UNIT.format(**filled, stop_seconds=float(config["notice_seconds"]) + STOP_MARGIN_SECONDS)
    base = Path(root or "/")
    install(base / "opt/spotkeeper/agent.pyz", agent, 0o644)
    install(base / "etc/spotkeeper/agent.json", json.dumps(config, indent=1).encode(), 0o600)
    install(base / "usr/local/bin/spotkeeper-agent", WRAPPER.format(**filled).encode(), 0o755)
    install(
        base / "etc/systemd/system/spotkeeper-agent.service",
        unit.encode(),
        0o644,
    )


if __name__ == "__main__":
    main()
