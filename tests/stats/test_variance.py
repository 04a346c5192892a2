"""The variance model: estimated from visits, pooled over cells, moderated for each."""

import math
import random
import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coresplit.records import AnchorVisit, Cell, Measurement, Visit
from coresplit.stats.fitting import MOST_DF, fit
from coresplit.stats.student import incomplete_beta, quantile, two_sided
from coresplit.stats.variance import ASSUMED, Prior, Variance, VisitValue, locate, median_variance


def cell(number: int, optimization: str = "script") -> Cell:
    return Cell(optimization=optimization, threads=1, batch=number)


def measured(
    where: Cell,
    visits: list[list[float]],
    *,
    blocks: list[int] | None = None,
    processes: list[int] | None = None,
) -> Measurement:
    return Measurement(
        cell=where,
        verdict="measured",
        reason="",
        samples=tuple(value for visit in visits for value in visit),
        visits=tuple(
            Visit(
                samples=len(visit),
                block=blocks[number] if blocks else None,
                process=processes[number] if processes else 0,
            )
            for number, visit in enumerate(visits)
        ),
    )


def drawn(
    seed: int, cells: int, visits: int, forwards: int, *, between: float, within: float
) -> list[Measurement]:
    """Cells of one law, in log-normal visits and forwards."""
    rng = random.Random(seed)
    found = []
    for number in range(1, cells + 1):
        levels = [rng.gauss(0, between) for _ in range(visits)]
        found.append(
            measured(
                cell(number),
                [[math.exp(v + rng.gauss(0, within)) for _ in range(forwards)] for v in levels],
            )
        )
    return found


@pytest.mark.parametrize(
    ("t", "df", "expected"),
    [
        (12.706, 1, 0.05),
        (2.776, 4, 0.05),
        (2.060, 25, 0.05),
        (1.960, math.inf, 0.05),
        (3.747, 4, 0.02),
    ],
)
def test_tails_of_t_are_those_of_published_tables(t: float, df: float, expected: float) -> None:
    assert two_sided(t, df) == pytest.approx(expected, rel=2e-3)
    assert quantile(1 - expected, df) == pytest.approx(t, rel=1e-3)


@given(st.floats(0.2, 40), st.floats(0.2, 40), st.floats(0.001, 0.999))
def test_the_incomplete_beta_function_is_symmetric(a: float, b: float, x: float) -> None:
    assert incomplete_beta(a, b, x) == pytest.approx(1 - incomplete_beta(b, a, 1 - x), abs=1e-9)


@pytest.mark.parametrize("count", [1, 2, 3, 5, 8, 15])
def test_the_variance_of_a_median_is_that_of_drawn_normals(count: int) -> None:
    rng = random.Random(count)
    medians = [statistics.median(rng.gauss(0, 1) for _ in range(count)) for _ in range(20_000)]
    assert median_variance(count) == pytest.approx(statistics.pvariance(medians), rel=0.04)


def test_between_and_within_variance_are_told_apart() -> None:
    found = fit(drawn(1, cells=60, visits=5, forwards=5, between=0.05, within=0.02))
    assert found.known
    assert found.between == pytest.approx(0.05, rel=0.15)
    assert found.within == pytest.approx(0.02, rel=0.1)
    assert found.process == 0.0


def test_cells_of_one_law_lend_each_other_their_degrees_of_freedom() -> None:
    assert fit(drawn(2, 60, 4, 3, between=0.03, within=0.01)).alone.df == MOST_DF


def test_cells_that_vary_differently_leave_heavier_tails() -> None:
    calm = drawn(3, cells=30, visits=5, forwards=3, between=0.005, within=0.001)
    wild = drawn(4, cells=30, visits=5, forwards=3, between=0.1, within=0.001)
    wild = [
        measured(cell(100 + number), [list(part) for part in each.by_visit])
        for number, each in enumerate(wild)
    ]
    assert fit([*calm, *wild]).alone.df <= 4


def test_a_cell_that_plainly_varies_more_gets_a_wider_interval() -> None:
    variance = Variance(between=0.01, within=0.0, alone=Prior(df=8))

    def spread(size: float) -> float:
        values = [VisitValue(log=size * step, forwards=3) for step in (-1, 0, 1, -1, 1)]
        return locate(values, variance).error

    assert spread(0.01) == pytest.approx(locate_error(0.01, variance))
    assert spread(0.10) > 4 * spread(0.01)


def locate_error(size: float, variance: Variance) -> float:
    squares = 4 * size**2 / 0.01**2
    factor = (variance.alone.df + squares) / (variance.alone.df + 4)
    return math.sqrt(median_variance(5) * factor) * 0.01


def test_too_few_visits_leave_the_variance_assumed() -> None:
    assert fit([measured(cell(1), [[1.0], [1.1]])]) == ASSUMED
    assert fit([]) == ASSUMED
    assert not ASSUMED.known


def test_the_anchor_alone_can_tell_the_variance() -> None:
    rng = random.Random(5)
    journal = [AnchorVisit(at=0, samples=(math.exp(rng.gauss(0, 0.04)),)) for _ in range(40)]
    found = fit([], journal, cell(1))
    assert found.known
    assert found.between == pytest.approx(0.04, rel=0.3)


def test_anchors_of_different_cells_are_different_groups() -> None:
    first = [AnchorVisit(at=0, cell=cell(1), samples=(1.0 + 0.001 * n,)) for n in range(6)]
    second = [AnchorVisit(at=0, cell=cell(2), samples=(9.0 + 0.009 * n,)) for n in range(6)]
    assert fit([], [*first, *second]).between < 0.01


def test_what_a_block_shares_does_not_count_between_its_cells() -> None:
    rng = random.Random(6)
    cells = []
    for number in range(1, 13):
        shared = [rng.gauss(0, 0.08) for _ in range(5)]
        for name in ("none", "script"):
            cells.append(
                measured(
                    cell(number, name),
                    [[math.exp(level + rng.gauss(0, 0.005))] for level in shared],
                    blocks=[100 * number + n for n in range(5)],
                )
            )
    found = fit(cells)
    assert found.between == pytest.approx(0.08, rel=0.3)
    assert found.paired.factor < 0.02


def test_processes_that_differ_are_told_from_visits_and_from_a_drift() -> None:
    rng = random.Random(7)
    for process_sd, drift in ((0.05, 0.0), (0.05, 0.3), (0.0, 0.3)):
        cells = []
        for number in range(1, 25):
            for name in ("none", "script"):
                levels = [rng.gauss(0, process_sd) for _ in range(2)]
                visits = [
                    [math.exp(levels[n // 3] + drift * n + rng.gauss(0, 0.01))] for n in range(6)
                ]
                cells.append(
                    measured(
                        cell(number, name),
                        visits,
                        blocks=[100 * number + n for n in range(6)],
                        processes=[n // 3 for n in range(6)],
                    )
                )
        found = fit(cells).process
        assert found == pytest.approx(process_sd, rel=0.4)


@given(st.lists(st.floats(0.001, 1000), min_size=1, max_size=40))
def test_the_interval_holds_the_median_of_the_visits(medians: list[float]) -> None:
    values = [VisitValue(log=math.log(each), forwards=1) for each in medians]
    low, high = locate(values, ASSUMED).bounds
    assert low < statistics.median(medians) * (1 + 1e-6)
    assert high > math.exp(statistics.median(math.log(each) for each in medians)) * (1 - 1e-6)


def test_a_moderated_variance_has_no_more_degrees_of_freedom_than_there_are_in_all() -> None:
    assert Prior(df=4.0, total=4.0).degrees(2) == 4.0
    assert Prior(df=4.0, total=50.0).degrees(2) == 6.0
    few = fit([measured(cell(1), [[1.0], [1.1], [1.05]]), measured(cell(2), [[1.0], [1.1], [1.0]])])
    assert few.known
    assert locate([VisitValue(log=0.0, forwards=1)] * 3, few).df <= few.df == 4.0


def test_pairs_that_vary_differently_in_one_place_leave_heavier_tails() -> None:
    rng = random.Random(8)
    spreads = (0.005, 0.005, 0.005, 0.005, 0.1)

    def places(sizes: tuple[float, ...]) -> list[Measurement]:
        return [
            measured(
                cell(number, f"o{place}"),
                [[math.exp(rng.gauss(0, size))] for _ in range(5)],
                blocks=[100 * number + n for n in range(5)],
            )
            for number in range(1, 17)
            for place, size in enumerate(sizes)
        ]

    assert fit(places(spreads)).paired.df < 8 < fit(places((0.01,) * 5)).paired.df
