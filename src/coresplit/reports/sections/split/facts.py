"""The key fact on how to split the machine; pure."""

from collections.abc import Sequence

from coresplit.analysis.splits import Choice, leading, undecided
from coresplit.analysis.view import RunView
from coresplit.commands import plan_command
from coresplit.planner import Speedup
from coresplit.reports.document import Fact
from coresplit.reports.sections.split.text import briefly, named_rival, spanned, verdict


def facts_of_splits(choices: Sequence[Choice], view: RunView) -> tuple[Fact, ...]:
    """The split with the largest significant gain over fat, or that none gains; else empty."""
    if not choices:
        return ()
    cores = choices[0].plan.cores
    over = named_rival("fat", cores)
    top = leading(choices)
    found = top.speedup("fat") if top else None
    if top is None or found is None:
        if all(choice.plan.fat is None for choice in choices):
            return ()
        note = f"no split is shown to be faster than {over}"
        open_one = undecided(choices)
        if open_one and view.run.machine is not None:
            command = plan_command(view.shown, batch=open_one.plan.batch, verify=True)
            note += f"; to find out for batch {open_one.plan.batch}: {command}"
        return (Fact(label="Best split", value="one instance", note=note),)
    plan, actual = top.plan, top.proven("fat")
    proof = f"measured {spanned(actual)}, {verdict(top)}" if actual else "not verified"
    if actual and actual.ratio > cores:
        proof += f" (more than {cores} cores can give, so other work may have disturbed it)"
    gained = _predicted(found, cores)
    guess = ", estimated" if top.guessed("fat") else ""
    guess += ", from cells measured alone" if plan.setting == "isolated" and not actual else ""
    return (
        Fact(
            label=f"Split for batch {plan.batch}",
            value=briefly(plan.fastest.split),
            note=f"{plan.variant}, {gained} as fast as {over}{guess}; {proof}",
        ),
    )


def _predicted(speedup: Speedup, cores: int) -> str:
    """A predicted gain; without its number if that exceeds what the cores can give."""
    return "predicted" if speedup.ratio > cores else f"predicted {spanned(speedup)}"
