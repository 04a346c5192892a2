"""Which optimizations may change results by more than rounding; pure."""

from coresplit.records import Prepared, Run


def is_lossy(entry: Prepared) -> bool:
    """Whether an optimization may change results by more than rounding, as its instance said."""
    return entry.facts.get("lossy") == "yes"


def states_losses(run: Run) -> bool:
    """Whether a run tells which of its optimizations are lossy: imported tables do not."""
    return any(isinstance(entry, Prepared) for entry in run.journal)


def lossy_of(run: Run) -> frozenset[str]:
    """The lossy optimizations of a run, as far as its journal tells."""
    entries = (entry for entry in run.journal if isinstance(entry, Prepared))
    return frozenset(entry.optimization for entry in entries if is_lossy(entry))
