"""The result of a run in two lines, taken from the key facts of its page; pure."""

from coresplit.analysis.ranking import rankings_of
from coresplit.analysis.splits import choices_of
from coresplit.analysis.view import RunView
from coresplit.reports.sections.choice.text import facts_of_choice
from coresplit.reports.sections.facts import highest_throughput
from coresplit.reports.sections.split.facts import facts_of_splits


def headlines(view: RunView) -> tuple[str, ...]:
    """The best split, else the best optimization, and the highest throughput, with intervals.

    Empty for a run without drawable cells.
    """
    if not view.rows:
        return ()
    best = *facts_of_choice(rankings_of(view), view), *facts_of_splits(choices_of(view), view)
    shown = *best[-1:], highest_throughput(view)
    return tuple(f"{fact.label}: {fact.value} ({fact.note})" for fact in shown)
