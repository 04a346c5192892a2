"""When a cell has been measured enough, and what its visits are worth."""

import pytest

from coresplit.stats.sampling import (
    calibrating_forwards,
    forwards_wanted,
    is_hopeless,
    is_precise,
    judge,
    visits_wanted,
    warmup_length,
)
from coresplit.stats.variance import ASSUMED, Prior, Variance, VisitValue

CALM = Variance(between=0.004, within=0.004, alone=Prior(df=25))
WILD = Variance(between=0.2, within=0.1, alone=Prior(df=25))


def visits(count: int, spread: float = 0.0) -> list[VisitValue]:
    return [VisitValue(log=spread * (-1) ** n, forwards=3) for n in range(count)]


def test_three_visits_within_the_precision_are_measured() -> None:
    assert judge(visits(3), CALM, 0.02, 0.0)[0] == "measured"
    assert is_precise(visits(3), CALM, 0.02)


def test_fewer_visits_are_light_however_narrow_their_interval() -> None:
    verdict, reason = judge(visits(2), CALM, 0.5, 0.0)
    assert verdict == "light"
    assert "2 visits" in reason
    assert "how other cells vary" in reason


def test_a_variance_that_is_assumed_is_said_to_be() -> None:
    assert "assumed" in judge(visits(1), ASSUMED, 0.02, 0.0)[1]


def test_a_wide_interval_is_unstable_and_names_what_was_asked() -> None:
    verdict, reason = judge(visits(5), WILD, 0.02, 0.0)
    assert verdict == "unstable"
    assert "5 visits" in reason
    assert "asked 2.0 %" in reason


def test_stolen_time_makes_a_cell_unstable_however_precise_it_looks() -> None:
    assert judge(visits(5), CALM, 0.02, 0.08) == (
        "unstable",
        "the hypervisor took 8.0 % of the time",
    )


def test_more_visits_are_given_up_where_they_would_not_lead_to_the_precision() -> None:
    assert not is_hopeless(visits(9), WILD, 0.02)
    assert is_hopeless(visits(10), WILD, 0.02)
    assert not is_hopeless(visits(10, 0.004), CALM, 0.0035)
    assert is_hopeless(visits(40), CALM, 1e-6)


def test_what_is_wanted_shrinks_with_the_square_of_the_interval() -> None:
    assert visits_wanted([], CALM, 0.02) == 3
    assert visits_wanted(visits(3), CALM, 0.02) == 0
    few, many = (visits_wanted(visits(10), WILD, precision) for precision in (0.1, 0.05))
    assert 0 < few < many


def test_a_visit_has_more_forwards_where_they_vary_more_than_visits_do() -> None:
    alike = Variance(between=1e-6, within=0.05)
    apart = Variance(between=0.05, within=0.001)
    assert forwards_wanted(apart, 0.01, 0.03) == 3
    assert forwards_wanted(alike, 0.01, 0.03) == 21
    assert forwards_wanted(alike, 5.0, 0.03) < 21
    assert forwards_wanted(alike, 0.01, 0.03) % 2 == 1


@pytest.mark.parametrize(
    ("latency", "budget", "expected"),
    [(0.01, 600.0, 6), (0.4, 600.0, 2), (3.0, 600.0, 1), (7.0, 600.0, 0), (None, 600.0, 3)],
)
def test_warm_up_is_calibrated_as_far_as_that_is_cheap(
    latency: float | None, budget: float, expected: int
) -> None:
    assert calibrating_forwards(latency, budget) == expected


def test_warm_up_is_what_lies_above_the_rest_and_one_forward_at_least() -> None:
    assert warmup_length([3.0, 1.5, 1.0, 1.01, 0.99, 1.0]) == 2
    assert warmup_length([1.0, 1.0, 1.0]) == 1
    assert warmup_length([9.0]) == 1
    assert warmup_length([]) == 0


def test_warm_up_never_takes_over_half_of_the_forwards() -> None:
    assert warmup_length([2.0**-n for n in range(10)]) == 5
