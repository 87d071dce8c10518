"""IAM: service accounts and roles of the project's own. They are kept; ``permissions.py`` is what they come to."""

from __future__ import annotations

import re
from collections.abc import Mapping

from spotkeeper_lab.local_gcp.refusals import invalid, required
from spotkeeper_lab.local_gcp.services import Given, Kept, Method, Policies

_ACCOUNT, _ROLE = re.compile(r"[a-z]([-a-z0-9]{4,28})[a-z0-9]"), re.compile(r"[a-zA-Z0-9_.]{3,64}")


class Iam:
    """The service accounts and roles of a project."""

    def __init__(self) -> None:
        self.accounts, self.roles = Kept(), Kept()
        self._policies = Policies()

    def methods(self) -> Mapping[str, Method]:
        """Return what answers which method."""
        accounts, roles = "iam.projects.serviceAccounts", "iam.projects.roles"
        return {
            **self._policies.methods(accounts, "cloudresourcemanager.projects"),
            f"{accounts}.create": self._create_account,
            f"{accounts}.get": lambda asked, _: self.accounts.get(asked["name"]),
            f"{accounts}.list": lambda asked, _: {"accounts": self.accounts.below(asked["name"])},
            f"{accounts}.patch": lambda asked, body: self.accounts.patch(asked["name"], body.get("serviceAccount", {})),
            f"{accounts}.delete": lambda asked, _: self.accounts.remove(asked["name"]),
            f"{roles}.create": self._create_role,
            f"{roles}.get": lambda asked, _: self.roles.get(asked["name"]),
            f"{roles}.patch": lambda asked, body: self.roles.patch(asked["name"], body),
            f"{roles}.delete": lambda asked, _: self.roles.remove(asked["name"]),
        }

    def _create_account(self, asked: Given, body: Given) -> Given:
        parent, short = asked["name"], str(body.get("accountId", ""))
        if not _ACCOUNT.fullmatch(short):
            raise invalid("accountId", short, f"Must be a match of regex '{_ACCOUNT.pattern}'")
        project = parent.rpartition("/")[2]
        email = f"{short}@{project}.iam.gserviceaccount.com"
        fields = {"projectId": project, "uniqueId": f"{int.from_bytes(email.encode()[:8], 'big'):021}", "email": email}
        return self.accounts.add(f"{parent}/serviceAccounts/{email}", {**body.get("serviceAccount", {}), **fields})

    def _create_role(self, asked: Given, body: Given) -> Given:
        short = str(body.get("roleId", ""))
        if not _ROLE.fullmatch(short):
            raise invalid("roleId", short, f"Must be a match of regex '{_ROLE.pattern}'")
        if "role" not in body:
            raise required("role")
        return self.roles.add(f"{asked['parent']}/roles/{short}", body["role"])
