"""What a new node runs first: a short script that carries the bootstrap and the agent's configuration."""

import json
from collections.abc import Mapping
from typing import Any

from spotkeeper.archives import source
from spotkeeper.errors import InputError

MAX_BYTES = 16 * 1024
"""EC2 takes no more user data, measured before it is encoded."""

# Text between quoted marks is taken as it is; JSON has no line of its own that could equal the mark.
_SCRIPT = """\
#!/bin/bash
# Installs and starts the Spotkeeper agent of fleet {fleet}.
set -euo pipefail
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
mkdir "$work/spotkeeper_ledger"
: >"$work/spotkeeper_ledger/__init__.py"
cat >"$work/spotkeeper_ledger/sigv4.py" <<'SPOTKEEPER_END'
{sigv4}SPOTKEEPER_END
cat >"$work/bootstrap.py" <<'SPOTKEEPER_END'
{bootstrap}SPOTKEEPER_END
cat >"$work/agent.json" <<'SPOTKEEPER_END'
{config}
SPOTKEEPER_END
PYTHONDONTWRITEBYTECODE=1 python3 "$work/bootstrap.py" "$work/agent.json" {sha256}
systemctl daemon-reload
systemctl enable --now spotkeeper-agent.service
"""


def render(config: Mapping[str, Any], sha256: str) -> str:
    """Return the user data of a fleet's nodes.

    Args:
        config: what becomes ``agent.json``; ``run_dir`` is put below ``SPOTKEEPER_ROOT`` on the node.
        sha256: digest of the agent's archive, under which it lies in the ledger bucket.

    Raises:
        InputError: the script is larger than EC2 takes, which only a long ``command`` can make it.
    """
    script = _SCRIPT.format(
        fleet=config["fleet"],
        sigv4=source("spotkeeper_ledger", "sigv4.py"),
        bootstrap=source("spotkeeper", "bootstrap.py"),
        config=json.dumps(config, sort_keys=True),
        sha256=sha256,
    )
    size = len(script.encode())
    if size > MAX_BYTES:
        raise InputError(
            "command",
            config["command"],
            f"one that is shorter by {size - MAX_BYTES} (the script itself belongs into the image or a bucket)",
            note=f", with which user data is {size} bytes",
        )
    return script
