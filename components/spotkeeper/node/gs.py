"""Objects of Cloud Storage, read with the instance's service account."""

from __future__ import annotations

import base64
import json
import os
from urllib.parse import quote

from spotkeeper.node.web import request

SUFFIX = ".b64"
"""What names of objects end with: they are text, because Pulumi writes no other ones without a file."""


def token() -> str:
    """Return an access token of the instance's service account from the metadata server."""
    host = os.environ.get("GCE_METADATA_HOST", "169.254.169.254")
    url = f"http://{host}/computeMetadata/v1/instance/service-accounts/default/token"
    return str(json.loads(request("GET", url, {"Metadata-Flavor": "Google"}))["access_token"])


def fetch(bucket: str, key: str, region: str) -> bytes:  # noqa: ARG001 - a bucket is reached everywhere by one name
    """Return what an object holds."""
    emulator = os.environ.get("STORAGE_EMULATOR_HOST", "")
    base = emulator if "://" in emulator else f"http://{emulator}" if emulator else "https://storage.googleapis.com"
    url = f"{base}/storage/v1/b/{bucket}/o/{quote(key + SUFFIX, safe='')}?alt=media"
    return base64.b64decode(request("GET", url, {"Authorization": f"Bearer {token()}"}))
