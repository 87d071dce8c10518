"""Links: the API takes whole addresses and parts of them for the same resource."""

from __future__ import annotations

import re

from spotkeeper_lab.local_gcp.refusals import invalid

_PREFIX = r"(?:https?://[^/]+/)?(?:compute/v1/)?(?:projects/(?P<project>[^/]+)/)?"
_INSTANCE = re.compile(_PREFIX + r"zones/(?P<zone>[a-z0-9-]+)/instances/(?P<name>[a-z0-9-]+)")
_TEMPLATE = re.compile(_PREFIX + r"(?P<scope>global|regions/[a-z0-9-]+)/instanceTemplates/(?P<name>[a-z0-9-]+)")


def instance(link: str, field: str) -> tuple[str, str]:
    """Return zone and name of the instance that a link means.

    Raises:
        Refused: It is no link to an instance.
    """
    match = _INSTANCE.fullmatch(link)
    if match is None:
        raise invalid(field, link, "The URL is malformed.")
    return match["zone"], match["name"]


def template(link: str, project: str, field: str) -> str:
    """Return the path of the template that a link means.

    Raises:
        Refused: It is no link to a template.
    """
    match = _TEMPLATE.fullmatch(link)
    if match is None:
        raise invalid(field, link, "The URL is malformed.")
    return f"projects/{match['project'] or project}/{match['scope']}/instanceTemplates/{match['name']}"


def last(link: str) -> str:
    """Return the name at the end of a link."""
    return link.rpartition("/")[2]
