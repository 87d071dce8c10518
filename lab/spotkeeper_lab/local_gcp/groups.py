"""Managed instance groups: they bring themselves to their size, over time and as far as the market lets them."""

from __future__ import annotations

import string
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from spotkeeper_lab.local_gcp import members as plan
from spotkeeper_lab.local_gcp.instances import CHOSEN, FORCED, NAMED, REPLACED, Instance, Instances
from spotkeeper_lab.local_gcp.market import Market
from spotkeeper_lab.local_gcp.members import CREATING, DELETING, NONE, RECREATING, Member
from spotkeeper_lab.local_gcp.placement import places
from spotkeeper_lab.local_gcp.templates import Template
from spotkeeper_lab.local_gcp.world import ROOT, World, now

_LETTERS = string.ascii_lowercase + string.digits


@dataclass(eq=False)
class Group:
    """One group."""

    path: str
    id: str
    region: str
    fields: dict[str, Any]
    """As the API has them, without what is output only."""
    template: Template
    created_at: str = field(default_factory=now)
    members: list[Member] = field(default_factory=list)
    told: int | None = None
    """The size that was told last."""
    emptied: Callable[[], None] | None = None
    """What is done once a group that is being deleted is empty."""

    @property
    def name(self) -> str:
        """Its name."""
        return str(self.fields["name"])

    def json(self) -> Mapping[str, Any]:
        """Return it as the API has it."""
        region = ROOT + self.path.rsplit("/", 2)[0]
        return {
            **self.fields,
            "kind": "compute#instanceGroupManager",
            "id": self.id,
            "region": region,
            "selfLink": f"{ROOT}{self.path}",
            "instanceGroup": f"{region}/instanceGroups/{self.name}",
            "creationTimestamp": self.created_at,
            "currentActions": plan.summary(self.members),
            "status": {"isStable": plan.stable(self.members)},
        }


class Groups:
    """Keeps groups at their sizes. Called under the world's lock."""

    def __init__(self, world: World, market: Market) -> None:
        self._world = world
        self._market = market
        self.instances = Instances(world, self._started, self._gone)
        self.all: dict[str, Group] = {}
        self._numbers = 0
        self._names: set[str] = set()

    def add(self, group: Group) -> None:
        """Begin to keep a group."""
        self.all[group.path] = group
        self.converge(group)

    def remove(self, group: Group, then: Callable[[], None]) -> None:
        """Delete all instances of a group, and the group after the last of them."""

        def gone() -> None:
            del self.all[group.path]
            then()

        group.emptied = gone
        group.fields["targetSize"] = 0
        self.converge(group)
        self._look_empty(group)

    def converge(self, group: Group) -> None:
        """Do what brings a group to its size."""
        target = int(group.fields["targetSize"])
        if target != group.told:
            group.told = target
            self._world.tell("desired-changed", None, group=group.name, desired=target)
        for member in plan.victims(group.members, target):
            self._delete(group, member, FORCED if group.emptied else CHOSEN)
        for _ in range(target - len(plan.staying(group.members))):
            self._numbers += 1
            group.members.append(Member(self._numbers, self._name(group), "", group.template))
            self._try(group, group.members[-1])

    def delete(self, group: Group, members: Sequence[Member]) -> None:
        """Delete members; the group's size is lower by so many."""
        group.fields["targetSize"] -= len(members)
        for member in members:
            self._delete(group, member, NAMED)
        self.converge(group)

    def recreate(self, members: Sequence[Member], template: Template) -> None:
        """Give members a new life, made from ``template``; the group's size stays."""
        for member in members:
            member.next_template = template
            if member.instance:
                member.action = RECREATING
                self.instances.stop(member.instance, REPLACED)

    def of(self, instance: Instance) -> tuple[Group, Member] | None:
        """Return the group and the member that an instance belongs to."""
        for group in self.all.values():
            for member in group.members:
                if member.instance is instance:
                    return group, member
        return None

    def _name(self, group: Group) -> str:
        while True:
            name = f"{group.fields['baseInstanceName']}-{''.join(self._world.random.choices(_LETTERS, k=4))}"
            if name not in self._names:
                self._names.add(name)
                return name

    def _try(self, group: Group, member: Member) -> None:
        if member.action != CREATING or member.instance or member not in group.members:
            return
        if member.next_template:
            member.template, member.next_template = member.next_template, None
        stays = member.lived and group.fields["instanceLifecyclePolicy"]["onRepair"]["allowChangingZone"] == "NO"
        others = [one for one in group.members if one is not member]
        there, wanted = [one.zone for one in others if one.instance], [one.zone for one in others]
        pinned = member.zone if stays else None
        tried = places(group.fields, member.template.properties, there, wanted, pinned)
        held = self.instances.held()
        refusals = [self._market.ask(place, held) for place in tried]
        for place, refusal in zip(tried, refusals, strict=True):
            if refusal is None:
                member.zone, member.lived = place.zone, True
                member.instance = self.instances.create(member.name, place, member.template, group.path)
                return
        member.zone, member.refusal = tried[0].zone, refusals[0]
        if refusals[0]:
            facts = {"group": group.name, "kind": refusals[0].kind, "code": refusals[0].code, "zone": member.zone}
            self._world.tell("launch-refused", member.name, **facts)
        self._world.after(self._world.timing.retry_seconds, partial(self._try, group, member))

    def _delete(self, group: Group, member: Member, why: str) -> None:
        member.action, member.refusal = DELETING, None
        if member.instance:
            self.instances.stop(member.instance, why)
        else:
            group.members.remove(member)

    def _started(self, instance: Instance) -> None:
        if found := self.of(instance):
            _, member = found
            member.action = NONE if member.action == CREATING else member.action
            member.refusal = None

    def _gone(self, instance: Instance) -> None:
        found = self.of(instance)
        if found is None:
            return
        group, member = found
        if member.action == DELETING:
            group.members.remove(member)
            self._look_empty(group)
            return
        asked = member.action == RECREATING
        member.instance, member.action = None, CREATING
        if group.fields["instanceLifecyclePolicy"]["forceUpdateOnRepair"] == "YES":
            member.next_template = group.template
        delay = 0.0 if asked else self._world.timing.repair_delay_seconds
        self._world.after(delay, partial(self._try, group, member))

    def _look_empty(self, group: Group) -> None:
        if group.emptied and not group.members:
            emptied, group.emptied = group.emptied, None
            emptied()
