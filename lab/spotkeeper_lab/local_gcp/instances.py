"""Instances: from a granted creation to the end, by preemption or because somebody said so."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from spotkeeper_lab.local_gcp import template_rules
from spotkeeper_lab.local_gcp.market import SPOT, Place
from spotkeeper_lab.local_gcp.templates import Template
from spotkeeper_lab.local_gcp.world import ROOT, World, now

PROVISIONING, STAGING, RUNNING, STOPPING = "PROVISIONING", "STAGING", "RUNNING", "STOPPING"
RECLAIMED, TERMINATED, POWERED_OFF, KILLED = "reclaimed", "terminated", "powered-off", "killed"
NAMED, CHOSEN, FORCED, REPLACED, BEHIND_ITS_BACK = "named", "chosen", "forced", "replaced", "deleted"
"""Why an instance is deleted: somebody named it; its group had too many and chose it; the group is deleted; the group
is to give it a new life; somebody deleted it without its group."""


@dataclass(eq=False)
class Instance:
    """One life of an instance."""

    id: str
    name: str
    place: Place
    template: Template
    created_by: str
    """Path of its group."""
    created_at: str = field(default_factory=now)
    status: str = PROVISIONING
    """What the API says, which may be late."""
    running: bool = False
    """Whether it has booted and has not ended."""
    noticed: bool = False
    """Whether its metadata says that it is preempted."""
    ending: str = ""
    """How it ends, once that has begun: ``reclaimed``, ``terminated`` (somebody deleted it), ``powered-off`` (its
    operating system did so by itself) or ``killed`` (its host has failed)."""
    ended: bool = False

    @property
    def labels(self) -> Mapping[str, str]:
        """As its template has them."""
        found: Mapping[str, str] = self.template.properties.get("labels", {})
        return found

    @property
    def attributes(self) -> Mapping[str, str]:
        """Its metadata: its template's, and what its group adds."""
        items = self.template.properties.get("metadata", {}).get("items", ())
        given = {str(item["key"]): str(item.get("value", "")) for item in items}
        return {**given, "created-by": self.created_by, "instance-template": self.template.path}

    @property
    def account(self) -> str:
        """Its service account's address, empty where it has none."""
        accounts = self.template.properties.get("serviceAccounts", ())
        return str(accounts[0].get("email", "")) if accounts else ""


class Instances:
    """Runs instances. Called under the world's lock.

    Args:
        started: is told of an instance that runs.
        gone: is told of an instance that the API no longer knows.
    """

    def __init__(self, world: World, started: Callable[[Instance], None], gone: Callable[[Instance], None]) -> None:
        self._world = world
        self._started = started
        self._gone = gone
        self._all: dict[tuple[str, str], Instance] = {}

    def get(self, zone: str, name: str) -> Instance | None:
        """Return an instance that the API knows."""
        return self._all.get((zone, name))

    def all(self) -> Sequence[Instance]:
        """Return all instances that the API knows."""
        return tuple(self._all.values())

    def held(self) -> Sequence[Place]:
        """Return the places of all instances that have not ended."""
        return [one.place for one in self._all.values() if not one.ended]

    def create(self, name: str, place: Place, template: Template, group: str) -> Instance:
        """Create an instance where the market has granted one."""
        instance = Instance(self._world.new_id(), name, place, template, group)
        self._all[place.zone, name] = instance
        self._tell("instance-launched", instance)
        boot = self._world.timing.boot_seconds
        self._world.after(boot / 2, partial(self._stage, instance))
        self._world.after(boot, partial(self._run, instance))
        return instance

    def preempt(self, instance: Instance) -> None:
        """Take a spot instance back: a notice if its template asks for one, the soft off, and the end.

        Raises:
            ValueError: It is no spot instance, or does not run.
        """
        if instance.place.model != SPOT or not instance.running:
            raise ValueError(
                f"{instance.name}: was {instance.status} ({instance.place.model}), expected a running spot VM"
            )
        if instance.noticed or instance.ending:
            return
        instance.noticed = True
        timing = self._world.timing
        notice = timing.notice_seconds if template_rules.notice(instance.template.properties) else 0.0
        self._tell("notice-injected", instance, kind="interruption", notice_seconds=notice)
        self._world.after(notice, partial(self._soft_off, instance, RECLAIMED))

    def stop(self, instance: Instance, why: str) -> None:
        """Delete an instance, with the time that it has for its shutdown; one that has not booted goes at once."""
        if instance.ending:
            return
        instance.status = STOPPING
        self._tell("leaving", instance, why=why)
        self._soft_off(instance, TERMINATED)

    def powered_off(self, instance: Instance) -> None:
        """The operating system of an instance has shut down, by itself or before its time for that was over."""
        if instance.running:
            instance.ending = instance.ending or POWERED_OFF
            self._end(instance)

    def killed(self, instance: Instance) -> None:
        """The host of an instance has failed: it is gone without a word, and the API knows later."""
        if not instance.ended:
            instance.ending = KILLED
            self._end(instance)

    def _stage(self, instance: Instance) -> None:
        if instance.status == PROVISIONING:
            instance.status = STAGING

    def _run(self, instance: Instance) -> None:
        if not instance.ending:
            instance.status, instance.running = RUNNING, True
            self._tell("instance-running", instance)
            self._started(instance)

    def _soft_off(self, instance: Instance, how: str) -> None:
        if instance.ending:
            return
        instance.ending = how
        timing = self._world.timing
        if not instance.running:
            self._end(instance)
            return
        self._tell("soft-off", instance, how=how)
        if how == RECLAIMED:
            self._world.after(timing.status_lag_seconds, partial(self._show_stopping, instance))
        self._world.after(timing.shutdown_seconds, partial(self._end, instance))

    def _show_stopping(self, instance: Instance) -> None:
        instance.status = STOPPING

    def _end(self, instance: Instance) -> None:
        if instance.ended:
            return
        instance.ended, instance.running = True, False
        self._tell(instance.ending, instance)
        late = 0.0 if instance.ending == TERMINATED else self._world.timing.status_lag_seconds
        if late:
            self._world.after(late, partial(self._forget, instance))
        else:
            self._forget(instance)

    def _forget(self, instance: Instance) -> None:
        del self._all[instance.place.zone, instance.name]
        self._gone(instance)

    def _tell(self, what: str, instance: Instance, **details: Any) -> None:
        place = instance.place
        facts = {"id": instance.id, "zone": place.zone, "machine_type": place.machine_type, "model": place.model}
        facts["version"] = instance.template.path.rpartition("/")[2]
        group = instance.created_by.rpartition("/")[2]
        self._world.tell(what, instance.name, group=group, **facts, **details)

    def json(self, instance: Instance) -> Mapping[str, Any]:
        """Return an instance as the API has it."""
        properties, place = instance.template.properties, instance.place
        zone = f"{ROOT}{self._world.path('zones', place.zone)}"
        items = [{"key": key, "value": value} for key, value in instance.attributes.items()]
        copied = {name: properties[name] for name in ("labels", "scheduling", "tags") if name in properties}
        return {
            "kind": "compute#instance",
            "id": instance.id,
            "name": instance.name,
            "status": instance.status,
            "zone": zone,
            "machineType": f"{zone}/machineTypes/{place.machine_type}",
            "creationTimestamp": instance.created_at,
            "selfLink": f"{zone}/instances/{instance.name}",
            "metadata": {"kind": "compute#metadata", "items": items},
            **copied,
        }
