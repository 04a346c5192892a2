"""The section on how to split the machine: which instances, their gain, and what was verified."""

from collections.abc import Sequence

from coresplit.analysis.splits import (
    Choice,
    Proof,
    leading,
    others_of,
    proofs_of,
)
from coresplit.analysis.view import RunView
from coresplit.charts.figure import Caption, Figure
from coresplit.charts.ratio import Point, RatioChart, ratio_spec
from coresplit.format import number
from coresplit.planner import RIVALS, explain
from coresplit.records import UNCHECKED, Variant
from coresplit.reports.document import Block, Line, Section, Table
from coresplit.reports.figures import Figures
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
    drawing_finding,
    error,
    gain,
    instances,
    prediction_finding,
    seconds,
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
    "The split, fat and thin ran in turn as real processes, round by round. A prediction error of "
    "+2 % means that the predicted latency was 2 % too high."
)


def split_section(choices: tuple[Choice, ...], view: RunView, figures: Figures) -> Section | None:
    """Drawing, table, speedups and verifications; None without a split."""
    proofs = proofs_of(view.run, view.claims.variance)
    blocks = []
    if choices:
        note = f"{_explained(choices)} {about_profiles(choices, view)}"
        blocks.append(_block(choices, view, figures, note))
        others = others_of(view, choices, proofs)
        blocks += [
            _block(own, view, figures, _explained(own), variant) for variant, own in others.items()
        ]
    blocks += published_block(proofs)
    predicted = [proof for proof in proofs if proof.predicted]
    if choices and predicted:
        drawn = (_predictions(predicted, view, figures),)
        blocks.append(Block(heading="Predicted and Measured", figures=drawn, note=ABOUT_PROOFS))
    return Section(heading="How to split this machine", blocks=tuple(blocks)) if blocks else None


def _block(
    choices: tuple[Choice, ...],
    view: RunView,
    figures: Figures,
    note: str,
    variant: Variant | None = None,
) -> Block:
    """Drawing, speedups and table of the best splits, named after the variant if there is one."""
    points = speedup_points(choices)
    drawn = [_drawing(choices, view, figures, variant)]
    drawn += [_speedups(choices, points, view, figures, variant)] if points else []
    return Block(
        heading=f"Best Split Per Batch{_with(variant)}",
        figures=tuple(drawn),
        tables=(split_table(choices, view),),
        note=note,
    )


def _with(variant: Variant | None, before: str = ", ") -> str:
    return f"{before}{variant}" if variant else ""


def split_table(choices: Sequence[Choice], view: RunView) -> Table:
    """What to run at every batch: predicted, and measured if it was verified."""
    cores = choices[0].plan.cores
    lines = tuple(_line(choice, view) for choice in choices)
    summary = f"What to run on {cores} cores at every batch, predicted and verified"
    return Table(summary=summary, head=COLUMNS, lines=lines, sortable=True)


def _line(choice: Choice, view: RunView) -> Line:
    plan, best, fastest = choice.plan, choice.plan.recommended, choice.plan.fastest
    measured = choice.outcome.measured.values() if choice.outcome else ()
    ran = next((each for each in measured if each.trial.split == best.split), None)
    unchecked = [UNCHECKED] if plan.variant.optimization in unchecked_of(view.run) else []
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
        texts=texts, keys=keys, kind="lossy" if plan.variant.optimization in view.lossy else ""
    )


def _drawing(
    choices: tuple[Choice, ...], view: RunView, figures: Figures, variant: Variant | None
) -> Figure:
    cores, model = choices[0].plan.cores, view.model.title
    caption = Caption(
        name=f"split-cores{_with(variant, '-')}",
        title=f"{model}: what to run on {cores} cores at each batch{_with(variant)}",
        alt=f"{model} Best Split Cores={cores}{_with(variant, ' ')}",
        finding=drawing_finding(choices),
    )
    chart = Drawing(title=caption.title, description=caption.alt, choices=choices)
    return figures.figure(caption, drawing_spec(chart))


def _speedups(
    choices: Sequence[Choice],
    points: tuple[Point, ...],
    view: RunView,
    figures: Figures,
    variant: Variant | None,
) -> Figure:
    cores, model = choices[0].plan.cores, view.model.title
    caption = Caption(
        name=f"split-speedup{_with(variant, '-')}",
        title=f"{model}: expected and actual speedup of the split, {cores} cores{_with(variant)}",
        alt=f"{model} Split Speedup Expected And Actual{_with(variant, ' ')}",
        finding=speedup_finding(choices),
    )
    shapes = {point.shape for point in points}
    key = [("circle", "expected")]
    key += [("hollow", "expected from estimated cells")] if any(p.hollow for p in points) else []
    key += [(shape, f"actual, {name}") for name, shape in SHAPES.items() if shape in shapes]
    chart = RatioChart(
        title=caption.title,
        description=caption.alt,
        unit="speedup of the split (times the other)",
        points=points,
        names={"fat": "over fat", "thin": "over thin"},
        key=tuple(key),
        band=MARGIN,
    )
    return figures.figure(caption, ratio_spec(chart))


def _predictions(proofs: Sequence[Proof], view: RunView, figures: Figures) -> Figure:
    caption = Caption(
        name="split-prediction",
        title=f"{view.model.title}: measured latency over predicted latency",
        alt=f"{view.model.title} Split Measured Over Predicted",
        finding=prediction_finding(proofs),
    )
    shapes = [(shape, str(variant)) for variant, shape in prediction_shapes(proofs).items()]
    chart = RatioChart(
        title=caption.title,
        description=caption.alt,
        unit="measured over predicted latency",
        points=prediction_points(proofs),
        names={"split": "split", "fat": "fat", "thin": "thin"},
        key=tuple(shapes) if len(shapes) > 1 else (),
        band=MARGIN,
    )
    return figures.figure(caption, ratio_spec(chart))


def _explained(choices: Sequence[Choice]) -> str:
    """Where the largest gain over fat comes from, or why there is none."""
    top = leading(choices)
    one = top or choices[-1]
    where, why = f"batch {one.plan.batch} with {one.plan.variant}", explain(one.plan, one.profile)
    if top:
        return f"The largest gain over fat is at {where}. {why}."
    return f"No gain over fat is shown; for {where}, {why[0].lower()}{why[1:]}."
