"""Reviews: what a deploy would do to running jobs, read from what ``pulumi preview --json`` prints.

``read_preview`` → ``review`` → ``markdown``. Standard library and the ledger's documents only, so that it runs wherever
a stack can be deployed.
"""

from spotkeeper_lab.review.figures import Figures, PlanError, read_plan
from spotkeeper_lab.review.finding import DANGER, INTERRUPTS, LEVELS, NOTE, Finding
from spotkeeper_lab.review.markdown import markdown
from spotkeeper_lab.review.preview import Preview, PreviewError, read_preview
from spotkeeper_lab.review.review import Review, Section, review

__all__ = [
    "DANGER",
    "INTERRUPTS",
    "LEVELS",
    "NOTE",
    "Figures",
    "Finding",
    "PlanError",
    "Preview",
    "PreviewError",
    "Review",
    "Section",
    "markdown",
    "read_plan",
    "read_preview",
    "review",
]
