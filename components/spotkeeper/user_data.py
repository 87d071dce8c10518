"""What a new node runs first: a short script that carries the bootstrap and the agent's configuration."""

import json
from collections.abc import Mapping
from typing import Any

from spotkeeper.archives import source
from spotkeeper.errors import InputError

_FILES = {
    "s3": (("spotkeeper", "node/web.py"), ("spotkeeper", "node/s3.py"), ("spotkeeper_ledger", "sigv4.py")),
    "gs": (("spotkeeper", "node/web.py"), ("spotkeeper", "node/gs.py")),
}
"""What reads the ledger, by the scheme of its URI."""

# Text between quoted marks is taken as it is; JSON has no line of its own that could equal the mark.
_SCRIPT = """\
#!/bin/bash
# Installs and starts the Spotkeeper agent of fleet {fleet}.
set -euo pipefail
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
cd "$work"
mkdir -p spotkeeper/node spotkeeper_ledger
touch spotkeeper/__init__.py spotkeeper/node/__init__.py spotkeeper_ledger/__init__.py
{files}cat >agent.json <<'SPOTKEEPER_END'
{config}
SPOTKEEPER_END
PYTHONDONTWRITEBYTECODE=1 python3 -m spotkeeper.node.bootstrap agent.json {sha256}
systemctl daemon-reload
systemctl enable --now spotkeeper-agent.service
"""
_FILE = """\
cat >{path} <<'SPOTKEEPER_END'
{text}SPOTKEEPER_END
"""


def render(config: Mapping[str, Any], sha256: str, longest: int) -> str:
    """Return the user data of a fleet's nodes.

    Args:
        config: what becomes ``agent.json``; ``run_dir`` is put below ``SPOTKEEPER_ROOT`` on the node.
        sha256: digest of the agent's archive, under which it lies in the ledger bucket.
        longest: how many bytes the cloud takes.

    Raises:
        InputError: the script is larger than the cloud takes, which only a long ``command`` can make it.
    """
    carried = (("spotkeeper", "node/bootstrap.py"), *_FILES[config["ledger"].partition(":")[0]])
    script = _SCRIPT.format(
        fleet=config["fleet"],
        files="".join(_FILE.format(path=f"{where}/{name}", text=source(where, name)) for where, name in carried),
        config=json.dumps(config, sort_keys=True),
        sha256=sha256,
    )
    size = len(script.encode())
    if size > longest:
        raise InputError(
            "command",
            config["command"],
            f"one that is shorter by {size - longest} (the script itself belongs into the image or a bucket)",
            note=f", with which user data is {size} bytes",
        )
    return script
