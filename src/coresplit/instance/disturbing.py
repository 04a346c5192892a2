"""The journal entry for a disturbed visit or round, with the process that disturbed it."""

import time

from coresplit.instance.host import Host
from coresplit.records import Cell, Disturbed
from coresplit.stats.contention import Disturbance


def disturbed_entry(cell: Cell | None, found: Disturbance, host: Host) -> Disturbed:
    """Return the entry for a just disturbed visit of ``cell``; None for a verification round."""
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
