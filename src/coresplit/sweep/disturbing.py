"""What the journal is told of a disturbed visit, and who did it."""

import time
from collections.abc import Callable, Collection

from coresplit.records import Cell, Disturbed
from coresplit.stats.contention import Disturbance

Culprit = Callable[[Collection[int]], str]
"""Names the process that used these logical CPUs most, of all where none are given; or is empty."""


def nobody(cpus: Collection[int]) -> str:
    """The culprit where nobody looks."""
    return ""


def disturbed_entry(cell: Cell | None, found: Disturbance, culprit: Culprit) -> Disturbed:
    """The entry for a visit of ``cell``, None for a round of a verification, disturbed just now."""
    cpus = () if found.cpu is None else (found.cpu,)
    return Disturbed(
        at=time.time(),
        cell=cell,
        cause=found.cause,
        cpu=found.cpu,
        share=found.share,
        reason=found.reason,
        by=culprit(cpus) if found.cause in ("process", "sibling") else "",
    )
