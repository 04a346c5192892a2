"""Which optimizations may change results by more than rounding, or were not checked; pure."""

from coresplit.records import UNCHECKED, Prepared, Run


def is_lossy(entry: Prepared) -> bool:
    """True if the instance reported that its optimization may change results beyond rounding."""
    return entry.facts.get("lossy") == "yes"


def states_losses(run: Run) -> bool:
    """True if a run records which of its optimizations are lossy; imported tables do not."""
    return any(isinstance(entry, Prepared) for entry in run.journal)


def lossy_of(run: Run) -> frozenset[str]:
    """The lossy optimizations in the journal of a run."""
    entries = (entry for entry in run.journal if isinstance(entry, Prepared))
    return frozenset(entry.optimization for entry in entries if is_lossy(entry))


def unchecked_of(run: Run) -> dict[str, str]:
    """The optimizations whose outputs could not be checked, each with the reason."""
    return {
        entry.optimization: entry.facts[UNCHECKED]
        for entry in run.journal
        if isinstance(entry, Prepared) and UNCHECKED in entry.facts
    }


def unchecked_text(run: Run) -> str:
    """``outputs not checked (script, trace): they hardly depend on the input``, or empty."""
    by_reason: dict[str, list[str]] = {}
    for name, reason in unchecked_of(run).items():
        by_reason.setdefault(reason, []).append(name)
    return "; ".join(f"{UNCHECKED} ({', '.join(own)}): {why}" for why, own in by_reason.items())
