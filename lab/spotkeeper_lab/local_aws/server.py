"""The HTTP server that every part of a rehearsal calls: moto, behind a layer.

The layer counts calls and answers what moto lacks. The server is what moto's ``ThreadedMotoServer`` is, which offers no
place to put a layer in, nor a way to wait for the requests that it still answers when it is stopped.
"""

from __future__ import annotations

import io
import json
import threading
import traceback
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

from botocore.exceptions import UnknownServiceError
from moto.core.common_types import TYPE_RESPONSE
from moto.core.request import Request
from moto.core.routing import get_service_router
from moto.moto_server.werkzeug_app import (
    BackendRequest,
    DomainDispatcherApplication,
    MotoRequestHandler,
    create_backend_app,
)
from werkzeug.exceptions import NotFound
from werkzeug.serving import ThreadedWSGIServer
from werkzeug.wrappers import Response

from spotkeeper_lab.local.calls import CallCounter
from spotkeeper_lab.local.faults import Call, CallFaults
from spotkeeper_lab.local_aws.calls import signer

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

Answers = Callable[[Request], TYPE_RESPONSE]
"""Answers one request in moto's manner: status, headers, body."""

_moto = DomainDispatcherApplication(create_backend_app)  # its routes take long to build, and hold no state

_WAITS = "ReceiveMessage"
"""The one operation that may take its time, so that it must not keep others waiting."""


def operation(environ: Mapping[str, Any], body: bytes, service: str) -> str:
    """Return the name of the operation that a request asks for, by whichever protocol.

    ``Unknown`` where it asks for none that exists.
    """
    target = environ.get("HTTP_X_AMZ_TARGET")
    if target:
        return str(target).rpartition(".")[2]
    if str(environ.get("CONTENT_TYPE", "")).startswith("application/x-www-form-urlencoded"):
        action = parse_qs(body.decode("utf-8", "replace")).get("Action")
        if action:
            return action[0]
    try:
        model, _ = get_service_router(service).match(Request({**environ, "wsgi.input": io.BytesIO(body)}))
    except (NotFound, NotImplementedError, UnknownServiceError):
        return "Unknown"
    return str(model.name)


class Layer:
    """A WSGI application around moto.

    Args:
        calls: where every call is counted, refused ones as well.
        faults: what goes wrong with calls.
        refuse: answers a call to S3 in place of it where the caller must not make it: session token, operation, path,
            query.
        lock: held while a request is answered.
        answers: what answers instead of moto, by the service's signing name.
        afterwards: what is done after an operation of that name, under the lock.
        failed: is told of a request that nobody can answer, by its traceback; the caller gets status 501.
    """

    def __init__(
        self,
        calls: CallCounter,
        faults: CallFaults[Response],
        refuse: Callable[[str, str, str, str], Response | None],
        lock: AbstractContextManager[Any],
        answers: Mapping[str, Answers],
        afterwards: Mapping[str, Callable[[], None]],
        failed: Callable[[str], object],
    ) -> None:
        self._calls = calls
        self._faults = faults
        self._refuse = refuse
        self._lock = lock
        self._answers = answers
        self._afterwards = afterwards
        self._failed = failed

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request."""
        body = _body(environ)
        caller, service = signer(environ.get("HTTP_AUTHORIZATION", ""))
        name = operation(environ, body, service)
        self._calls.add(caller, name)
        call = Call(caller, service, name, environ["PATH_INFO"], body, environ["REQUEST_METHOD"])
        if (refusal := self._faults.meet(call)) is not None:
            return refusal(environ, start_response)
        environ["wsgi.input"], environ["CONTENT_LENGTH"] = io.BytesIO(body), str(len(body))
        statuses: list[str] = []

        def begin(status: str, *rest: Any) -> Callable[[bytes], object]:
            statuses.append(status)
            return start_response(status, *rest)

        with nullcontext() if name == _WAITS else self._lock:
            try:
                token = environ.get("HTTP_X_AMZ_SECURITY_TOKEN", "")
                denied = self._refuse(token, name, call.path, environ["QUERY_STRING"]) if service == "s3" else None
                answer = denied(environ, begin) if denied else self._answer(environ, begin, service)
                if name in self._afterwards:
                    self._afterwards[name]()
            except Exception:  # noqa: BLE001 - moto raises all sorts of things for what it does not implement
                self._failed(traceback.format_exc())
                return _missing(environ, name)(environ, start_response)
        self._faults.answered(call, int(statuses[0].split()[0]))
        return answer

    def _answer(self, environ: WSGIEnvironment, start_response: StartResponse, service: str) -> Iterable[bytes]:
        if service not in self._answers:
            return list(_moto(environ, start_response))
        status, headers, content = self._answers[service](BackendRequest(environ))
        return list(Response(content, status=status, headers=headers)(environ, start_response))


def _missing(environ: WSGIEnvironment, name: str) -> Response:
    """Return the answer to an operation that is not there, which no client tries again."""
    message = f"{name} is not in the local cloud"
    if "HTTP_X_AMZ_TARGET" in environ:
        return Response(json.dumps({"__type": "NotImplemented", "message": message}), status=501)
    error = f"<Error><Code>NotImplemented</Code><Message>{message}</Message></Error>"
    return Response(f"<ErrorResponse>{error}</ErrorResponse>", status=501)


def _body(environ: WSGIEnvironment) -> bytes:
    """Read a whole request, so that a slow client keeps nobody waiting."""
    length = environ.get("CONTENT_LENGTH")
    if length:
        return bytes(environ["wsgi.input"].read(int(length)))
    return bytes(environ["wsgi.input"].read()) if environ.get("wsgi.input_terminated") else b""


class _Handler(MotoRequestHandler):  # type: ignore[misc]  # moto does not check werkzeug's types
    timeout = 10.0  # a client that connects and says nothing must not keep the server from closing

    def log(self, *_: object) -> None:
        """Say nothing: calls are counted."""


class Server:
    """Serves an application on a free port of 127.0.0.1, each request in a thread of its own, until it is closed."""

    def __init__(self, application: Layer) -> None:
        self._server = ThreadedWSGIServer("127.0.0.1", 0, application, _Handler)
        self._server.daemon_threads = False  # so that closing waits for them
        self._thread = threading.Thread(target=self._serve, name="local-aws-server", daemon=True)
        self._thread.start()

    @property
    def endpoint(self) -> str:
        """Where it is reached."""
        return f"http://127.0.0.1:{self._server.port}"

    def close(self) -> None:
        """Stop, and wait for the requests that are being answered."""
        self._server.shutdown()
        self._thread.join()

    def _serve(self) -> None:
        self._server.serve_forever(poll_interval=0.05)
