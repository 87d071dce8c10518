"""One ``tags`` input for everything: resources, and through them instances and volumes."""

from collections.abc import Mapping
from typing import Any

import pulumi

from spotkeeper.aws.naming import TAG_FLEET, TAG_RESPONDER
from spotkeeper.errors import InputError

Tags = dict[str, str]

MAX_TAGS = 45
"""AWS takes 50 tags; the others are ours."""


def user_tags(tags: pulumi.Input[Mapping[str, pulumi.Input[str]]] | None) -> pulumi.Output[Tags]:
    """Return the ``tags`` input, checked as soon as it is known."""
    return pulumi.Output.from_input(tags or {}).apply(check_tags)


def check_tags(tags: Mapping[str, Any]) -> Tags:
    """Refuse tags that would say something else about a resource than Spotkeeper does."""
    for key in tags:
        if key.startswith(("spotkeeper:", "aws:")):
            raise InputError("tags", key, "a key that starts with neither 'spotkeeper:' nor 'aws:'")
    if len(tags) > MAX_TAGS:
        raise InputError("tags", f"{len(tags)} tags", f"at most {MAX_TAGS}")
    return dict(tags)


def fleet_tags(user: Tags, fleet: str, responder: str) -> Tags:
    """Return the tags of everything that belongs to a fleet; ``Name`` is the fleet's unless the user named it."""
    return {"Name": fleet, **user, TAG_FLEET: fleet, TAG_RESPONDER: responder}


def responder_tags(user: Tags, responder: str) -> Tags:
    """Return the tags of everything that belongs to a responder."""
    return {"Name": responder, **user, TAG_RESPONDER: responder}
