"""What a fleet with a deadline comes to, and what ``spotkeeper plan`` has found for it. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from spotkeeper_lab.review.finding import code
from spotkeeper_lab.review.fleets import Fleet
from spotkeeper_lab.review.preview import number
from spotkeeper_responder import Deadline

HOUR = 3600.0


class PlanError(ValueError):
    """The text is not what ``spotkeeper plan --json`` prints."""


@dataclass(frozen=True)
class Figures:
    """What ``spotkeeper plan`` has found, of which a reviewer wants to know."""

    work_hours: float
    deadline_hours: float
    nodes: int
    market: str
    policy: str
    saving: float
    """Share of what on-demand alone costs, on average."""
    p5: float
    p95: float
    on_demand: float
    """Dollars."""
    late: int
    windows: int


def read_plan(document: Any) -> Figures:
    """Return the figures of what ``spotkeeper plan --json`` has printed.

    Raises:
        PlanError: It is something else.
    """
    try:
        job, best = document["job"], document["tried"][0]
        return Figures(
            work_hours=job["work_seconds"] / HOUR,
            deadline_hours=job["deadline_seconds"] / HOUR,
            nodes=int(job["nodes"]),
            market=str(document["market"]["name"]),
            policy=str(document["choice"]["policy"]),
            saving=float(best["saving"]),
            p5=float(best["p5"]),
            p95=float(best["p95"]),
            on_demand=float(document["on_demand_cost"]),
            late=int(best["late"]),
            windows=int(best["windows"]),
        )
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise PlanError(f"the plan: {error!r}, expected what `spotkeeper plan … --json` prints") from None


def figures(fleet: Fleet, plan: Figures | None) -> list[str]:
    """Return lines about a fleet's deadline; nothing for a fleet without one, or one that is destroyed."""
    deadline = (fleet.after or {}).get("deadline")
    if not isinstance(deadline, Mapping) or fleet.destroyed:
        return []
    nodes = int((fleet.after or {}).get("nodes") or 1)
    return [_promise(deadline, nodes), _found(deadline, nodes, plan)]


def _promise(deadline: Mapping[str, Any], nodes: int) -> str:
    work, hours, price = (number(deadline.get(name)) for name in ("work_hours", "hours", "on_demand_price"))
    by = f"within {hours:g} h of its first tick" if hours is not None else "by its date"
    if work is None or price is None:
        return f"Deadline: {by}; how much work it is, the job's first progress says."
    restart = (number(deadline.get("restart_seconds")) or 720.0) / HOUR
    alone = price * nodes * (work + restart)
    excess = number(deadline.get("excess"))
    more = Deadline(restart=restart * HOUR, excess=excess).excess_of(price * nodes / HOUR, work * HOUR)
    text = f"Deadline: {work:g} h of work on {nodes} node{'' if nodes == 1 else 's'}, {by}. "
    return f"{text}On-demand alone costs {alone:,.2f}; the policy promises no more than {alone + more:,.2f}."


def _found(deadline: Mapping[str, Any], nodes: int, plan: Figures | None) -> str:
    work, hours, excess = (number(deadline.get(name)) for name in ("work_hours", "hours", "excess"))
    given = [
        f"--work {work:g}h" if work is not None else "--work TIME",
        f"--deadline {hours:g}h" if hours is not None else "--deadline TIME",
        f"--nodes {nodes}",
        *([f"--excess {excess:g}"] if excess is not None else []),
    ]
    command = code(f"spotkeeper plan --market NAME {' '.join(given)} --json")
    if plan is None:
        return f"What spot makes of that: {command}, whose output `--plan` puts here."
    if (plan.work_hours, plan.deadline_hours, plan.nodes) != (work, hours, nodes):
        other = f"{plan.work_hours:g} h of work by {plan.deadline_hours:g} h on {plan.nodes}"
        return f"**The plan at hand is of another job** ({other}): make it anew with {command}."
    low, high = plan.p5 / plan.on_demand, plan.p95 / plan.on_demand
    text = f"`spotkeeper plan` in market {code(plan.market)}: {low:.0%} to {high:.0%} of what on-demand alone costs "
    text += f"(p5 to p95), {plan.saving:.0%} saved on average, late in {plan.late} of {plan.windows} tries; "
    return f"{text}it would take policy {code(plan.policy)}."
