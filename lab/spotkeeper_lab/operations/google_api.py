"""How Google's services are asked: with application default credentials, as its own libraries are, and in JSON."""

from __future__ import annotations

import json
import logging
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property, partial
from typing import Any

import google.auth
from google.auth.credentials import Credentials
from google.auth.exceptions import DefaultCredentialsError, GoogleAuthError, TransportError
from google.auth.transport.requests import Request

from spotkeeper_lab.operations.account import NoCloud
from spotkeeper_ledger import BoardError, Unavailable
from spotkeeper_ledger.google_token import TokenSource
from spotkeeper_ledger.http import Http, Response
from spotkeeper_ledger.patience import patiently
from spotkeeper_responder.gcp import ComputeError

_SCOPES = ("https://www.googleapis.com/auth/cloud-platform",)
_LOGIN = "run `gcloud auth application-default login`, or set GOOGLE_APPLICATION_CREDENTIALS"
_OK, _TOO_MANY, _FAULT = 200, 429, 500

Json = dict[str, Any]


class ApplicationDefault(TokenSource):
    """Tokens of whomever this machine is set up for: a key file, ``gcloud``'s log-in, or its own service account.

    Args:
        timeout: seconds that one request may take.
    """

    def __init__(self, timeout: float) -> None:
        super().__init__()
        self._request = partial(Request(), timeout=timeout)

    def get(self) -> str:
        """Return a token that is valid now.

        Raises:
            NoCloud: There are no credentials, or Google does not accept them.
            Unavailable: Whoever gives tokens out does not answer.
        """
        try:
            if not self._credentials.valid:
                self._credentials.refresh(self._request)  # type: ignore[no-untyped-call]
        except DefaultCredentialsError as error:
            raise NoCloud(f"no Google credentials: {_LOGIN} ({_said(error)})") from None
        except TransportError as error:
            raise Unavailable(f"Google's tokens: {_said(error)}") from None
        except GoogleAuthError as error:
            raise NoCloud(f"Google does not accept the credentials: {_said(error)}; {_LOGIN}") from None
        return str(self._credentials.token)

    @cached_property
    def _credentials(self) -> Credentials:
        # It warns of what is no matter here: which project is meant says the bucket, and quota is that project's.
        logging.getLogger("google.auth").addHandler(logging.NullHandler())
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found, _ = google.auth.default(scopes=_SCOPES)
        return found


class Api:
    """Requests to one of Google's services, in JSON.

    Args:
        url: where it is.
        tokens: ``None`` sends none.
        timeout: seconds that one request may take, tries in all.
    """

    def __init__(self, url: str, tokens: TokenSource | None, timeout: float) -> None:
        self._http, self._tokens, self._timeout = Http(url, timeout), tokens, timeout

    def call(self, method: str, path: str, body: Json | None = None) -> Json:
        """Make a request, again while its refusal may pass.

        Raises:
            NoCloud: It is refused, or there is no answer.
        """
        with answers():
            return _parsed(patiently(lambda left: self._try(method, path, body, left), self._timeout))

    def wait(self, method: str, path: str, body: Json, seconds: float) -> Json:
        """Make a request that is answered once there is something to tell; nothing where that takes longer.

        Raises:
            NoCloud: It is refused, or the service cannot be reached.
        """
        ends_at = time.monotonic() + seconds
        with answers():
            outcome = self._try(method, path, body, seconds)
            if isinstance(outcome, Response):
                return _parsed(outcome)
            if time.monotonic() < ends_at:
                raise outcome
        return {}

    def _try(self, method: str, path: str, body: Json | None, seconds: float) -> Response | BoardError:
        headers = {} if body is None else {"Content-Type": "application/json"}
        sent = b"" if body is None else json.dumps(body).encode()
        try:
            if self._tokens is not None:
                headers["Authorization"] = f"Bearer {self._tokens.get()}"
            response = self._http.request(method, path, headers, sent, timeout=seconds)
        except Unavailable as error:
            return error
        if response.status == _OK:
            return response
        what = f"{path.partition('?')[0]}: status {response.status} {_reason(response.body)}"
        if response.status == _TOO_MANY or response.status >= _FAULT:
            return Unavailable(what)
        raise NoCloud(what)


@contextmanager
def answers() -> Iterator[None]:
    """Make of whatever our own parts for Google Cloud raise meanwhile a :class:`NoCloud` of one line."""
    try:
        yield
    except (BoardError, ComputeError, LookupError) as error:
        raise NoCloud(str(error).partition("\n")[0]) from None


def _parsed(response: Response) -> Json:
    try:
        found = json.loads(response.body or b"{}")
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise Unavailable("an answer that is no JSON object")
    return found


def _reason(body: bytes) -> str:
    try:
        return str(json.loads(body)["error"]["message"]).partition("\n")[0]
    except (ValueError, KeyError, TypeError):
        return body[:200].decode("utf-8", "replace").partition("\n")[0]


def _said(error: GoogleAuthError) -> str:
    """Return what went wrong, in one line: some of these errors hold more than their text."""
    return str(error.args[0] if error.args else error).strip().partition("\n")[0]
