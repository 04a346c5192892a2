"""What the journal is told of a disturbed visit or round, and who did it."""

import time

from coresplit.instance.host import Host
from coresplit.records import Cell, Disturbed
from coresplit.stats.contention import Disturbance


def disturbed_entry(cell: Cell | None, found: Disturbance, host: Host) -> Disturbed:
    """The entry for a visit of ``cell``, None for a round of a verification, disturbed just now."""
    cpus = () if found.cpu is None else (found.cpu,)
    return Disturbed(
        at=time.time(),
        cell=cell,
        cause=found.cause,
        cpu=found.cpu,
        share=found.share,
        reason=found.reason,
        by=host.culprit(cpus) if found.cause in ("process", "sibling") else "",
    )
