"""What people have to have been told by the end of a rehearsal."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from spotkeeper_lab.evidence import Evidence
from spotkeeper_responder.wording import WORDINGS

ENDS = tuple(WORDINGS["job", state].subject for state in ("finished", "failed"))
"""What is said of a job that is over."""


def _end_was_announced(evidence: Evidence) -> Iterator[str]:
    """A fleet that was given back was first said to be over."""
    subjects = [subject for _, subject in evidence.timeline.announced]
    if evidence.expect.released and not any(end in subject for subject in subjects for end in ENDS):
        yield f"nobody was told that the job is over; announced was: {', '.join(subjects) or 'nothing'}"


CHECKS: Sequence[Callable[[Evidence], Iterator[str]]] = (_end_was_announced,)
"""Everything that is judged here."""
