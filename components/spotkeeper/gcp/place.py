"""Where the caller's provider puts resources: asked of the provider itself, so that components work with any."""

import pulumi
import pulumi_gcp as gcp

from spotkeeper.errors import InputError
from spotkeeper.gcp.naming import Place


def place_of(component: pulumi.ComponentResource) -> pulumi.Output[Place]:
    """Return project and region of the provider that ``component`` was given.

    Raises:
        InputError: (when it is known) the provider has no project or no region.
    """
    opts = pulumi.InvokeOptions(parent=component)
    configured = gcp.organizations.get_client_config_output(opts=opts)
    project = pulumi.Output.from_input(configured.project).apply(lambda known: _given("gcp:project", known))
    number = gcp.organizations.get_project_output(project_id=project, opts=opts).number
    region = pulumi.Output.from_input(configured.region).apply(lambda known: _given("gcp:region", known))
    return pulumi.Output.all(project, number, region).apply(lambda known: Place(*known))


def _given(key: str, value: str | None) -> str:
    if not value:
        raise InputError(key, value or None, "a value in the provider's configuration")
    return value
