"""What every request meets first: it is counted, may meet a fault, is permitted or not, and goes to its service."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from spotkeeper_lab.local.calls import CallCounter
from spotkeeper_lab.local.faults import THROTTLED, Call, CallFaults
from spotkeeper_lab.local_gcp import permissions, storage_xml
from spotkeeper_lab.local_gcp.api import Api
from spotkeeper_lab.local_gcp.buckets import Buckets
from spotkeeper_lab.local_gcp.callers import caller_of
from spotkeeper_lab.local_gcp.discovery import discovery
from spotkeeper_lab.local_gcp.iam import Iam
from spotkeeper_lab.local_gcp.refusals import Refused
from spotkeeper_lab.local_gcp.services import Services
from spotkeeper_lab.local_gcp.storage_json import StorageJson
from spotkeeper_lab.local_gcp.web import Reply, Request, reply
from spotkeeper_lab.local_gcp.world import PROJECT_NUMBER

SERVICES = frozenset({"compute", "pubsub", "storage"})
"""Those that refuse calls as throttled, or with an internal error, when a fault says so."""
_STORAGE = ("/storage/v1/", "/upload/storage/v1/", "/download/storage/v1/", "/resumable/upload/storage/v1/")
_COMPUTE = "/compute/v1/"
_NEWER = ("/v1/", "/v2/", "/v3/")


@dataclass(frozen=True)
class _Meant:
    """What a request means."""

    operation: str
    answer: Callable[[], Reply]
    bucket: str = ""
    name: str = ""
    prefix: str = ""


class Front:
    """Takes requests to their services.

    Args:
        api: Compute Engine.
        buckets: what Cloud Storage has.
        storage: its JSON API.
        services: the newer ones.
        iam: roles of the project's own.
        calls: where every call is counted, refused ones as well.
        faults: what goes wrong with calls.
        account_of: returns the address of the service account that an access token is of, where its permissions count;
            empty for all others, who may do everything.
        project: its id, which a path may name by its number.
    """

    def __init__(
        self,
        api: Api,
        buckets: Buckets,
        storage: StorageJson,
        services: Services,
        iam: Iam,
        calls: CallCounter,
        faults: CallFaults[Reply],
        account_of: Callable[[str], str],
        project: str,
    ) -> None:
        self._api, self._buckets, self._storage, self._services = api, buckets, storage, services
        self._xml = storage_xml.StorageXml(buckets)
        self._iam, self._calls, self._faults, self._account_of = iam, calls, faults, account_of
        self._project = project

    def answer(self, request: Request) -> Reply:
        """Answer a request."""
        if request.path.startswith((_COMPUTE, *_NEWER)):
            target = request.target.replace(f"/projects/{PROJECT_NUMBER}/", f"/projects/{self._project}/", 1)
            request = replace(request, target=target)
        caller, refuse = caller_of(request.token), _refusal(request)
        try:
            meant = self._meant(request)
        except Refused as refused:
            self._calls.add(caller, "unknown")
            return refuse(refused)
        self._calls.add(caller, meant.operation)
        service = meant.operation.partition(".")[0]
        path = f"/{meant.bucket}/{meant.name}" if meant.bucket else request.path
        call = Call(caller, service, meant.operation, path, request.body, request.verb)
        if (met := self._faults.meet(call)) is not None:
            return met
        try:
            self._permit(request, meant)
            found = meant.answer()
        except Refused as refused:
            found = refuse(refused)
        self._faults.answered(call, found.status)
        return found

    def _meant(self, request: Request) -> _Meant:
        if request.path.startswith(_COMPUTE):
            method = discovery().find(request.verb, request.path).method

            def compute() -> Reply:
                found = self._api.answer(request.verb, request.target, request.body)
                return reply(found.body, found.status)

            return _Meant(method.id, compute)
        if request.path.startswith(_STORAGE):
            asked = self._storage.asked(request)
            prefix = str(asked.parameters.get("prefix", ""))
            name = self._storage.name(asked)
            return _Meant(asked.method.id, lambda: self._storage.answer(asked), asked.bucket, name, prefix)
        if request.path.startswith(_NEWER):
            _, found = self._services.find(request)
            return _Meant(found.method.id, lambda: self._services.answer(request))
        bucket, name = storage_xml.place(request)
        prefix = request.query.get("prefix", [""])[0]
        return _Meant(storage_xml.operation(request), lambda: self._xml.answer(request), bucket, name, prefix)

    def _permit(self, request: Request, meant: _Meant) -> None:
        account = self._account_of(request.token)
        if not account or not meant.bucket:
            return
        with self._buckets.lock:
            bucket = self._buckets.find(meant.bucket)
            roles: dict[str, Any] = {role["name"]: role.get("includedPermissions", ()) for role in self._iam.roles}
            overwrites = bool(meant.name) and bucket.get(meant.name) is not None
            for permission in permissions.needed(meant.operation, overwrites=overwrites):
                place = meant.bucket, meant.name
                permissions.check(bucket.bindings, account, permission, place, roles, meant.prefix)


def refuse(call: Call, kind: str) -> Reply:
    """Return how a call is refused: too many requests, or an internal error."""
    if kind == THROTTLED:  # Compute Engine calls it forbidden
        status = 403 if call.service == "compute" else 429
        return reply(Refused(status, "rateLimitExceeded", "Rate Limit Exceeded").body(), status)
    return reply(Refused(503, "backendError", "Backend Error").body(), 503)


def _refusal(request: Request) -> Callable[[Refused], Reply]:
    if request.path.startswith((_COMPUTE, *_STORAGE, *_NEWER)):
        return lambda refused: reply(refused.body(), refused.status)
    return storage_xml.refusal
