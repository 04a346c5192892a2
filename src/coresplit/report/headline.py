"""What a run has found, in two lines, from the facts that its page shows first; pure."""

from coresplit.report.book import Book, Fact
from coresplit.report.choice import facts_of_choice
from coresplit.report.contests import contests_of
from coresplit.report.frame import Frame
from coresplit.report.splits import choices_of
from coresplit.report.splitting import facts_of_splits
from coresplit.report.summary import facts_of


def headlines(frame: Frame) -> tuple[str, ...]:
    """The best split, else the best optimization, and the highest throughput, with intervals.

    Empty for a run without drawable cells.
    """
    choices = choices_of(frame)
    facts = (
        *facts_of_choice(contests_of(frame), frame),
        *(facts_of_splits(choices, frame) if choices else ()),
    )
    book = Book(
        sections=(),
        dataset=frame.dataset,
        claims=frame.claims,
        noise=None,
        groups=frame.groups,
        facts=facts,
    )
    found = facts_of(frame.run, book)
    first = max(0, len(facts) - 1)
    return tuple(map(_line, found[first : len(facts) + 1]))


def _line(fact: Fact) -> str:
    return f"{fact.label}: {fact.value} ({fact.note})"
