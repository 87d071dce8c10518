"""Which fleets and responders a preview is about, and what it says of each. Pure.

A resource belongs to the component that is its parent, so that a fleet is found also where Pulumi does not tell of the
component itself, which stays the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from spotkeeper_lab.review.preview import CREATE, DELETE, SAME, Preview, State, Step, kind_of, known, name_of, number
from spotkeeper_ledger.codec import MalformedDocument, load
from spotkeeper_ledger.documents import FleetSpec

FLEETS: Mapping[str, str] = {
    "spotkeeper:index:AwsTrainingFleet": "aws",
    "spotkeeper:index:GcpTrainingFleet": "gcp",
}
"""The cloud of each type of fleet."""
RESPONDERS = frozenset({"spotkeeper:index:AwsInterruptionResponder", "spotkeeper:index:GcpInterruptionResponder"})
GROUPS = frozenset({"aws:autoscaling/group:Group", "gcp:compute/regionInstanceGroupManager:RegionInstanceGroupManager"})
TEMPLATES = frozenset(
    {"aws:ec2/launchTemplate:LaunchTemplate", "gcp:compute/regionInstanceTemplate:RegionInstanceTemplate"}
)
OBJECTS = frozenset({"aws:s3/bucketObjectv2:BucketObjectv2", "gcp:storage/bucketObject:BucketObject"})
IDENTITIES = frozenset({"aws:iam/role:Role", "gcp:serviceaccount/account:Account"})
"""What a fleet's nodes act as: its unique id is the fleet's incarnation."""
BUCKETS = frozenset({"aws:s3/bucket:Bucket", "aws:s3/bucketV2:BucketV2", "gcp:storage/bucket:Bucket"})

NUMBERS = frozenset({"nodes", "onDemandBase", "onDemandMax", "maxOnDemandHours", "policyWaitSeconds"})


@dataclass(frozen=True)
class Component:
    """A fleet or a responder, and what is to happen to its parts."""

    urn: str
    own: Step | None
    """Its own step; ``None`` where Pulumi has not told of it, because it stays the same."""
    parts: Sequence[Step]

    @property
    def name(self) -> str:
        """Its name in the program."""
        return name_of(self.urn)

    @property
    def kind(self) -> str:
        """Its type."""
        return kind_of(self.urn)

    def of(self, kinds: frozenset[str], ending: str = "") -> list[Step]:
        """Return the steps of its parts of these types whose names end so."""
        return [step for step in self.parts if step.kind in kinds and step.name.endswith(ending)]

    @property
    def touched(self) -> bool:
        """Whether anything of it changes."""
        own = [self.own] if self.own else []
        return any(step.operation != SAME for step in (*own, *self.parts))


@dataclass(frozen=True)
class Fleet(Component):
    """A fleet before and after the deploy."""

    before: Mapping[str, Any] | None = None
    """Its inputs as deployed, by key of the stack; ``None``: there is none yet, or nobody tells."""
    after: Mapping[str, Any] | None = None
    """Its inputs as they are to be; ``None``: there is to be none any more, or nobody tells."""
    spec_before: FleetSpec | None = None
    spec_after: FleetSpec | None = None
    """As they lie in the ledger, where every value is known."""

    @property
    def cloud(self) -> str:
        """``aws`` or ``gcp``."""
        return FLEETS[self.kind]

    @property
    def id(self) -> str:
        """Its id, as ``spotkeeper status`` takes it; its name where nothing says the id."""
        spec = self.spec_after or self.spec_before
        if spec is not None:
            return spec.fleet
        for step in self.of(OBJECTS, "-spec"):
            state = step.after or step.before
            key = str((state.inputs.get("key") or state.inputs.get("name")) if state else "")
            if key.count("/") == 2:  # fleets/<fleet>/spec.json
                return key.split("/")[1]
        return self.name

    @property
    def created(self) -> bool:
        """Whether it is new."""
        return any(step.operation == CREATE for step in self.of(OBJECTS, "-spec"))

    @property
    def destroyed(self) -> bool:
        """Whether it is deleted."""
        return any(step.operation == DELETE for step in self.of(OBJECTS, "-spec"))

    def change(self, key: str) -> tuple[Any, Any]:
        """Return one of its inputs before and after; ``None`` twice where either is not told."""
        if self.before is None or self.after is None:
            return None, None
        return self.before.get(key), self.after.get(key)

    def ledgers(self) -> tuple[str | None, str | None]:
        """Return the ledger bucket before and after; ``None`` where it is not known, or there is no fleet."""
        steps = self.of(OBJECTS, "-spec")
        if not steps:
            return None, None
        return _bucket(steps[0].before), _bucket(steps[0].after)

    def checkpoint_uris(self) -> tuple[str | None, str | None]:
        """Return where checkpoints lie before and after; ``None`` where it is not known, or there is no fleet."""
        return _checkpoint_uri(self.before, self.spec_before), _checkpoint_uri(self.after, self.spec_after)


def fleets(preview: Preview) -> list[Fleet]:
    """Return the fleets that the preview tells of, by name."""
    found = []
    for urn, own, parts in _components(preview, frozenset(FLEETS)):
        spec = next((step for step in parts if step.kind in OBJECTS and step.name.endswith("-spec")), None)
        found.append(
            Fleet(
                urn=urn,
                own=own,
                parts=parts,
                before=_inputs(own.before if own else None),
                after=_inputs(own.after if own else None),
                spec_before=_spec(spec.before if spec else None),
                spec_after=_spec(spec.after if spec else None),
            )
        )
    return found


def responders(preview: Preview) -> list[Component]:
    """Return the responders that the preview tells of, by name."""
    return [Component(urn, own, parts) for urn, own, parts in _components(preview, RESPONDERS)]


def bucket_name(step: Step) -> str | None:
    """Return a bucket's name as it is now; ``None`` where it is not known."""
    state = step.before or step.after
    if state is None:
        return None
    for where in (state.outputs, state.inputs):
        for key in ("bucket", "name", "id"):
            value = known(where.get(key))
            if isinstance(value, str) and value:
                return value
    return None


def _components(preview: Preview, kinds: frozenset[str]) -> Iterator[tuple[str, Step | None, tuple[Step, ...]]]:
    own = {step.urn: step for step in preview.steps if step.kind in kinds}
    parts: dict[str, list[Step]] = {urn: [] for urn in own}
    for step in preview.steps:
        if kind_of(step.parent) in kinds:
            parts.setdefault(step.parent, []).append(step)
    for urn in sorted(parts, key=name_of):
        yield urn, own.get(urn), tuple(parts[urn])


def _checkpoint_uri(inputs: Mapping[str, Any] | None, spec: FleetSpec | None) -> str | None:
    given = known((inputs or {}).get("checkpointUri"))
    if isinstance(given, str):
        return given
    return spec.checkpoint_uri if spec else None


def _inputs(state: State | None) -> Mapping[str, Any] | None:
    if state is None or "nodes" not in state.inputs:
        return None
    read = {key: number(value) if key in NUMBERS else known(value) for key, value in state.inputs.items()}
    return {key: value for key, value in read.items() if value is not None}


def _spec(state: State | None) -> FleetSpec | None:
    content = known(state.inputs.get("content")) if state else None
    if not isinstance(content, str):
        return None
    try:
        return load(FleetSpec, content.encode())
    except MalformedDocument:
        return None


def _bucket(state: State | None) -> str | None:
    name = known(state.inputs.get("bucket")) if state else None
    return name if isinstance(name, str) else None
