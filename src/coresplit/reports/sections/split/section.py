"""The section on how to split the machine: which instances, what they gain, what was proven."""

from collections.abc import Sequence

from coresplit.analysis.splits import (
    Choice,
    Proof,
    choices_of,
    leading,
    others_of,
    proofs_of,
    undecided,
)
from coresplit.charts.figure import Caption, Figure
from coresplit.charts.ratio import Point, RatioChart, ratio_spec
from coresplit.format import number
from coresplit.planner import RIVALS, Speedup, explain
from coresplit.records import UNCHECKED, Variant
from coresplit.reports.context import Context
from coresplit.reports.document import Block, Fact, Line, Section, Table
from coresplit.reports.sections.split.drawing import Drawing, drawing_spec
from coresplit.reports.sections.split.points import (
    SHAPES,
    prediction_points,
    prediction_shapes,
    speedup_points,
)
from coresplit.reports.sections.split.published import published_block
from coresplit.reports.sections.split.text import (
    about_profiles,
    briefly,
    drawing_finding,
    error,
    gain,
    instances,
    named_rival,
    prediction_finding,
    seconds,
    spanned,
    speedup_finding,
    verdict,
)
from coresplit.stats.difference import MARGIN
from coresplit.stats.lossy import unchecked_of

COLUMNS = (
    "batch", "run", "optimization", "predicted latency", "inferences/s", "fastest predicted",
    "over fat", "over thin", "doubts", "verified", "measured latency", "prediction error",
)  # fmt: skip
ABOUT_PROOFS = (
    "The split, fat and thin were run in turn as real processes, round by round. A prediction "
    "error of +2 % is a prediction that was slower than what ran."
)


def split_section(context: Context) -> tuple[Section | None, tuple[Fact, ...]]:
    """Drawing, table, speedups and proofs, and the fact to show first; None without a split."""
    choices, proofs = choices_of(context), proofs_of(context.run, context.claims.variance)
    published = published_block(proofs)
    if not choices:
        heading = "How to split this machine"
        return (Section(heading=heading, blocks=published) if published else None), ()
    note = f"{_explained(choices)} {about_profiles(choices, context)}"
    blocks = [_block(choices, context, note)]
    others = others_of(context, choices, proofs)
    blocks += [_block(own, context, _explained(own), variant) for variant, own in others.items()]
    blocks += published
    if predicted := [proof for proof in proofs if proof.predicted]:
        figure = _predictions(predicted, context)
        blocks.append(Block(heading="Predicted and Measured", figures=(figure,), note=ABOUT_PROOFS))
    section = Section(heading="How to split this machine", blocks=tuple(blocks))
    return section, facts_of_splits(choices, context)


def _block(
    choices: tuple[Choice, ...], context: Context, note: str, variant: Variant | None = None
) -> Block:
    """Drawing, speedups and table of the best splits, named after the variant if there is one."""
    points = speedup_points(choices)
    figures = [_drawing(choices, context, variant)]
    figures += [_speedups(choices, points, context, variant)] if points else []
    return Block(
        heading=f"Best Split Per Batch{_with(variant)}",
        figures=tuple(figures),
        tables=(split_table(choices, context),),
        note=note,
    )


def _with(variant: Variant | None, before: str = ", ") -> str:
    return f"{before}{variant}" if variant else ""


def split_table(choices: Sequence[Choice], context: Context) -> Table:
    """What to run at every batch: predicted, and measured where it was verified."""
    cores = choices[0].plan.cores
    lines = tuple(_line(choice, context) for choice in choices)
    summary = f"What to run on {cores} cores at every batch, predicted and verified"
    return Table(summary=summary, head=COLUMNS, lines=lines, sortable=True)


def _line(choice: Choice, context: Context) -> Line:
    plan, best, fastest = choice.plan, choice.plan.recommended, choice.plan.fastest
    measured = choice.outcome.measured.values() if choice.outcome else ()
    ran = next((each for each in measured if each.trial.split == best.split), None)
    unchecked = [UNCHECKED] if plan.variant.optimization in unchecked_of(context.run) else []
    doubts = ", ".join([*best.doubts, *unchecked])
    other = "the same" if fastest.split == best.split else instances(fastest.split)
    texts = (
        str(plan.batch), instances(best.split), str(plan.variant), seconds(best.predicted),
        number(best.throughput), other, *(gain(choice, rival) for rival in RIVALS), doubts,
        verdict(choice), seconds(ran.latency) if ran else "", error(ran) if ran else "",
    )  # fmt: skip
    gains = [choice.speedup(rival) for rival in RIVALS]
    keys = (
        plan.batch, best.split.count, str(plan.variant), best.predicted.value, best.throughput,
        fastest.split.count, *(each.ratio if each else None for each in gains), doubts or None,
        verdict(choice), ran.latency.value if ran else None, ran.error if ran else None,
    )  # fmt: skip
    return Line(
        texts=texts, keys=keys, kind="lossy" if plan.variant.optimization in context.lossy else ""
    )


def _drawing(choices: tuple[Choice, ...], context: Context, variant: Variant | None) -> Figure:
    cores = choices[0].plan.cores
    title = f"{context.model.title}: what to run on {cores} cores at each batch{_with(variant)}"
    alt = f"{context.model.title} Best Split Cores={cores}{_with(variant, ' ')}"
    name = f"split-cores{_with(variant, '-')}"
    caption = Caption(name=name, alt=alt, finding=drawing_finding(choices))
    chart = Drawing(title=title, description=alt, choices=choices)
    return context.figure(caption, title, drawing_spec(chart))


def _speedups(
    choices: Sequence[Choice], points: tuple[Point, ...], context: Context, variant: Variant | None
) -> Figure:
    cores, model = choices[0].plan.cores, context.model.title
    title = f"{model}: expected and actual speedup of the split, {cores} cores{_with(variant)}"
    alt = f"{model} Split Speedup Expected And Actual{_with(variant, ' ')}"
    shapes = {point.shape for point in points}
    key = [("circle", "expected")]
    key += [("hollow", "expected from estimated cells")] if any(p.hollow for p in points) else []
    actual = [(shape, name) for name, shape in SHAPES.items() if shape in shapes]
    key += [(shape, f"actual, {name}") for shape, name in actual]
    chart = RatioChart(
        title=title,
        description=alt,
        unit="speedup of the split (times the other)",
        points=points,
        names={"fat": "over fat", "thin": "over thin"},
        key=tuple(key),
        band=MARGIN,
    )
    name = f"split-speedup{_with(variant, '-')}"
    caption = Caption(name=name, alt=alt, finding=speedup_finding(choices))
    return context.figure(caption, title, ratio_spec(chart))


def _predictions(proofs: Sequence[Proof], context: Context) -> Figure:
    title = f"{context.model.title}: measured latency over predicted latency"
    alt = f"{context.model.title} Split Measured Over Predicted"
    shapes = prediction_shapes(proofs)
    chart = RatioChart(
        title=title,
        description=alt,
        unit="measured over predicted latency",
        points=prediction_points(proofs),
        names={"split": "split", "fat": "fat", "thin": "thin"},
        key=tuple((shape, str(variant)) for variant, shape in shapes.items())
        if len(shapes) > 1
        else (),
        band=MARGIN,
    )
    caption = Caption(name="split-prediction", alt=alt, finding=prediction_finding(proofs))
    return context.figure(caption, title, ratio_spec(chart))


def _explained(choices: Sequence[Choice]) -> str:
    """Where the largest gain over fat comes from, or why there is none."""
    top = leading(choices)
    one = top or choices[-1]
    where, why = f"batch {one.plan.batch} with {one.plan.variant}", explain(one.plan, one.profile)
    if top:
        return f"The largest gain over fat is at {where}. {why}."
    return f"No gain over fat is shown; for {where}, {why[0].lower()}{why[1:]}."


def _predicted(speedup: Speedup, cores: int) -> str:
    """A predicted gain, unless it is more than the cores can give: it is then no number to show."""
    return "predicted" if speedup.ratio > cores else f"predicted {spanned(speedup)}"


def facts_of_splits(choices: Sequence[Choice], context: Context) -> tuple[Fact, ...]:
    """The split that is shown to gain most over fat, or that none is."""
    cores = choices[0].plan.cores
    over = named_rival("fat", cores)
    top = leading(choices)
    found = top.speedup("fat") if top else None
    if top is None or found is None:
        if all(choice.plan.fat is None for choice in choices):
            return ()
        note = f"no split is shown to be faster than {over}"
        open_one = undecided(choices)
        if open_one and context.run.machine is not None:
            command = f"coresplit plan RUN --batch {open_one.plan.batch} --verify"
            note += f"; to find out for batch {open_one.plan.batch}: {command}"
        return (Fact(label="Best split", value="one instance", note=note),)
    plan, actual = top.plan, top.proven("fat")
    proof = f"when run {spanned(actual)}, {verdict(top)}" if actual else "not verified"
    if actual and actual.ratio > cores:
        proof += f" (more than {cores} cores can give: other work may have run beside it)"
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
