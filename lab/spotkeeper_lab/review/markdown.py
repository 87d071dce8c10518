"""A review as the Markdown of a comment on a pull request. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from spotkeeper_lab.review.finding import DANGER, INTERRUPTS, NOTE, code
from spotkeeper_lab.review.preview import SAME, Step
from spotkeeper_lab.review.review import Review

MOST = 60_000
"""Characters: GitHub takes 65,536 in a comment."""
MOST_LISTED = 50
"""Most resources that are listed one by one."""
MOST_WARNINGS = 10
SIGNS = {NOTE: "", INTERRUPTS: "🟡 ", DANGER: "🔴 "}
PROBLEM_CHARACTERS = 1500
"""How much of an error is shown: Python's last lines say what it was."""


def markdown(review: Review) -> str:
    """Return the review for people."""
    parts = [f"### Spotkeeper: {code(review.stack or 'preview')}", _headline(review)]
    parts += [_problem(problem) for problem in review.problems]
    for section in review.sections:
        title = f"Fleet {code(section.fleet)}" if section.fleet else "What fleets stand on"
        told = [f"{SIGNS[finding.level]}{finding.text}" for finding in section.findings]
        parts.append("\n".join([f"**{title}**", "", *(f"- {line}" for line in (*told, *section.figures))]))
    if review.warnings:
        parts.append("\n".join(["**Pulumi warns**", "", *_warnings(review.warnings)]))
    if review.gone:
        parts.append(_gone(review.gone))
    parts.append(_counts(review.steps))
    text = "\n\n".join(part for part in parts if part) + "\n"
    return text if len(text) <= MOST else text[:MOST].rpartition("\n")[0] + "\n\n…the rest is left out: too long.\n"


def _headline(review: Review) -> str:
    if review.problems:
        return "> [!CAUTION]\n> **The preview failed**, so that nothing below is complete."
    count = Counter(finding.level for finding in review.findings)
    if count[DANGER]:
        things = "One change is" if count[DANGER] == 1 else f"{count[DANGER]} changes are"
        return f"> [!CAUTION]\n> **{things} dangerous** (🔴): work or records are lost, or nobody answers for a fleet."
    if count[INTERRUPTS]:
        return "> [!WARNING]\n> **Running jobs are interrupted** (🟡), in order: every node that leaves saves first."
    if review.findings:
        return "> [!NOTE]\n> Running jobs go on undisturbed."
    if any(step.operation != SAME for step in review.steps):
        return "> [!NOTE]\n> No fleet and no responder is touched: running jobs go on undisturbed."
    return "> [!NOTE]\n> Nothing changes."


def _problem(problem: str) -> str:
    tail = problem[-PROBLEM_CHARACTERS:].replace("```", "'''")
    return f"```text\n{tail}\n```"


def _warnings(warnings: Sequence[str]) -> list[str]:
    more = len(warnings) - MOST_WARNINGS
    told = [f"- {code(warning, 400)}" for warning in warnings[:MOST_WARNINGS]]
    return [*told, f"- …and {more} more"] if more > 0 else told


def _gone(steps: Sequence[Step]) -> str:
    rows = [
        f"| {step.operation} | {code(step.kind)} | {code(step.name)} | {_reasons(step)} |"
        for step in steps[:MOST_LISTED]
    ]
    more = [f"| … | {len(steps) - MOST_LISTED} more | | |"] if len(steps) > MOST_LISTED else []
    head = ["| | type | name | because of |", "|---|---|---|---|"]
    title = f"<details><summary>{len(steps)} deleted or replaced</summary>"
    return "\n".join([title, "", *head, *rows, *more, "", "</details>"])


def _reasons(step: Step) -> str:
    kept = step.before is not None and step.before.retained
    reasons = ", ".join(code(reason) for reason in step.reasons)
    return "stays in the cloud" if kept else reasons


def _counts(steps: Sequence[Step]) -> str:
    count = Counter(step.operation for step in steps if step.operation != SAME)
    told = ", ".join(f"{number} to {operation}" for operation, number in sorted(count.items())) or "none to change"
    return f"<sub>Resources: {told}. How jobs are right now: `spotkeeper status`.</sub>"
