"""What a fleet tells Pulumi of itself, so that whoever reads a preview sees what a change is about."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from spotkeeper.fleet import FleetPlan


def declared(plan: FleetPlan, args: Mapping[str, Any]) -> dict[str, Any]:
    """Return the inputs that are recorded with a fleet's component: checked, defaults filled in, all known at once.

    Nothing is made of them. In a preview the spec is unknown where a resource that it names changes; these are not, so
    that ``spotkeeper review`` and people can tell what a deploy does to the running job.

    Args:
        plan: the fleet's checked inputs.
        args: the same as they were given; what is an output there is left out, or the fleet would wait for it.
    """
    checkpoint_uri = args.get("checkpoint_uri")
    return {
        "checkpointUri": checkpoint_uri if isinstance(checkpoint_uri, str) else None,
        "nodes": plan.nodes,
        "onDemandBase": plan.base,
        "onDemandMax": plan.maximum,
        "maxOnDemandHours": plan.max_on_demand_hours,
        "policy": plan.policy.name,
        "policyWaitSeconds": plan.policy.wait_seconds,
        "deadline": _given(plan.deadline),
        "gang": plan.gang,
        "elastic": _given(plan.elastic),
        "onRebalance": plan.on_rebalance,
        "onUpdate": plan.on_update,
        "onDestroy": plan.on_destroy,
        "timings": asdict(plan.timings),
    }


def _given(part: Any) -> dict[str, Any] | None:
    if part is None:
        return None
    return {name: value for name, value in vars(part).items() if value not in (None, {}, ())}
