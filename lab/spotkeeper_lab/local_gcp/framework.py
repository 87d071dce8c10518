"""What can be imported beside a function's archive: the standard library, and Google's functions framework."""

from __future__ import annotations

import re
from importlib import metadata
from pathlib import Path

from spotkeeper_lab.local_gcp.discovery import EXTRA

FRAMEWORK = "functions-framework"
_REQUIREMENT = re.compile(r"([A-Za-z0-9._-]+)([^;]*)(?:;(.*))?")
LAUNCH = """\
import sys
sys.path[:0] = sys.argv[1:3]
del sys.argv[1:3]
from functions_framework._cli import _cli
_cli()
"""
"""A program: runs the framework with the archive and the libraries of a folder to import from, and nothing else."""


def distributions(name: str = FRAMEWORK) -> list[metadata.Distribution]:
    """Return a distribution and all that it needs, as far as it is installed.

    Raises:
        ModuleNotFoundError: The framework is not installed.
    """
    found: dict[str, metadata.Distribution] = {}
    wanted = [name]
    while wanted:
        one = wanted.pop()
        key = one.lower().replace("_", "-")
        if key in found:
            continue
        try:
            found[key] = metadata.distribution(one)
        except metadata.PackageNotFoundError:
            if one == name:
                raise ModuleNotFoundError(f"{name}: was not found, expected it to be installed ({EXTRA})") from None
            continue  # one that is only needed elsewhere
        for line in found[key].requires or ():
            match = _REQUIREMENT.match(line)
            if match and "extra ==" not in line:
                wanted.append(match[1])
    return list(found.values())


def link(folder: Path) -> None:
    """Make a folder of which only the framework can be imported, and what it needs."""
    folder.mkdir(parents=True)
    for one in distributions():
        tops = {file.parts[0] for file in one.files or () if file.parts and not file.parts[0].startswith((".", "__py"))}
        for top in sorted(tops):
            source = Path(str(one.locate_file(top)))
            if source.exists() and not (folder / top).exists():
                (folder / top).symlink_to(source)
