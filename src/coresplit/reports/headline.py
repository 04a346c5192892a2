"""What a run has found, in two lines, from the facts that its page shows first; pure."""

from coresplit.analysis.ranking import rankings_of
from coresplit.analysis.splits import choices_of
from coresplit.reports.context import Context
from coresplit.reports.document import Document, Fact
from coresplit.reports.sections.choice.text import facts_of_choice
from coresplit.reports.sections.overview import facts_of
from coresplit.reports.sections.split.section import facts_of_splits


def headlines(context: Context) -> tuple[str, ...]:
    """The best split, else the best optimization, and the highest throughput, with intervals.

    Empty for a run without drawable cells.
    """
    choices = choices_of(context)
    facts = (
        *facts_of_choice(rankings_of(context), context),
        *(facts_of_splits(choices, context) if choices else ()),
    )
    document = Document(
        sections=(),
        chart_points=context.chart_points,
        claims=context.claims,
        noise=None,
        groups=context.groups,
        facts=facts,
    )
    found = facts_of(context.run, document)
    first = max(0, len(facts) - 1)
    return tuple(map(_line, found[first : len(facts) + 1]))


def _line(fact: Fact) -> str:
    return f"{fact.label}: {fact.value} ({fact.note})"
