"""What a reviewer is told of a preview. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from spotkeeper_lab.review.checkpoints import shared
from spotkeeper_lab.review.expiry import expiries
from spotkeeper_lab.review.figures import Figures, figures
from spotkeeper_lab.review.finding import LEVELS, NOTE, Finding
from spotkeeper_lab.review.fleets import fleets, responders
from spotkeeper_lab.review.jobs import happenings
from spotkeeper_lab.review.preview import DELETE, REPLACE, Preview, Step
from spotkeeper_lab.review.stacks import foundations


@dataclass(frozen=True)
class Section:
    """What concerns one fleet, or what all of them stand on."""

    fleet: str
    """Its id; empty for what all of them stand on."""
    findings: Sequence[Finding]
    figures: Sequence[str] = ()
    """Lines about its deadline."""


@dataclass(frozen=True)
class Review:
    """Everything that a reviewer is told."""

    stack: str
    problems: Sequence[str]
    """Why the preview failed; empty if it did not."""
    sections: Sequence[Section]
    steps: Sequence[Step]
    warnings: Sequence[str] = ()
    """What Pulumi, a provider or a component warns of."""

    @property
    def findings(self) -> list[Finding]:
        """All findings."""
        return [finding for section in self.sections for finding in section.findings]

    @property
    def level(self) -> str:
        """The gravest level of all findings."""
        return max((finding.level for finding in self.findings), key=LEVELS.index, default=NOTE)

    @property
    def gone(self) -> list[Step]:
        """The resources that are deleted or replaced; last those that stay in the cloud all the same."""
        gone = [step for step in self.steps if step.operation in {DELETE, REPLACE}]
        return sorted(gone, key=lambda step: (not step.goes, step.operation == DELETE))

    def plain(self) -> dict[str, Any]:
        """Return it for JSON."""
        return {
            "stack": self.stack,
            "failed": list(self.problems),
            "warnings": list(self.warnings),
            "level": self.level,
            "sections": [
                {
                    "fleet": section.fleet,
                    "findings": [vars(finding) for finding in section.findings],
                    "figures": list(section.figures),
                }
                for section in self.sections
            ],
            "gone": [{"operation": step.operation, "urn": step.urn} for step in self.gone],
        }


def review(preview: Preview, plan: Figures | None = None) -> Review:
    """Return what a reviewer is told of a preview.

    Args:
        preview: what a deploy would do.
        plan: what ``spotkeeper plan`` has found for its fleet with a deadline, where somebody has asked it.
    """
    there, answering = fleets(preview), responders(preview)
    sections = []
    for fleet in there:
        found = _gravest_first([*happenings(fleet), *shared(fleet, there)])
        if found:
            sections.append(Section(fleet.id, found, figures(fleet, plan)))
    common = _gravest_first([*foundations(preview, there, answering), *expiries(preview.steps, there)])
    if common:
        sections.append(Section("", common))
    return Review(preview.stack, preview.problems, sections, preview.steps, preview.warnings)


def _gravest_first(findings: Sequence[Finding]) -> list[Finding]:
    return sorted(findings, key=lambda finding: -LEVELS.index(finding.level))
