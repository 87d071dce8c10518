"""The terminate lifecycle hook: the group waits for this node until its lifecycle action is completed, or times out.

Source: Amazon EC2 Auto Scaling API Reference, ``CompleteLifecycleAction`` and ``RecordLifecycleActionHeartbeat``.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from typing import Dict, Optional
from urllib.parse import urlencode

from spotkeeper_agent.logs import log
from spotkeeper_agent.notices import Moment, Notice
from spotkeeper_agent.outbox import Outbox
from spotkeeper_ledger import Denied, Unavailable
from spotkeeper_ledger.credentials import CredentialSource
from spotkeeper_ledger.http import Http
from spotkeeper_ledger.sigv4 import sign

TIMEOUT_SECONDS = 5.0
_HEADERS = {"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"}
_OVER = b"No active Lifecycle Action"
_QUOTE = b"The Canonical String"
"""Where AWS, when it refuses a signature, begins to quote what it was sent: the session's token is among it."""


@dataclass(frozen=True)
class HookName:
    """Which lifecycle action: that of one instance in one group's hook."""

    group: str
    hook: str
    instance: str


class LifecycleHook:
    """Calls on one node's lifecycle action. One that is over already (timed out, completed by another) is no error.

    Args:
        name: which action.
        region: such as ``eu-west-1``. ``AWS_ENDPOINT_URL_AUTO_SCALING`` and ``AWS_ENDPOINT_URL`` are honoured.
        credentials: default environment, then instance role.
    """

    def __init__(self, name: HookName, region: str, credentials: Optional[CredentialSource] = None) -> None:
        self._name, self._region = name, region
        self._url = _endpoint(region)
        self._http = Http(self._url, TIMEOUT_SECONDS)
        self._credentials = credentials or CredentialSource()

    def complete(self) -> None:
        """Let the group go on with the termination."""
        self._call("CompleteLifecycleAction", {"LifecycleActionResult": "CONTINUE"})

    def heartbeat(self) -> None:
        """Start the hook's timeout anew."""
        self._call("RecordLifecycleActionHeartbeat", {})

    def try_to_complete(self) -> None:
        """Find out whether this node may complete this action, on a hook that does not exist: nothing is completed.

        Raises :class:`Denied` where it may not, :class:`Unavailable` where that cannot be told.
        """
        try:
            self.complete()
        except Denied as error:
            if "ValidationError" not in str(error):  # which comes after the right has been found
                raise

    def _call(self, action: str, settings: Dict[str, str]) -> None:
        """Make one call.

        Raises :class:`Unavailable` for what may pass, :class:`Denied` for what AWS refuses.
        """
        query = {
            "Action": action,
            "Version": "2011-01-01",
            "AutoScalingGroupName": self._name.group,
            "LifecycleHookName": self._name.hook,
            "InstanceId": self._name.instance,
            **settings,
        }
        body = urlencode(query).encode()
        keys = self._credentials.get()
        headers = sign("POST", self._url + "/", _HEADERS, body, keys, self._region, "autoscaling", time.time())
        response = self._http.request("POST", "/", headers, body)
        if response.status == 200 or (response.status == 400 and _OVER in response.body):
            return
        body = response.body.partition(_QUOTE)[0][:300]
        said = f"{action}: status {response.status} {body.decode('utf-8', 'replace')}"
        if response.status >= 500 or response.status == 429 or b"Throttl" in response.body:
            raise Unavailable(said)
        raise Denied(said)


class HookWatch:
    """Keeps the hook waiting until the node is done, and completes it once.

    Args:
        outbox: makes the calls.
        heartbeat_seconds: pause between two heartbeats; well below the hook's timeout.
    """

    def __init__(self, outbox: Outbox, heartbeat_seconds: float) -> None:
        self._outbox, self._heartbeat_seconds = outbox, heartbeat_seconds
        self._heartbeat_at: Optional[float] = None
        self._completed = False

    def turn(self, hook: LifecycleHook, notice: Notice, *, saved: bool, gone: bool, now: Moment) -> None:
        """Do what is due for a hook that waits for this node.

        Args:
            hook: that hook.
            notice: why the node goes; its deadline ends all heartbeats.
            saved: whether the checkpoint is confirmed.
            gone: whether the job has stopped here and is another node's to take.
            now: the present.
        """
        if self._completed:
            return
        term_at, kill_at = notice.stop_times()
        if (gone and (saved or now.boot >= term_at)) or now.boot >= kill_at:
            self._completed = True
            log("hook-complete", saved=saved)
            self._outbox.put("hook", hook.complete)
        elif self._heartbeat_at is None or now.boot >= self._heartbeat_at:
            self._heartbeat_at = now.boot + self._heartbeat_seconds
            self._outbox.put("hook", hook.heartbeat)


def _endpoint(region: str) -> str:
    given = os.environ.get("AWS_ENDPOINT_URL_AUTO_SCALING") or os.environ.get("AWS_ENDPOINT_URL")
    domain = f"https://autoscaling.{region}.amazonaws.com" + (".cn" if region.startswith("cn-") else "")
    return (given or domain).rstrip("/")
