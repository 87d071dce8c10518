"""How a component registers its outputs: under the names that programs in every language know them by."""

import re
from typing import Any

import pulumi


def outputs_of(component: pulumi.ComponentResource, declared_by: type) -> dict[str, Any]:
    """Return the outputs of a component as Pulumi keeps those of every resource: ``spotGroupName``, not with ``_``.

    Args:
        component: all of whose outputs are set.
        declared_by: the class whose annotations say what is an output.
    """
    return {schema_name(name): getattr(component, name) for name in declared_by.__annotations__}


def schema_name(name: str) -> str:
    """Return the name that an input or output has in the schema: ``subnetIds`` for ``subnet_ids``."""
    return re.sub(r"_([a-z0-9])", lambda found: found.group(1).upper(), name)


def python_name(name: str) -> str:
    """Return the name that an input or output of the schema has in Python: ``subnet_ids`` for ``subnetIds``."""
    return re.sub(r"(?<=[a-z0-9])([A-Z])", r"_\1", name).lower()
