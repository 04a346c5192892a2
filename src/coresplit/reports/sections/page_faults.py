"""The cost of memory that every forward maps again, and what another allocator changes; pure.

The kernel clears such memory page by page, with a page fault for each page.
"""

from collections.abc import Sequence

import msgspec

from coresplit.analysis.view import RunView
from coresplit.commands import bench_again
from coresplit.format import format_share, percent, some_cells
from coresplit.records import Evidence, Measurement
from coresplit.reports.sections.comparisons import compared, rivalries
from coresplit.reports.sections.scaling.text import counted

KERNEL_SHARE = 0.10
FEWEST_FAULTS = 100
TUNED = "glibc_tuned"
"""The allocator that keeps freed memory and needs no installation."""


class Faults(msgspec.Struct, frozen=True, kw_only=True):
    """Cells in which the kernel took over 10 % of the CPU time, and the worst of them.

    ``share`` is system time over user plus system time of the worst cell. ``tried`` holds the
    allocators that were measured.
    """

    high: int
    cells: int
    share: float
    worst: Measurement
    tried: tuple[str, ...]

    @property
    def short(self) -> str:
        """The CPU time that the kernel took, in one line."""
        return (
            f"the kernel took over {percent(KERNEL_SHARE)} of the CPU time in {self.high} of "
            f"{some_cells(self.cells)}, up to {format_share(self.share)}"
        )


def faults_of(measurements: Sequence[Measurement]) -> Faults | None:
    """The cells that page faults slow down; None if there is none.

    Cells with few page faults do not count: there the kernel wakes threads, and no allocator
    changes that.
    """
    shares: list[tuple[float, Measurement]] = []
    for measurement in measurements:
        evidence = measurement.evidence
        if evidence is not None and evidence.user_s + evidence.system_s > 0:
            share = evidence.system_s / (evidence.user_s + evidence.system_s)
            few = evidence.minor_faults < FEWEST_FAULTS * evidence.forwards
            shares.append((0.0 if few else share, measurement))
    high = sum(share > KERNEL_SHARE for share, _ in shares)
    if not high:
        return None
    share, worst = max(shares, key=lambda pair: pair[0])
    tried = tuple(dict.fromkeys(measurement.cell.allocator for _, measurement in shares))
    return Faults(high=high, cells=len(shares), share=share, worst=worst, tried=tried)


def outcomes(view: RunView) -> tuple[str, ...]:
    """In how many cells each further allocator is faster or slower, one line per allocator."""
    return tuple(
        f"{counted(each.pairs, each.value, each.over, view.claims)}{each.where}"
        for each in rivalries(view, "allocator")
    )


def about_faults(view: RunView) -> tuple[tuple[str, str], ...]:
    """The cost of page faults and the effect of another allocator, or how to try one; or empty."""
    found = faults_of(view.run.measurements)
    if found is None:
        return ()
    evidence = found.worst.evidence
    assert evidence is not None
    text = f"{found.short} in {found.worst.cell}, with {_per_forward(evidence)}."
    said = [
        f"{f'{each.where[2:-1].capitalize()}: ' if each.where else ''}"
        f"{compared(each, each.pairs, view.claims)}"
        for each in rivalries(view, "allocator")
    ]
    if said:
        text += f" {' '.join(said)}"
    elif view.run.machine is not None:
        command = bench_again(view.shown, allocators=[TUNED])
        text += f" To try another allocator: {command}."
    return (("Page faults", f"{text[0].upper()}{text[1:]}"),)


def _per_forward(evidence: Evidence) -> str:
    return f"{evidence.minor_faults // max(evidence.forwards, 1):,} page faults per forward pass"
