"""Runs a function's archive as Lambda's Python runtime does.

A program: ``function_runtime.py TASK_DIR LIBRARIES HANDLER``. Invocations come as lines of JSON on standard input
(``id``, ``deadline``, ``event``), answers leave as lines of JSON on what was standard output (``id``, then ``result``
or ``error``); the first line says ``ready``. What the function prints, and its log records as lines of JSON, go to
standard error.

It is started with ``-I -S``, so that nothing is on the path but the standard library, the archive, and the libraries of
the runtime.
"""

from __future__ import annotations

import importlib
import json
import logging
import os
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TextIO


@dataclass(frozen=True)
class Context:
    """What a handler is told about its invocation."""

    aws_request_id: str
    deadline: float
    """Unix seconds."""
    function_name: str = os.environ.get("AWS_LAMBDA_FUNCTION_NAME", "")
    function_version: str = "$LATEST"
    memory_limit_in_mb: str = os.environ.get("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "")
    invoked_function_arn: str = os.environ.get("SPOTKEEPER_FUNCTION_ARN", "")
    log_group_name: str = os.environ.get("AWS_LAMBDA_LOG_GROUP_NAME", "")
    log_stream_name: str = os.environ.get("AWS_LAMBDA_LOG_STREAM_NAME", "")

    def get_remaining_time_in_millis(self) -> int:
        """Return how long the handler may run yet."""
        return max(0, int((self.deadline - time.time()) * 1000))


class JsonLines(logging.Formatter):
    """Log records as Lambda writes them where its log format is JSON."""

    def format(self, record: logging.LogRecord) -> str:
        """Return a record as one line."""
        line = {
            "timestamp": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(record.created)),
            "level": record.levelname,
            "message": record.getMessage(),
            "logger": record.name,
        }
        if record.exc_info:
            line["stackTrace"] = self.formatException(record.exc_info)
        return json.dumps(line)


def described(error: BaseException) -> dict[str, Any]:
    """Return an error as Lambda answers it."""
    trace = traceback.format_exception(error)
    return {"errorType": type(error).__name__, "errorMessage": str(error), "stackTrace": trace}


def load(handler: str) -> Callable[[Any, Context], Any]:
    """Import ``package.module.function`` and return the function."""
    module, _, name = handler.rpartition(".")
    function: Callable[[Any, Context], Any] = getattr(importlib.import_module(module), name)
    return function


def serve(handler: str, requests: TextIO, answers: TextIO) -> None:
    """Answer invocations until there are no more."""

    def say(**answer: Any) -> None:
        answers.write(json.dumps(answer) + "\n")
        answers.flush()

    try:
        function = load(handler)
    except Exception as error:  # noqa: BLE001 - whatever the function does, the runtime answers
        say(error=described(error))
        return
    say(ready=True)
    for line in requests:
        asked = json.loads(line)
        try:
            say(id=asked["id"], result=function(asked["event"], Context(asked["id"], asked["deadline"])))
        except Exception as error:  # noqa: BLE001 - as above
            say(id=asked["id"], error=described(error))
        sys.stdout.flush()


def main(task_dir: str, libraries: str, handler: str) -> None:
    """Set up what Lambda's runtime sets up, then serve."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    sys.path[:0] = [task_dir, libraries]
    log = logging.StreamHandler(sys.stdout)
    log.setFormatter(JsonLines())
    logging.basicConfig(handlers=[log], level=logging.INFO)
    serve(handler, sys.stdin, answers)


if __name__ == "__main__":
    main(*sys.argv[1:])
