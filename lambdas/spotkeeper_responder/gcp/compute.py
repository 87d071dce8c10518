"""Managed instance groups of one region, over the REST API of Compute Engine and the standard library.

Google's own client would make a cold start twelve times longer.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import urlencode, urlsplit
from uuid import uuid4

from spotkeeper_ledger import Unavailable
from spotkeeper_ledger.google_token import TokenSource
from spotkeeper_ledger.http import Http, Response

URL = "https://compute.googleapis.com"
CALL_SECONDS = 4.0
"""How long one request may take."""
PAGE = 500
"""Instances of a group that one request lists: the most that the API gives."""
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.2, 2.0
_OK, _FORBIDDEN, _NOT_FOUND, _CONFLICT, _TOO_MANY, _FAULT = 200, 403, 404, 409, 429, 500
_PASSING = frozenset({"rateLimitExceeded", "userRateLimitExceeded", "resourceNotReady", "operationInProgress"})
"""Reasons of refusals that pass, whatever their status."""

Json = dict[str, Any]


class ComputeError(Exception):
    """The API refused a request.

    Attributes:
        status: of the answer.
        reason: the API's word for it, such as ``notFound``.
    """

    def __init__(self, what: str, status: int, reason: str, message: str) -> None:
        super().__init__(f"{what}: status {status} {reason}: {message}")
        self.status, self.reason = status, reason


class Compute:
    """The methods of regional managed instance groups that are used.

    Args:
        project: id of the project.
        region: such as ``europe-west4``.
        tokens: of the service account that asks; ``None`` sends none, which only a local stand-in takes.
        time_left: seconds until no further try may be begun.
        url: where the API is; default Google's.
        pause: sleeps for seconds.
    """

    def __init__(
        self,
        project: str,
        region: str,
        *,
        tokens: TokenSource | None,
        time_left: Callable[[], float],
        url: str = URL,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        self._groups = f"/compute/v1/projects/{project}/regions/{region}/instanceGroupManagers"
        self._http = Http(url, CALL_SECONDS)
        self._tokens, self._time_left, self._pause = tokens, time_left, pause
        self.calls = 0
        """How many requests have been made so far, repeated ones included."""

    def group(self, name: str) -> Json | None:
        """Return the group, or ``None`` where there is none."""
        try:
            return self._call("GET", f"{self._groups}/{name}")
        except ComputeError as error:
            if error.status == _NOT_FOUND:
                return None
            raise

    def instances(self, name: str) -> Iterator[Json]:
        """Every managed instance of the group, those that are still to be created among them."""
        query = {"maxResults": str(PAGE)}
        while True:
            page = self._call("POST", f"{self._groups}/{name}/listManagedInstances?{urlencode(query)}")
            yield from page.get("managedInstances", ())
            if not page.get("nextPageToken"):
                return
            query["pageToken"] = page["nextPageToken"]

    def resize(self, name: str, size: int) -> None:
        """Set the group's target size. A smaller one lets the group choose who goes: never ask for that."""
        self._call("POST", f"{self._groups}/{name}/resize?{urlencode({'size': size, 'requestId': uuid4()})}")

    def delete_instances(self, name: str, instances: Sequence[str]) -> None:
        """Delete instances of the group, by their URLs; its target size shrinks with them. Gone ones are no error."""
        body = {"instances": [*instances], "skipInstancesOnValidationError": True}
        self._call("POST", f"{self._groups}/{name}/deleteInstances?{urlencode({'requestId': uuid4()})}", body)

    def recreate_instances(self, name: str, instances: Sequence[str]) -> None:
        """Have the group replace instances, by their URLs; its target size stays."""
        query = urlencode({"requestId": uuid4()})
        self._call("POST", f"{self._groups}/{name}/recreateInstances?{query}", {"instances": [*instances]})

    def _call(self, method: str, target: str, body: Mapping[str, Any] | None = None) -> Json:
        """Make a request, again while it fails for reasons that pass and there is time.

        Raises:
            ComputeError: The API refused it for good.
            Unavailable: There was no answer in the time left.
        """
        pause = FIRST_PAUSE_SECONDS
        while True:
            try:
                return self._once(method, target, body)
            except ComputeError as error:
                if not _passes(error) or self._time_left() <= pause:
                    raise
            except Unavailable:
                if self._time_left() <= pause:
                    raise
            self._pause(pause * random.uniform(0.5, 1))  # noqa: S311 - spreads retries, keeps no secret
            pause = min(2 * pause, LONGEST_PAUSE_SECONDS)

    def _once(self, method: str, target: str, body: Mapping[str, Any] | None) -> Json:
        headers = {"Content-Type": "application/json"} if body is not None else {}
        if self._tokens is not None:
            headers["Authorization"] = f"Bearer {self._tokens.get()}"
        sent = b"" if body is None else json.dumps(body).encode()
        self.calls += 1
        response = self._http.request(method, target, headers, sent)
        found = _parsed(response)
        what = f"{method} {urlsplit(target).path.partition('/projects/')[2]}"
        if response.status != _OK:
            error = found.get("error", {})
            reasons = [each.get("reason", "") for each in error.get("errors", ())]
            raise ComputeError(what, response.status, next(iter(reasons), ""), str(error.get("message", ""))[:300])
        if failed := found.get("error", {}).get("errors"):  # an operation that has ended already, in vain
            first = failed[0]
            raise ComputeError(what, response.status, str(first.get("code", "")), str(first.get("message", ""))[:300])
        return found


def _passes(error: ComputeError) -> bool:
    if error.reason in _PASSING:
        return True
    return error.status in (_CONFLICT, _TOO_MANY) or error.status >= _FAULT


def _parsed(response: Response) -> Json:
    try:
        found = json.loads(response.body or b"{}")
    except ValueError:
        found = None
    if isinstance(found, dict):
        return found
    if response.status == _OK:
        raise Unavailable("Compute Engine: an answer that is no JSON object")
    return {}
