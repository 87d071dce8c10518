"""What to say when a framework is not installed."""

from __future__ import annotations


def missing(package: str, extra: str) -> ModuleNotFoundError:
    """Return the error that names the extra which brings ``package``."""
    return ModuleNotFoundError(
        f"{package}: is not installed, expected with `pip install 'spotkeeper[{extra}]'`", name=package
    )
