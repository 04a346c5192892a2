"""Figures of a load test: over time, latencies by share, rounds and trials; pure."""

import math
from collections.abc import Sequence

from coresplit.charts.curves import LATENCY_LABEL, Axis, Curve, Curves, Span, curves_spec
from coresplit.charts.figure import Caption, Figure
from coresplit.charts.scales import Scale, log_scale, round_step, zero_scale
from coresplit.charts.theme import HEIGHT, WIDTH
from coresplit.format import format_duration
from coresplit.records.load import LoadRun, LoadSearch, LoadSecond

DUE, ANSWERED, FAILED = "#5a6470", "#0072B2", "#D55E00"
P50, P99, MOST = "#009E73", "#0072B2", "#CC79A7"
FIRST, SECOND = "#0072B2", "#E69F00"
_SHARE_LABEL = "datum.value < 1.5 ? '0 %' : format(100 - 100 / datum.value, '~r') + ' %'"
_MOST_NINES = 1e6


def figure(caption: Caption, chart: Curves) -> Figure:
    """A figure that holds its own points."""
    return Figure(
        name=caption.name,
        title=caption.title,
        alt=caption.alt,
        finding=caption.finding,
        spec=curves_spec(chart),
        rows=(),
    )


def rates_over_time(run: LoadRun, caption: Caption) -> Figure:
    """Requests due, answers and failures in every second."""
    seconds = loaded_seconds(run)
    most = max((max(each.due, each.answers, each.failed) for each in seconds), default=1)
    names = [("due", DUE, [each.due for each in seconds])]
    names.append(("answered", ANSWERED, [each.answers for each in seconds]))
    if any(each.failed for each in seconds):
        names.append(("failed", FAILED, [each.failed for each in seconds]))
    return _over_time(
        run,
        caption,
        Axis(title="requests per second", scale=zero_scale(max(most, 1) * 1.05, HEIGHT)),
        [(name, colour, list(map(float, values))) for name, colour, values in names],
    )


def latency_over_time(run: LoadRun, caption: Caption) -> Figure | None:
    """Latency percentiles of the requests due in every second; None if nothing was answered."""
    seconds = loaded_seconds(run)
    found = [
        ("max", MOST, [each.max for each in seconds]),
        ("p99", P99, [each.p99 for each in seconds]),
        ("p50", P50, [each.p50 for each in seconds]),
    ]
    found = [each for each in found if any(each[2])]
    values = [value for _, _, own in found for value in own if value]
    if not values:
        return None
    axis = _latency_axis(values, "latency from the intended start")
    curves = [
        (name, colour, [None if value is None else value * 1e3 for value in own])
        for name, colour, own in found
    ]
    return _over_time(run, caption, axis, curves)


def distribution(runs: Sequence[tuple[LoadRun, str, str]], caption: Caption) -> Figure | None:
    """The latency that each share of the requests stays within.

    ``runs`` holds each run with its name and colour.
    """
    curves = []
    for run, name, colour in runs:
        points = [
            (min(1 / max(1 - share, 1 / _MOST_NINES), _MOST_NINES), value * 1e3)
            for share, value in run.distribution
            if value > 0
        ]
        # the last point is the largest value, with share 1: it is drawn at 1 - 1 / (2 answers)
        most = 2.0 * run.answered
        points = [(min(x, most), y) for x, y in points]
        curves.append(Curve(name=name, colour=colour, points=tuple(points), thin=len(runs) > 2))
    values = [y / 1e3 for curve in curves for _, y in curve.points if y]
    if not values:
        return None
    far = max(x for curve in curves for x, _ in curve.points)
    ticks = tuple(each for each in (1.0, 2.0, 10.0, 100.0, 1e3, 1e4, 1e5, 1e6) if each <= far)
    x = Scale(low=1.0, high=max(far, 2.0) * 1.1, log=True, length=WIDTH, ticks=ticks)
    chart = Curves(
        title=caption.title,
        x=Axis(title="share of the requests", scale=x, labels=_SHARE_LABEL),
        y=_latency_axis(values, "latency"),
        curves=tuple(curves),
    )
    return figure(caption, chart)


def by_round(
    firsts: Sequence[float | None],
    seconds: Sequence[float | None],
    caption: Caption,
    *,
    latency: bool,
) -> Figure | None:
    """One value of both servers in every round."""
    values = [value for value in (*firsts, *seconds) if value]
    if not values:
        return None
    factor = 1e3 if latency else 1.0
    axis = (
        _latency_axis(values, "latency")
        if latency
        else Axis(title="requests per second", scale=zero_scale(max(values) * 1.05, HEIGHT))
    )
    curves = tuple(
        Curve(
            name=name,
            colour=colour,
            points=tuple(
                (float(place), None if value is None else value * factor)
                for place, value in enumerate(own, start=1)
            ),
        )
        for name, colour, own in (("first", FIRST, firsts), ("second", SECOND, seconds))
    )
    x = Axis(title="round", scale=_count_axis(len(firsts)))
    return figure(caption, Curves(title=caption.title, x=x, y=axis, curves=curves))


def trials_of(found: LoadSearch, runs: Sequence[LoadRun], caption: Caption) -> Figure | None:
    """The percentile of every trial by its rate; failed trials are hollow."""
    points = []
    for trial, run in zip(found.trials, runs, strict=False):
        value = within(run.distribution, found.percentile / 100)
        if value:
            points.append((trial.rate, value * 1e3, trial.held))
    if not points:
        return None
    points.sort()
    rates = [rate for rate, _, _ in points]
    scale = log_scale(min(rates), max(rates), WIDTH)
    values = [value / 1e3 for _, value, _ in points]
    y = _latency_axis([*values, found.slo], f"p{found.percentile:g} of the answers")
    chart = Curves(
        title=caption.title,
        x=Axis(title="requests per second", scale=scale),
        y=y,
        curves=(
            Curve(
                name="",
                colour=ANSWERED,
                mark="points",
                points=tuple((rate, value) for rate, value, _ in points),
                hollow=frozenset(i for i, (_, _, held) in enumerate(points) if not held),
            ),
        ),
        levels=((found.slo * 1e3, format_duration(found.slo)),),
    )
    return figure(caption, chart)


def within(distribution: Sequence[tuple[float, float]], share: float) -> float | None:
    """The latency that this share of the requests stays within; None if unknown."""
    return next((value for reached, value in distribution if reached >= share - 1e-12), None)


def _over_time(
    run: LoadRun,
    caption: Caption,
    y: Axis,
    curves: Sequence[tuple[str, str, Sequence[float | None]]],
) -> Figure:
    last = float(max(len(loaded_seconds(run)), 2))
    ticks = zero_scale(last, WIDTH).ticks
    x = Axis(
        title="seconds since the beginning",
        scale=Scale(low=0.0, high=last, log=False, length=WIDTH, ticks=ticks),
    )
    chart = Curves(
        title=caption.title,
        x=x,
        y=y,
        curves=tuple(
            Curve(
                name=name,
                colour=colour,
                points=tuple((at + 0.5, value) for at, value in enumerate(values)),
            )
            for name, colour, values in curves
        ),
        spans=spans_of(run, last),
        shade=Span(low=0.0, high=run.warmup_s, label="warm-up") if run.warmup_s else None,
    )
    return figure(caption, chart)


def loaded_seconds(run: LoadRun) -> tuple[LoadSecond, ...]:
    """The seconds in which requests were due; later seconds only received the last answers."""
    return run.seconds[: max(math.ceil(run.warmup_s + run.window_s - 1e-9), 1)]


def spans_of(run: LoadRun, last: float) -> tuple[Span, ...]:
    """The splits of the server, each from when it was reported until the next one."""
    ends = [*(each.at for each in run.splits[1:]), last][: len(run.splits)]
    return tuple(
        Span(low=each.at, high=end, label=split_text(each.instances, each.split))
        for each, end in zip(run.splits, ends, strict=True)
        if end > each.at
    )


def split_text(instances: int, split: str) -> str:
    """``2 instances``, or the groups if there are several."""
    if split == str(instances):
        return "1 instance" if instances == 1 else f"{instances} instances"
    return split


def _latency_axis(seconds: Sequence[float], title: str) -> Axis:
    low, high = min(seconds) * 1e3, max(seconds) * 1e3
    scale = log_scale(low, max(high, low * 1.5), HEIGHT)
    return Axis(title=title, scale=scale, labels=LATENCY_LABEL)


def _count_axis(count: int) -> Scale:
    step = max(round_step(count / 12), 1)
    ticks = tuple(
        float(each) for each in range(1, count + 1) if (each - 1) % max(int(step), 1) == 0
    )
    return Scale(low=0.5, high=count + 0.5, log=False, length=WIDTH, ticks=ticks)
