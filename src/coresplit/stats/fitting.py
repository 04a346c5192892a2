"""Estimate how the latencies of a run vary, from its visits; pure.

The standard deviations between and within visits are fitted by the method of moments, over all
cells with two visits or more and the anchor; how much cells differ, by maximum likelihood.
"""

import math
import statistics
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import combinations

import msgspec

from coresplit.records import AnchorVisit, Cell, JournalEntry, Measurement, Run
from coresplit.stats.contention import disturbed
from coresplit.stats.student import incomplete_beta, quantile
from coresplit.stats.variance import (
    ASSUMED,
    CONFIDENCE,
    FEWEST_SHELTERED,
    PUBLISHED,
    SMALLEST_SD,
    Prior,
    Variance,
    VisitValue,
    block_pairs,
    median_variance,
    pair_squares,
    sum_of_squares,
    visit_value,
    visit_values,
)

FEWEST_DF = 4.0
"""With fewer degrees of freedom, the variance of a run is assumed instead of estimated."""
MOST_DF = 25.0
"""Cells of a run are never assumed to vary exactly alike: the tails would be too thin."""
PROCESS_LEVEL = 0.05
_PRIOR_DF = (2.0, 3.0, 4.0, 6.0, 8.0, 12.0, 17.0, MOST_DF)
_MOST_STEPS = 30


def variance_of(run: Run) -> Variance:
    """The variance of a run; assumed if the run has too few visits or was imported."""
    imported = run.machine is None or run.measurements
    if imported and all(item.published is not None for item in run.measurements):
        return PUBLISHED
    return fit(run.measurements, run.journal, run.settings.anchor)


def fit(
    measurements: Iterable[Measurement],
    journal: Iterable[JournalEntry] = (),
    anchor: Cell | None = None,
) -> Variance:
    """Estimate the variance of a run from its cells and the visits of its anchor.

    ``anchor`` is the cell of visits that do not name one. Visits of different anchor cells are
    separate groups. Cells with only disturbed visits are ignored.
    """
    cells = {
        item.cell: (visit_values(item), item.by_visit)
        for item in measurements
        if disturbed(item) is None
    }
    groups = [values for values, _ in cells.values() if values]
    visits = [part for values, parts in cells.values() if values for part in parts]
    for parts in anchor_groups(journal, anchor).values():
        groups.append(tuple(map(visit_value, parts)))
        visits += parts
    return fit_values(groups, visits, {cell: values for cell, (values, _) in cells.items()})


def anchor_groups(
    journal: Iterable[JournalEntry], anchor: Cell | None
) -> dict[Cell | None, list[tuple[float, ...]]]:
    """The samples of every anchor visit, by the cell that was visited."""
    found: dict[Cell | None, list[tuple[float, ...]]] = defaultdict(list)
    for entry in journal:
        if isinstance(entry, AnchorVisit) and entry.samples:
            found[entry.cell or anchor].append(entry.samples)
    return found


def fit_values(
    groups: Sequence[Sequence[VisitValue]],
    visits: Iterable[Sequence[float]],
    cells: Mapping[Cell, Sequence[VisitValue]],
    *,
    pairs: bool = True,
) -> Variance:
    """The variance from the visits of every group, their samples, and the cells of the grid.

    Without ``pairs``, skip the prior of differences, which is expensive and not needed during a
    sweep.
    """
    visits = list(visits)
    within = _within(visits)
    repeated = [group for group in groups if len(group) > 1]
    df = float(sum(len(group) - 1 for group in repeated))
    if df < FEWEST_DF:
        return ASSUMED
    total = sum(sum_of_squares([value.log for value in group]) for group in repeated) / df
    shorter = statistics.fmean(
        median_variance(value.forwards) for group in repeated for value in group
    )
    between = math.sqrt(max(total - shorter * within**2, SMALLEST_SD**2))
    found = Variance(
        between=between, within=within, single=_single(visits), process=_process(cells), df=df
    )
    alone = prior_of(
        [
            (
                sum_of_squares(
                    [value.log for value in group],
                    [found.of_visit(value.forwards) for value in group],
                )
                / (len(group) - 1),
                float(len(group) - 1),
            )
            for group in repeated
        ]
    )
    found = msgspec.structs.replace(found, alone=alone)
    paired = _paired_prior(cells, found) if pairs else None
    return msgspec.structs.replace(found, paired=paired or alone)


def _paired_prior(cells: Mapping[Cell, Sequence[VisitValue]], variance: Variance) -> Prior | None:
    """The prior of differences within blocks, over all <threads, batch, setting>."""
    found: list[tuple[float, float]] = []
    total = 0.0
    for members in _places(cells).values():
        each = []
        for first, second in combinations(members, 2):
            pairs = block_pairs(first, second)
            if len(pairs) > 1:
                df = float(len(pairs) - 1)
                each.append((pair_squares(pairs, variance) / df, df))
        if each:
            # every pair may vary by itself, but pairs that share a cell are not independent:
            # n cells have n - 1 independent contrasts
            total += (len(members) - 1) * statistics.fmean(count for _, count in each)
            found += each
    return prior_of(found, total) if total >= FEWEST_DF else None


def prior_of(variances: Sequence[tuple[float, float]], total: float | None = None) -> Prior:
    """The prior of variances, given with their degrees of freedom, by maximum likelihood.

    True variances are assumed to be inverse gamma (Smyth 2004). With the one or two degrees of
    freedom that cells have, likelihood estimates the weight better than moments of the logs do.
    """
    floor = max(1e-4 * statistics.median(square for square, _ in variances), SMALLEST_SD**2)
    found = [(max(square, floor), own) for square, own in variances]
    total = sum(own for _, own in found) if total is None else total
    candidates = [df for df in _PRIOR_DF if df <= total] or [min(total, MOST_DF)]
    fitted = [(_factor(found, df), df) for df in candidates]
    factor, df = max(fitted, key=lambda prior: _likelihood(found, *prior))
    return Prior(factor=factor, df=df, total=total)


def _factor(variances: Sequence[tuple[float, float]], prior_df: float) -> float:
    """The most likely factor of the prior for given degrees of freedom, by iteration."""
    factor = sum(square * own for square, own in variances) / sum(own for _, own in variances)
    for _ in range(_MOST_STEPS):
        before = factor
        # the expected inverse of each true variance, given its estimate (expectation maximization)
        inverse = sum(
            (prior_df + own) / (prior_df * factor + own * square) for square, own in variances
        )
        factor = len(variances) / inverse
        if abs(factor / before - 1) < 1e-3:
            break
    return factor


def _likelihood(variances: Sequence[tuple[float, float]], factor: float, prior_df: float) -> float:
    """Log likelihood of estimated variances, each F distributed about the prior's factor."""
    half = prior_df / 2
    return math.fsum(
        math.lgamma(half + own / 2)
        - math.lgamma(half)
        - math.lgamma(own / 2)
        + (own / 2) * math.log(own / (prior_df * factor))
        + (own / 2 - 1) * math.log(square)
        - (half + own / 2) * math.log1p(own * square / (prior_df * factor))
        for square, own in variances
    )


def _within(visits: Iterable[Sequence[float]]) -> float:
    squares, df = 0.0, 0
    for samples in visits:
        if len(samples) > 1:
            squares += sum_of_squares([math.log(sample) for sample in samples])
            df += len(samples) - 1
    return math.sqrt(squares / df) if df else 0.0


def _single(visits: Iterable[Sequence[float]]) -> float:
    """The 95th percentile of how far single forwards lie from the others of their visit, / 1.96."""
    gaps = sorted(
        abs(math.log(sample / statistics.median([*samples[:place], *samples[place + 1 :]])))
        for samples in visits
        if len(samples) >= FEWEST_SHELTERED
        for place, sample in enumerate(samples)
    )
    if not gaps:
        return 0.0
    return gaps[math.ceil(CONFIDENCE * len(gaps)) - 1] / quantile(CONFIDENCE, math.inf)


def _process(cells: Mapping[Cell, Sequence[VisitValue]]) -> float:
    """Standard deviation between processes of one instance; 0 if none is significant.

    One-way analysis of variance of the differences within blocks, grouped by the processes that
    the two visits ran in, so that changes of the machine cancel. It counts only if processes differ
    more than visits do, at a level of 5 %.
    """
    between = within = df_between = df_within = size = 0.0
    for pairs in _side_by_side(cells):
        parts: dict[tuple[int, int], list[float]] = defaultdict(list)
        for one, other in pairs:
            parts[one.process, other.process].append(one.log - other.log)
        if len(parts) < 2:
            continue
        every = [value for part in parts.values() for value in part]
        mean = statistics.fmean(every)
        between += sum(len(p) * (statistics.fmean(p) - mean) ** 2 for p in parts.values())
        within += sum(map(sum_of_squares, parts.values()))
        df_between += len(parts) - 1
        df_within += len(every) - len(parts)
        changed = sum(
            len({value.process for value in side}) > 1 for side in zip(*pairs, strict=True)
        )
        size += changed * (len(every) - sum(len(p) ** 2 for p in parts.values()) / len(every))
    if df_between < 2 or df_within < FEWEST_DF:
        return 0.0
    error = max(within / df_within, SMALLEST_SD**2)
    ratio = between / df_between / error
    if ratio <= 1 or _f_tail(ratio, df_between, df_within) > PROCESS_LEVEL:
        return 0.0
    return math.sqrt((ratio - 1) * error * df_between / size)


def _side_by_side(
    cells: Mapping[Cell, Sequence[VisitValue]],
) -> Iterator[list[tuple[VisitValue, VisitValue]]]:
    """The pairs of visits of every two cells with the same <threads, batch, setting>."""
    for members in _places(cells).values():
        for first, second in combinations(members, 2):
            yield block_pairs(first, second)


def _places(
    cells: Mapping[Cell, Sequence[VisitValue]],
) -> dict[tuple[int, int, str], list[Sequence[VisitValue]]]:
    places: dict[tuple[int, int, str], list[Sequence[VisitValue]]] = defaultdict(list)
    for cell, values in cells.items():
        if sum(value.block is not None for value in values) > 1:
            places[cell.threads, cell.batch, cell.setting].append(values)
    return places


def _f_tail(ratio: float, above: float, below: float) -> float:
    """Upper tail of the F distribution (Abramowitz & Stegun, 26.6.2)."""
    return incomplete_beta(below / 2, above / 2, below / (below + above * ratio))
