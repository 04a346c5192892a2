"""What ``bench`` says in the end: the finding in two lines, and at most three lines of advice."""

import shlex
from collections.abc import Sequence
from pathlib import Path

from coresplit.reports.context import Context
from coresplit.reports.headline import headlines
from coresplit.reports.sections.page_faults import faults_of, outcomes


def findings_of(context: Context, path: Path) -> tuple[str, ...]:
    """What the page of the run says first; ``path`` is put into the commands that it names."""
    there = shlex.quote(str(path))
    return tuple(
        line.replace("coresplit plan RUN ", f"coresplit plan {there} ").replace(
            f"--resume {shlex.quote(context.run.name)} ", f"--resume {there} "
        )
        for line in headlines(context)
    )


def advice_of(context: Context, path: Path, usable: Sequence[str]) -> tuple[str, ...]:
    """What page faults took, and what another allocator did or how to measure one; maybe nothing.

    ``usable`` are the allocators of this machine. The rest is in the report and said by doctor.
    """
    found = faults_of(context.run.measurements)
    if found is None:
        return ()
    lines = [f"warning: {found.short}"]
    said = outcomes(context)
    left = [name for name in usable if name not in found.tried]
    if said:
        more = f" ({len(said) - 1} more in the report)" if len(said) > 1 else ""
        lines.append(f"  {said[0]}{more}")
    elif left:
        command = f"coresplit bench --resume {shlex.quote(str(path))} --allocator {','.join(left)}"
        lines.append(f"  to see what another allocator does: {command}")
    return (*lines, "  more: coresplit doctor, and Page faults in the report")
