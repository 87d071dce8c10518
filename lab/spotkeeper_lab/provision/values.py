"""From Pulumi's values to plain ones: whole numbers, no secrets, zipped archives."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping
from typing import Any

import pulumi
from pulumi.runtime import rpc

EPOCH = (1980, 1, 1, 0, 0, 0)
"""The earliest date that a zip can hold: equal files make equal archives."""


def plain(value: Any) -> Any:
    """Return an input as it reaches a provider.

    Secrets are unwrapped, whole numbers are integers, archives are the bytes of a zip.
    """
    if isinstance(value, pulumi.AssetArchive):
        return archive(value)
    if isinstance(value, Mapping):
        if value.get(rpc._special_sig_key) == rpc._special_secret_sig:
            return plain(value["value"])
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value


def archive(value: pulumi.AssetArchive) -> bytes:
    """Return an archive of texts as a zip: files in order of their names, with one date.

    Raises:
        TypeError: It holds something other than texts.
    """
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as zipped:
        for name, item in sorted(value.assets.items()):
            if not isinstance(item, pulumi.StringAsset):
                raise TypeError(f"{name}: was {type(item).__name__}, expected a StringAsset")
            entry = zipfile.ZipInfo(name, EPOCH)
            entry.external_attr = 0o644 << 16
            zipped.writestr(entry, item.text, zipfile.ZIP_DEFLATED)
    return target.getvalue()
