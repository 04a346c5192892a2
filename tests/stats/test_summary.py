import math
import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coresplit.records import (
    AnchorVisit,
    Cell,
    Interval,
    JournalEntry,
    Measurement,
    Published,
    Started,
    Verdict,
    Visit,
)
from coresplit.stats.noise import noise_floor
from coresplit.stats.summary import (
    located,
    median_interval,
    point_of,
)
from coresplit.stats.variance import ASSUMED, PUBLISHED, Prior, Variance

CELL = Cell(optimization="script", threads=2, batch=8)
KNOWN = Variance(between=0.02, within=0.01, alone=Prior(df=1e9))


@pytest.mark.parametrize(
    ("count", "rank"), [(8, 1), (9, 2), (10, 2), (20, 6), (30, 10), (50, 18), (100, 40)]
)
def test_the_interval_has_the_ranks_of_published_tables(count: int, rank: int) -> None:
    # sign-test critical values at 5 % two-sided, as tabulated in any text on order statistics
    assert median_interval(range(1, count + 1)) == (rank, count + 1 - rank)


@given(st.lists(st.floats(0.001, 1000), min_size=1, max_size=200))
def test_the_interval_encloses_the_median(samples: list[float]) -> None:
    low, high = median_interval(samples)
    ordered = sorted(samples)
    middle = ordered[(len(ordered) - 1) // 2], ordered[len(ordered) // 2]
    assert low <= middle[0] <= middle[1] <= high


def test_no_samples_have_no_interval() -> None:
    with pytest.raises(ValueError, match="no samples"):
        median_interval([])


def test_only_what_may_be_drawn_has_a_point() -> None:
    samples = (1.0, 2.0, 3.0)
    drawn: list[Verdict] = ["measured", "light", "unstable"]
    for verdict in drawn:
        point = point_of(
            Measurement(cell=CELL, verdict=verdict, reason="", samples=samples), ASSUMED
        )
        assert point is not None
        assert point.low < point.latency == pytest.approx(2.0)
        assert (point.interval, point.samples, point.visits) == ("95 %", 3, 1)
    hidden: list[Verdict] = ["invalid", "failed", "skipped"]
    for verdict in hidden:
        measurement = Measurement(cell=CELL, verdict=verdict, reason="", samples=samples)
        assert point_of(measurement, ASSUMED) is None


def test_a_single_forward_has_an_interval_from_how_the_run_varies() -> None:
    point = point_of(Measurement(cell=CELL, verdict="light", reason="", samples=(1.0,)), KNOWN)
    assert point is not None
    sd = math.hypot(0.02, 0.01)
    assert point.high == pytest.approx(math.exp(1.95996 * sd), rel=1e-4)
    assert point.low == pytest.approx(1 / point.high)


def test_the_value_of_a_cell_is_the_median_of_its_visits_medians() -> None:
    samples = (1.0, 1.0, 9.0, 2.0, 2.1, 2.2, 3.0)
    visits = tuple(Visit(samples=count) for count in (3, 3, 1))
    point = point_of(
        Measurement(cell=CELL, verdict="measured", reason="", samples=samples, visits=visits),
        KNOWN,
    )
    assert point is not None
    assert point.latency == pytest.approx(2.1)
    assert statistics.median(samples) == 2.1
    assert point.visits == 3


def test_estimates_and_published_ranges_are_points_of_their_own_kind() -> None:
    estimate = Interval(low=1, value=2, high=4)
    point = point_of(
        Measurement(cell=CELL, verdict="estimated", reason="", estimate=estimate), ASSUMED
    )
    assert point is not None
    assert (point.low, point.latency, point.high, point.interval) == (1, 2, 4, "estimate")
    published = Published(minimum=1, mean=2, maximum=3)
    point = point_of(
        Measurement(cell=CELL, verdict="measured", reason="", published=published), PUBLISHED
    )
    assert point is not None
    assert (point.latency, point.interval) == (2, "published range")
    assert point.location.value == pytest.approx(2)


def test_the_farther_end_of_an_estimate_tells_its_error() -> None:
    low, high = located(Interval(low=1.5, value=2, high=4)).bounds
    assert high == pytest.approx(4, rel=1e-4)
    assert low == pytest.approx(1, rel=1e-4)


def visits(*medians: float) -> list[AnchorVisit]:
    return [AnchorVisit(at=0, samples=(value,)) for value in medians]


def test_the_noise_floor_is_the_difference_of_two_halves_of_the_anchor_visits() -> None:
    # halves of four: {1, 1} against {1.03, 1.03} is the widest of three ways to split
    journal: list[JournalEntry] = [Started(at=0), *visits(1.0, 1.0, 1.03, 1.03)]
    assert noise_floor(journal) == pytest.approx(0.03)


def test_a_steady_machine_has_no_noise_floor_to_speak_of() -> None:
    assert noise_floor(visits(*[2.0] * 30)) == 0.0


def test_three_anchor_visits_make_no_noise_floor() -> None:
    assert noise_floor(visits(1.0, 2.0, 3.0)) is None


def test_visits_of_different_anchor_cells_are_not_pooled() -> None:
    other = Cell(optimization="none", threads=2, batch=4)
    journal = [
        *visits(1.0, 1.01, 1.0, 1.01),
        *(AnchorVisit(at=0, cell=other, samples=(2.0,)) for _ in range(3)),
    ]
    assert noise_floor(journal) == pytest.approx(0.01)
