"""The advice that ``bench`` prints at the end, at most three lines."""

from collections.abc import Sequence

from coresplit.analysis.view import RunView
from coresplit.commands import bench_again
from coresplit.reports.sections.page_faults import faults_of, outcomes


def advice_of(view: RunView, usable: Sequence[str]) -> tuple[str, ...]:
    """Return the cost of page faults and how another allocator did or how to measure one.

    Empty if page faults cost little. ``usable`` lists the allocators available on this machine.
    The report and doctor say more.
    """
    found = faults_of(view.run.measurements)
    if found is None:
        return ()
    lines = [f"warning: {found.short}"]
    said = outcomes(view)
    left = [name for name in usable if name not in found.tried]
    if said:
        more = f" ({len(said) - 1} more in the report)" if len(said) > 1 else ""
        lines.append(f"  {said[0]}{more}")
    elif left:
        lines.append(f"  to try another allocator: {bench_again(view.shown, allocators=left)}")
    return (*lines, "  more: coresplit doctor, and Page faults in the report")
