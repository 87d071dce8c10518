"""A plan in words and tables. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from spotkeeper_lab.simulator.planning import Choice, Plan, Tried
from spotkeeper_lab.simulator.tables import job_text, money

PROMISES = {"deadline": "promises to be in time, and to cost no more than on-demand and the excess"}
"""Which policies promise something."""
ASSUMED = (
    "No trace tells when notices came, or how long held nodes last: notices, starts and boots are as you have stated "
    "them, and spot is as it was then. Starts overlap, so that they are fewer independent tries than they look."
)


def advice(found: Plan) -> RenderableType:
    """Return the answer, what else was tried, and what it is sensitive to."""
    parts: list[RenderableType] = [Text(line) for line in sentences(found)]
    parts[0] = Text(sentences(found)[0], style="bold")
    parts += [
        Text(" "),
        Text("What was tried (on fewer starts)", style="bold"),
        _tried(_worth_showing(found.tried), _mixed(found)),
    ]
    parts += [Text(" "), Text("What it is sensitive to", style="bold"), _sensitivity(found.sensitivity)]
    parts += [Text(" "), Text(ASSUMED, style="dim")]
    return Group(*parts)


def sentences(found: Plan) -> list[str]:
    """Return the answer in words."""
    summary, choice = found.best.summary, found.best.choice
    on_demand = found.comparison.on_demand
    if summary.late and all(tried.summary.late for tried in found.tried):
        first = f"No policy was in time at every start; {choice.policy} missed {summary.late} of {summary.windows}."
    elif not found.worth:
        first = (
            f"Use on-demand, ${money(on_demand)}: the best on spot ({choice.policy}) saves {summary.saving:.0%} on "
            "average, which is not worth its interruptions."
        )
    else:
        first = f"Use {_declared(choice, found)}."
    return [
        f"{job_text(found.job)}: {first}",
        f"It costs ${money(summary.p5)} to {money(summary.p95)} (p5 to p95), ${money(summary.mean)} on average: "
        f"{summary.saving:.0%} below on-demand alone, ${money(on_demand)}.",
        _sure(found),
        *_excursion(found),
    ]


def _declared(choice: Choice, found: Plan) -> str:
    base = f", {choice.base} of {found.job.nodes} nodes always on-demand" if choice.base else ", no on-demand base"
    every = choice.checkpoint_seconds / 60
    allowed = "" if choice.excess is None else f" with an excess of ${money(choice.excess)}"
    where = _zones(choice, _mixed(found))
    return f"policy {choice.policy}{allowed}{base}, in {where}, and save every {every:.0f} minutes"


def _zones(choice: Choice, mixed: bool) -> str:
    """Return the zones, of which the first is written in full, and the types: ``us-east-1a, b (v100)``."""
    zones, types = (tuple(dict.fromkeys(pool.partition("_")[part] for pool in choice.pools)) for part in (0, 2))
    same = all(zone[:-1] == zones[0][:-1] for zone in zones)
    text = ", ".join((zones[0], *(zone[-1] for zone in zones[1:])) if same else zones)
    return f"{text} ({', '.join(types)})" if mixed else text


def _mixed(found: Plan) -> bool:
    """Whether there was more than one type to choose from."""
    return len({pool.partition("_")[2] for tried in found.tried for pool in tried.choice.pools}) > 1


def _sure(found: Plan) -> str:
    summary, choice = found.best.summary, found.best.choice
    if summary.late:
        text = f"It was late at {summary.late} of {summary.windows} starts"
    else:
        text = f"It was in time at all {summary.windows} starts"
    text += f", and dearer than on-demand alone at {summary.dearer}. "
    if choice.policy in PROMISES:
        return f"{text}{choice.policy} {PROMISES[choice.policy]}."
    other = next((each for each in found.comparison.summaries if each.policy == "deadline"), None)
    text += f"{choice.policy} promises nothing: it was in time because these markets let it be."
    if other is not None:
        text += f" deadline, which {PROMISES['deadline']}, would cost ${money(other.mean)} on average."
    return text


def _excursion(found: Plan) -> list[str]:
    if found.excursion:
        return []
    return [
        "The excess does not pay for a try on spot that comes to nothing, so that deadline has to go to on-demand "
        "before the first: allow more (--excess), or make starts and saves quicker."
    ]


def _worth_showing(tried: Sequence[Tried]) -> list[Tried]:
    """Return the best few, and the best of every policy that is not among them."""
    shown = list(tried[:5])
    for each in tried:
        if each.choice.policy not in {other.choice.policy for other in shown}:
            shown.append(each)
    return shown


def _tried(tried: Sequence[Tried], mixed: bool) -> Table:
    table = _table("policy", "excess", "base", "saves every", "mean $", "p5 to p95", "late", "zones")
    for each in tried:
        choice = each.choice
        table.add_row(
            choice.policy,
            "" if choice.excess is None else money(choice.excess),
            f"{choice.base}",
            f"{choice.checkpoint_seconds / 60:.0f} min",
            *_costs(each.summary.mean, each),
            _zones(choice, mixed),
        )
    return table


def _sensitivity(tried: Sequence[Tried]) -> Table:
    table = _table("if", "mean $", "p5 to p95", "late", "against plan")
    for each in tried:
        against = each.summary.mean / tried[0].summary.mean - 1
        table.add_row(each.change, *_costs(each.summary.mean, each), "" if each is tried[0] else f"{against:+.0%}")
    return table


def _costs(mean: float, tried: Tried) -> list[RenderableType]:
    summary = tried.summary
    late = Text(f"{summary.late}/{summary.windows}", style="red" if summary.late else "")
    return [money(mean), f"{summary.p5:,.0f} to {summary.p95:,.0f}", late]


def _table(*heads: str) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), header_style="bold")
    for head in heads:
        words = head in ("policy", "zones", "if")
        table.add_column(head, justify="left" if words else "right", no_wrap=head != "zones", overflow="fold")
    return table
