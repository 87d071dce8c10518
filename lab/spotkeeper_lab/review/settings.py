"""Inputs of a fleet that reach it through its spec, while its job goes on. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from spotkeeper_lab.review.finding import INTERRUPTS, NOTE, Finding, code, count
from spotkeeper_lab.review.fleets import Fleet


def settings(fleet: Fleet) -> list[Finding]:
    """Return what other sizes, limits and answers do to the job."""
    return [*_nodes(fleet), *_base(fleet), *_maximum(fleet), *_hours(fleet), *_answers(fleet)]


def _nodes(fleet: Fleet) -> list[Finding]:
    before, after = fleet.change("nodes")
    if before is None or after is None or before == after:
        return []
    change = f"(`nodes` {before:g} → {after:g})"
    if after > before:
        text = f"**{count(after - before, 'node')} more** {change}: asked for at once. The job goes on"
        joins = "; all nodes train together: it takes them in at its next checkpoint." if _elastic(fleet) else "."
        return [Finding(NOTE, text + joins)]
    text = f"**{count(before - after, 'node')} fewer** {change}: drained by name at the next tick, those that do not "
    text += "run the job first. Each saves, then goes"
    rest = "; the others go on together from that checkpoint." if _elastic(fleet) else "; no other node is disturbed."
    return [Finding(INTERRUPTS, text + rest)]


def _base(fleet: Fleet) -> list[Finding]:
    before, after = fleet.change("onDemandBase")
    if before is None or after is None or before == after:
        return []
    come, go = ("on-demand", "spot") if after > before else ("spot", "on-demand")
    number = count(abs(after - before), "node")
    text = f"`onDemandBase` {before:g} → {after:g}: {number} of {come} more, and as many of {go} drained by name: each "
    return [Finding(INTERRUPTS, f"{text}saves, then goes.")]


def _maximum(fleet: Fleet) -> list[Finding]:
    before, after = fleet.change("onDemandMax")
    as_many_as_nodes = (before, after) == fleet.change("nodes")
    if before is None or after is None or before == after or as_many_as_nodes:
        return []
    text = f"`onDemandMax` {before:g} → {after:g}: the fleet may hold up to {count(after, 'on-demand node')}"
    if after > before:
        return [Finding(NOTE, f"{text}.")]
    return [Finding(INTERRUPTS, f"{text}; what there is beyond is drained by name at the next tick.")]


def _hours(fleet: Fleet) -> list[Finding]:
    before, after = fleet.change("maxOnDemandHours")
    if before == after:
        return []
    change = f"`maxOnDemandHours` {_limit(before)} → {_limit(after)}"
    text = f"{change}: node-hours beyond the base, in the fleet's whole life."
    if after is None or (before is not None and after > before):
        return [Finding(NOTE, text)]
    return [Finding(INTERRUPTS, f"{text} If they are used up already, on-demand is drained at the next tick.")]


def _answers(fleet: Fleet) -> list[Finding]:
    """Inputs that change how the fleet answers from the next tick on, and nothing now."""
    found = []
    for key, text in (
        ("policy", "how a shortfall of spot is answered"),
        ("policyWaitSeconds", "how long `patient` waits for spot"),
        ("onRebalance", "what a rebalance recommendation is answered with"),
        ("onUpdate", "whether the running job gets new versions of its nodes"),
        ("gang", "which nodes may run the job together"),
        ("elastic", "how nodes train together; for nodes that start from now on"),
    ):
        before, after = fleet.change(key)
        if before != after:
            found.append(Finding(NOTE, f"`{key}` {_shown(before)} → {_shown(after)}: {text}."))
    before, after = fleet.change("onDestroy")
    if before != after:
        saves = "does not save" if after == "force" else "saves first"
        text = f"`onDestroy` {_shown(before)} → {_shown(after)}: from now on destroying the fleet {saves}."
        found.append(Finding(NOTE, text))
    for key in ("timings", "deadline"):
        old, new = (each if isinstance(each, Mapping) else {} for each in fleet.change(key))
        names = sorted(name for name in {*old, *new} if old.get(name) != new.get(name))
        if names:
            changes = ", ".join(f"`{name}` {_shown(old.get(name))} → {_shown(new.get(name))}" for name in names)
            found.append(Finding(NOTE, f"`{key}`: {changes}."))
    return found


def _elastic(fleet: Fleet) -> bool:
    return bool((fleet.after or {}).get("elastic"))


def _limit(value: Any) -> str:
    return "no limit" if value is None else f"{value:g}"


def _shown(value: Any) -> str:
    return "none" if value is None else code(f"{value:g}" if isinstance(value, float) else value)
