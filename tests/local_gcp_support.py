"""The local Google Cloud in a time that tests move by hand, and its requests in few words.

Every answer is checked by the schema that the discovery document has for it.
"""

from __future__ import annotations

import heapq
import itertools
import json
from collections.abc import Callable, Mapping
from random import Random
from typing import Any
from urllib.parse import urlencode

from spotkeeper_lab.local_gcp import Timing
from spotkeeper_lab.local_gcp.compute import Compute
from spotkeeper_lab.local_gcp.discovery import discovery
from spotkeeper_lab.local_gcp.validation import Validation
from spotkeeper_lab.local_gcp.world import World

REGION, PROJECT = "europe-west4", "local-project"
BASE = f"/compute/v1/projects/{PROJECT}"
GROUPS = f"{BASE}/regions/{REGION}/instanceGroupManagers"
TEMPLATES = f"{BASE}/regions/{REGION}/instanceTemplates"
SPOT = {"provisioningModel": "SPOT", "instanceTerminationAction": "DELETE", "preemptible": True}
Json = Mapping[str, Any]


def template(name: str = "spot", scheduling: Json = SPOT, **properties: Any) -> dict[str, Any]:
    """A template's body."""
    rest = {"disks": [{"boot": True}], "networkInterfaces": [{"network": "global/networks/default"}]}
    return {
        "name": name,
        "properties": {"machineType": "g2-standard-4", **rest, "scheduling": scheduling, **properties},
    }


def group(name: str = "fleet", size: int = 0, shape: str = "ANY", **fields: Any) -> dict[str, Any]:
    """A group's body."""
    return {
        "name": name,
        "baseInstanceName": name,
        "targetSize": size,
        "instanceTemplate": f"regions/{REGION}/instanceTemplates/spot",
        "distributionPolicy": {"targetShape": shape},
        "updatePolicy": {"type": "OPPORTUNISTIC", "instanceRedistributionType": "NONE"},
        **fields,
    }


class Clock:
    """Time that passes when a test says so."""

    def __init__(self) -> None:
        self.now = 0.0
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = itertools.count()

    def after(self, seconds: float, action: Callable[[], None]) -> None:
        heapq.heappush(self._due, (self.now + seconds, next(self._numbers), action))

    def pass_by(self, seconds: float) -> None:
        """Let time pass, and what is due in it happen."""
        until = self.now + seconds
        while self._due and self._due[0][0] <= until + 1e-9:
            self.now, _, action = heapq.heappop(self._due)
            action()
        self.now = until


class Cloud:
    """Compute Engine with a clock; ``moments`` is what its callback was told."""

    def __init__(self, timing: Timing | None = None, random: Random | None = None) -> None:
        self.timing = timing or Timing()
        self.clock = Clock()
        self.moments: list[tuple[float, str, str | None, Json]] = []
        self.compute = Compute(World(self.timing, self.clock, self._tell, PROJECT, random=random or Random()))

    def _tell(self, what: str, node: str | None, /, **details: Any) -> None:
        self.moments.append((self.clock.now, what, node, details))

    def told(self, *whats: str) -> list[tuple[float, str, str | None]]:
        return [(at, what, node) for at, what, node, _ in self.moments if what in whats]

    def ask(self, verb: str, path: str, body: Any = None, **query: Any) -> tuple[int, Any]:
        target = f"{path}?{urlencode(query)}" if query else path
        answer = self.compute.api.answer(verb, target, b"" if body is None else json.dumps(body).encode())
        if answer.status == 200:
            checked(verb, path, answer.body)
        return answer.status, json.loads(json.dumps(answer.body))

    def do(self, verb: str, path: str, body: Any = None, **query: Any) -> Any:
        """A request that must be granted; a change is done when this returns."""
        status, answer = self.ask(verb, path, body, **query)
        assert status == 200, answer
        if answer.get("kind") == "compute#operation" and verb != "GET":
            self.clock.pass_by(self.timing.operation_seconds)
            _, answer = self.ask("GET", answer["selfLink"].removeprefix("https://www.googleapis.com"))
        return answer

    def refused(self, verb: str, path: str, body: Any = None, **query: Any) -> tuple[int, str]:
        """Status and message of a request that must be refused."""
        status, answer = self.ask(verb, path, body, **query)
        assert status != 200, answer
        assert answer["error"]["code"] == status
        return status, answer["error"]["message"]

    def fleet(self, size: int = 0, shape: str = "ANY", scheduling: Json = SPOT, **fields: Any) -> None:
        """A template and a group."""
        self.do("POST", TEMPLATES, template(scheduling=scheduling))
        done = self.do("POST", GROUPS, group(size=size, shape=shape, **fields))
        assert done["status"] == "DONE" and "error" not in done, done

    def managed(self, name: str = "fleet") -> list[Any]:
        found = self.do("POST", f"{GROUPS}/{name}/listManagedInstances").get("managedInstances", [])
        return list(found)

    def size(self, name: str = "fleet") -> int:
        return int(self.do("GET", f"{GROUPS}/{name}")["targetSize"])

    def booted(self) -> list[Any]:
        """The group's instances once they run."""
        self.clock.pass_by(self.timing.boot_seconds)
        found = self.managed()
        assert [one["instanceStatus"] for one in found] == ["RUNNING"] * len(found)
        return found


def checked(verb: str, path: str, answer: Json) -> None:
    """Whether an answer is what the discovery document says that it is."""
    method = discovery().find(verb, path).method
    Validation(discovery()).check(answer, {"$ref": method.response}, "answer", output=True)


def link(one: Json) -> str:
    """The partial URL of a managed instance."""
    return str(one["instance"])[str(one["instance"]).index("zones/") :]
