"""Who calls the local Google Cloud and is none of its nodes: each has a metadata server that says who it is."""

from __future__ import annotations

import threading

from spotkeeper_lab.local_gcp.callers import token_of
from spotkeeper_lab.local_gcp.metadata import Metadata, MetadataServer, account
from spotkeeper_lab.local_gcp.world import PROJECT_NUMBER


class Accounts:
    """The metadata servers of callers, made when they are first asked for."""

    def __init__(self, project: str) -> None:
        self._project = project
        self._servers: dict[str, MetadataServer] = {}
        self._opening = threading.Lock()

    def host(self, caller: str) -> str:
        """Return where ``caller`` gets its token, as ``GCE_METADATA_HOST`` has it."""
        with self._opening:
            if caller not in self._servers:
                email = f"{caller}@{self._project}.iam.gserviceaccount.com"
                told = {"project/project-id": self._project, "project/numeric-project-id": PROJECT_NUMBER}
                values = {**told, **account(email, token_of(caller))}
                self._servers[caller] = MetadataServer("127.0.0.1", Metadata(values))
            return self._servers[caller].host

    def close(self) -> None:
        """Close them all."""
        for server in self._servers.values():
            server.close()
