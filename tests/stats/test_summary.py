import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coresplit.records import (
    AnchorVisit,
    Cell,
    Estimate,
    JournalEntry,
    Measurement,
    Published,
    Started,
    Verdict,
)
from coresplit.stats.noise import noise_floor
from coresplit.stats.summary import (
    median_interval,
    percentile,
    point_of,
    relative_halfwidth,
    samples_for_percentile,
)
from coresplit.stats.verdict import is_hopeless, is_precise, judge
from coresplit.stats.warmup import warmup_length

CELL = Cell(optimization="script", threads=2, batch=8)


def test_six_samples_are_the_fewest_whose_range_is_a_95_percent_interval() -> None:
    assert median_interval([1, 2, 3, 4, 5, 6]) == (1, 6)
    assert 1 - 2 * 0.5**6 >= 0.95 > 1 - 2 * 0.5**5
    assert relative_halfwidth([1, 2, 3, 4, 5]) == math.inf


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


def test_a_percentile_needs_the_samples_that_support_it() -> None:
    assert samples_for_percentile(0.99) == 662
    assert percentile([1.0] * 661, 0.99) is None
    assert percentile([*range(1, 1001)], 0.99) == 990


def test_only_what_may_be_drawn_has_a_point() -> None:
    samples = (1.0, 2.0, 3.0)
    drawn: list[Verdict] = ["measured", "light", "unstable"]
    for verdict in drawn:
        point = point_of(Measurement(cell=CELL, verdict=verdict, reason="", samples=samples))
        assert point is not None
        assert (point.low, point.latency, point.high) == (1.0, 2.0, 3.0)
        assert (point.interval, point.samples) == ("range", 3)
    hidden: list[Verdict] = ["invalid", "failed", "skipped"]
    for verdict in hidden:
        assert point_of(Measurement(cell=CELL, verdict=verdict, reason="", samples=samples)) is None


def test_estimates_and_published_ranges_are_points_of_their_own_kind() -> None:
    estimate = Estimate(low=1, latency=2, high=4)
    point = point_of(Measurement(cell=CELL, verdict="estimated", reason="", estimate=estimate))
    assert point is not None
    assert (point.low, point.latency, point.high, point.interval) == (1, 2, 4, "estimate")
    published = Published(minimum=1, mean=2, maximum=3)
    point = point_of(Measurement(cell=CELL, verdict="measured", reason="", published=published))
    assert point is not None
    assert (point.latency, point.interval) == (2, "published range")


def visits(*medians: float) -> list[AnchorVisit]:
    return [AnchorVisit(at=0, samples=(value,)) for value in medians]


def test_the_noise_floor_is_the_difference_of_two_halves_of_the_anchor_visits() -> None:
    # halves of four: {1, 1} against {1.03, 1.03} is the widest of three ways to split
    journal: list[JournalEntry] = [Started(at=0), *visits(1.0, 1.0, 1.03, 1.03)]
    assert noise_floor(journal) == pytest.approx(0.03)


def test_a_steady_machine_has_no_noise_floor_to_speak_of() -> None:
    assert noise_floor(visits(*[2.0] * 30)) == 0.0


def test_one_odd_visit_among_many_does_not_make_the_floor() -> None:
    assert noise_floor(visits(*[1.0, 1.001] * 10, 3.0)) == pytest.approx(0.001, abs=1e-6)


def test_three_anchor_visits_make_no_noise_floor() -> None:
    assert noise_floor(visits(1.0, 2.0, 3.0)) is None


def test_warm_up_is_what_lies_above_the_rest() -> None:
    assert warmup_length([3.0, 1.5, 1.0, 1.01, 0.99, 1.0], 0.02) == 2
    assert warmup_length([1.0, 1.0, 1.0], 0.02) == 0
    assert warmup_length([9.0], 0.02) == 0


def test_warm_up_never_takes_over_half_of_the_forwards() -> None:
    drift = [2.0**-n for n in range(10)]
    assert warmup_length(drift, 0.02) == 5


def test_few_samples_are_light_and_their_range_is_named() -> None:
    assert judge([2.0], 1, 0.02, 0.0) == (
        "light",
        "1 sample: too few for a 95 % interval",
    )
    assert judge([1.0, 1.0, 1.1], 1, 0.02, 0.0) == (
        "light",
        "3 samples, range 10 %: too few for a 95 % interval",
    )


def test_precision_over_two_visits_is_measured_and_over_one_is_not() -> None:
    samples = [1.0, 1.001, 1.002, 1.003, 1.004, 1.005, 1.006]
    assert judge(samples, 2, 0.02, 0.0) == ("measured", "within 0.30 % over 7 samples")
    assert judge(samples, 1, 0.02, 0.0)[0] == "unstable"
    assert is_precise(samples, 2, 0.02)
    assert not is_precise(samples, 1, 0.02)


def test_a_wide_interval_is_unstable_and_names_what_was_asked() -> None:
    samples = [1.0, 1.1, 1.2, 1.3, 1.4, 1.5]
    assert judge(samples, 3, 0.02, 0.0) == (
        "unstable",
        "within 20 % over 6 samples, asked 2.0 %",
    )


def test_stolen_time_makes_a_cell_unstable_however_precise_it_looks() -> None:
    assert judge([1.0] * 10, 2, 0.02, 0.08) == (
        "unstable",
        "the hypervisor took 8.0 % of the time",
    )


def test_noise_that_has_converged_is_hopeless() -> None:
    alternating = [1.0, 1.2] * 24
    assert is_hopeless(alternating)
    assert not is_hopeless(alternating[:20])
    assert is_hopeless([1.0] * 100)
