"""Accounts, roles of the project's own, and what is asked about the project."""

from __future__ import annotations

from typing import Any

from spotkeeper_lab.provision.gcp.project import Gcp, answers, creates, deletes
from spotkeeper_lab.provision.state import Resource
from spotkeeper_lab.provision.table import Created, Inputs

_ACCOUNT = "gcp:serviceaccount/account:Account"
_ROLE = "gcp:projects/iAMCustomRole:IAMCustomRole"


@creates(_ACCOUNT)
def account(gcp: Gcp, _: str, given: Inputs) -> Created:
    """Create a service account."""
    body = {"accountId": given.take("accountId"), "serviceAccount": given.take_all("displayName", "description")}
    made = gcp.rest.call("POST", f"/v1/projects/{gcp.project}/serviceAccounts", body)
    email = made["email"]
    outputs = {"name": made["name"], "email": email, "uniqueId": made["uniqueId"]}
    return made["name"], {**outputs, "member": f"serviceAccount:{email}", "project": gcp.project}


@creates(_ROLE)
def role(gcp: Gcp, _: str, given: Inputs) -> Created:
    """Create a role."""
    settings = given.take_all("title", "description")
    wanted = {**settings, "includedPermissions": given.take("permissions"), "stage": given.take("stage", "GA")}
    body = {"roleId": given.take("roleId"), "role": wanted}
    made = gcp.rest.call("POST", f"/v1/projects/{gcp.project}/roles", body)
    return made["name"], {"name": made["name"], "deleted": False}


@deletes(_ACCOUNT, _ROLE)
def no_identity(gcp: Gcp, resource: Resource) -> None:
    """Delete an account or a role."""
    gcp.rest.call("DELETE", f"/v1/{resource.id}")


@answers("gcp:organizations/getClientConfig:getClientConfig")
def client_config(gcp: Gcp, _: Inputs) -> dict[str, Any]:
    """What the provider is configured with."""
    where = {"project": gcp.project, "region": gcp.region, "zone": ""}
    return {**where, "id": f"projects/{gcp.project}", "accessToken": "", "defaultLabels": {}}


@answers("gcp:organizations/getProject:getProject")
def project(gcp: Gcp, given: Inputs) -> dict[str, Any]:
    """A project, of which there is one here."""
    asked = given.take("projectId", gcp.project)
    return {"id": f"projects/{asked}", "projectId": asked, "number": gcp.number, "name": asked}
