"""Which profiles compete and which plan is chosen: one policy for pages, plans and servers."""

from collections.abc import Collection, Iterable

from coresplit.planner.plan import Best, best_plan
from coresplit.planner.profile import Profile
from coresplit.planner.verification import settled
from coresplit.records import JournalEntry
from coresplit.stats.variance import Variance


def lossless(profiles: Iterable[Profile], lossy: Collection[str]) -> tuple[Profile, ...]:
    """The profiles that may be chosen by default: those not known to be lossy."""
    return tuple(each for each in profiles if each.variant.optimization not in lossy)


def select(
    profiles: Iterable[Profile],
    cores: int,
    batch: int,
    *,
    journal: Iterable[JournalEntry],
    variance: Variance,
) -> Best | None:
    """The plan with the fastest predicted recommendation, including the results of verifications.

    None if no profile makes up the batch.
    """
    journal = tuple(journal)
    return best_plan(profiles, cores, batch, lambda made: settled(made, journal, variance))
