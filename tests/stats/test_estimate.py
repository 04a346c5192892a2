import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coresplit.records import Cell, Evidence, Measurement
from coresplit.stats.estimate import (
    Curve,
    CurvePoint,
    curve_of,
    estimate,
    past_errors,
    predict,
    table_of,
)
from coresplit.stats.variance import Prior, Variance

CALM = Variance(between=1e-4, within=1e-4, alone=Prior(df=25))
NOISY = Variance(between=0.3, within=1e-4, alone=Prior(df=25))
BATCHES = (1, 2, 4, 8, 16, 32, 64, 128, 256)
# cost per input relative to batch 1, of a model whose page faults set in between 8 and 64
BEND = dict(zip(BATCHES, (1.0, 0.97, 0.95, 1.0, 1.15, 1.3, 1.4, 1.41, 1.41), strict=True))


def cell(optimization: str, threads: int, batch: int) -> Cell:
    return Cell(optimization=optimization, threads=threads, batch=batch)


def curve(optimization: str, threads: int, base: float, upto: int) -> dict[int, CurvePoint]:
    return {b: CurvePoint(latency=base * b * BEND[b]) for b in BATCHES if b <= upto}


def table(**upto: int) -> dict[Curve, dict[int, CurvePoint]]:
    bases = {"none_1": 0.2, "none_2": 0.11, "script_1": 0.12, "script_2": 0.07}
    found = {}
    for name, limit in upto.items():
        optimization, threads = name.split("_")
        key = curve_of(cell(optimization, int(threads), 1))
        found[key] = curve(optimization, int(threads), bases[name], limit)
    return found


def test_a_curve_is_continued_by_the_steps_of_a_curve_that_went_further() -> None:
    known = table(none_1=16, script_2=256)
    assert predict(cell("none", 1, 64), known) == pytest.approx(0.2 * 64 * 1.4)
    assert predict(cell("none", 1, 256), known) == pytest.approx(0.2 * 256 * 1.41)


def test_without_a_further_curve_the_last_step_fades_by_half_each_doubling() -> None:
    known = table(script_1=32)
    step = math.log(1.3 / 1.15)
    expected = 0.12 * 32 * 1.3 * 4 * math.exp(step / 2 + step / 4)
    assert predict(cell("script", 1, 128), known) == pytest.approx(expected)


def test_beyond_the_bend_the_cost_per_input_is_flat() -> None:
    key = curve_of(cell("script", 1, 1))
    rising = {
        16: CurvePoint(latency=1.8, faults=20_000.0),
        32: CurvePoint(latency=4.2, faults=20_500.0),
    }
    assert predict(cell("script", 1, 128), {key: rising}) == pytest.approx(4.2 * 4)


def test_growing_page_faults_mean_that_the_bend_is_not_passed() -> None:
    key = curve_of(cell("script", 1, 1))
    rising = {
        16: CurvePoint(latency=1.8, faults=10_000.0),
        32: CurvePoint(latency=4.2, faults=20_000.0),
    }
    assert (predict(cell("script", 1, 64), {key: rising}) or 0) > 4.2 * 2 * 1.05


def test_a_falling_cost_per_input_does_not_go_on_falling() -> None:
    key = curve_of(cell("script", 1, 1))
    falling = {1: CurvePoint(latency=1.0), 2: CurvePoint(latency=1.5)}
    assert predict(cell("script", 1, 8), {key: falling}) == pytest.approx(6.0)


def test_between_two_measured_batches_the_latency_is_interpolated_on_log_scales() -> None:
    key = curve_of(cell("script", 1, 1))
    known = {key: {4: CurvePoint(latency=1.0), 16: CurvePoint(latency=4.0)}}
    assert predict(cell("script", 1, 8), known) == pytest.approx(2.0)


def test_a_curve_without_any_measured_cell_is_not_estimated() -> None:
    known = table(script_1=32)
    assert predict(cell("script", 2, 32), known) is None
    assert estimate(cell("script", 2, 32), known, past_errors(known), CALM) is None


def test_nothing_measured_gives_no_errors_and_no_estimate() -> None:
    assert past_errors({}) == []
    assert estimate(cell("script", 1, 8), {}, [], CALM) is None


def test_the_interval_is_at_least_what_the_method_got_wrong_before() -> None:
    known = table(none_1=64, none_2=64, script_1=64, script_2=128)
    odd = curve_of(cell("none", 2, 1))
    known[odd] = {**known[odd], 64: CurvePoint(latency=known[odd][64].latency * 1.2)}
    errors = past_errors(known)
    assert max(abs(error) for _, error in errors) > math.log(1.1)
    prediction = estimate(cell("script", 1, 128), known, errors, CALM)
    assert prediction is not None
    bounds = prediction.estimate
    assert bounds.low < bounds.value / 1.1
    assert bounds.high > bounds.value * 1.1
    assert "from batch 64 of the same threads" in prediction.reason


def test_the_interval_is_never_narrower_than_one_visit_varies() -> None:
    known = table(none_1=64, script_1=128)
    prediction = estimate(cell("none", 1, 128), known, past_errors(known), NOISY)
    assert prediction is not None
    assert prediction.estimate.high >= prediction.estimate.value * math.exp(0.3)


def test_far_beyond_the_largest_measured_batch_the_reason_says_so() -> None:
    known = table(script_1=32)
    near = estimate(cell("script", 1, 128), known, past_errors(known), CALM)
    far = estimate(cell("script", 1, 256), known, past_errors(known), CALM)
    assert near is not None
    assert far is not None
    assert "4x" not in near.reason
    assert "over 4x the largest measured batch (32)" in far.reason
    spread = [p.estimate.high / p.estimate.value for p in (near, far)]
    assert spread[1] > spread[0]


def test_a_tensor_of_2_gib_doubles_the_upper_bound_and_is_named() -> None:
    known = table(script_1=256)
    small = estimate(cell("script", 1, 512), known, past_errors(known), CALM, largest_tensor=1000)
    large = estimate(
        cell("script", 1, 512), known, past_errors(known), CALM, largest_tensor=5_531_904
    )
    assert small is not None
    assert large is not None
    assert large.estimate.high == pytest.approx(2 * small.estimate.high)
    assert "passes 2 GiB" in large.reason
    assert "2 GiB" not in small.reason


def test_a_curve_that_has_passed_2_gib_shows_the_others_what_it_costs() -> None:
    known = table(script_1=256, script_2=256)
    scout = curve_of(cell("script", 2, 1))
    known[scout] = {**known[scout], 512: CurvePoint(latency=known[scout][256].latency * 2 * 1.6)}
    prediction = estimate(
        cell("script", 1, 512), known, past_errors(known), CALM, largest_tensor=5_531_904
    )
    assert prediction is not None
    own = known[curve_of(cell("script", 1, 1))][256].latency
    assert prediction.estimate.value == pytest.approx(own * 2 * 1.6)
    assert "2 GiB" not in prediction.reason


@given(st.lists(st.floats(0.5, 2.0), min_size=3, max_size=9), st.integers(1, 10))
def test_estimates_are_finite_ordered_and_positive(factors: list[float], ahead: int) -> None:
    key = curve_of(cell("script", 1, 1))
    known = {key: {2**n: CurvePoint(latency=2.0**n * f) for n, f in enumerate(factors)}}
    target = cell("script", 1, 2 ** (len(factors) + ahead))
    prediction = estimate(target, known, past_errors(known), CALM, largest_tensor=10**7)
    assert prediction is not None
    bounds = prediction.estimate
    assert 0 < bounds.low < bounds.value < bounds.high < math.inf


def test_the_table_holds_measured_cells_with_their_faults_per_input() -> None:
    evidence = Evidence(
        forwards=2,
        wall_s=1,
        user_s=1,
        system_s=0,
        minor_faults=1600,
        major_faults=0,
        voluntary_switches=0,
        involuntary_switches=0,
        throttled_periods=0,
        throttled_s=0,
        steal_s=0,
        peak_memory=1,
        started_at=0,
        threads=1,
        thread_cores=("0",),
    )
    good = Measurement(
        cell=cell("none", 1, 8), verdict="light", reason="", samples=(1.0, 3.0), evidence=evidence
    )
    bad = Measurement(cell=cell("none", 1, 4), verdict="invalid", reason="", samples=(1.0,))
    ((place, known),) = table_of([good, bad], CALM).items()
    assert place == curve_of(good.cell)
    assert known[8].latency == pytest.approx(2.0)
    assert known[8].faults == 100.0
    assert 0 < known[8].reach < 1e-3


def test_a_batch_below_all_measured_ones_costs_in_proportion_within_a_wider_interval() -> None:
    known = table(script_1=128)
    own = {curve_of(cell("none", 1, 1)): {8: CurvePoint(latency=1.6), 16: CurvePoint(latency=3.2)}}
    alone = estimate(cell("none", 1, 2), own, past_errors(own), CALM)
    assert alone is not None
    assert alone.estimate.value == pytest.approx(0.4)
    assert alone.estimate.high > 0.4 * 1.3
    shown = estimate(cell("none", 1, 2), {**own, **known}, [], CALM)
    assert shown is not None
    assert shown.estimate.value == pytest.approx(0.4 * BEND[2] / BEND[8])


def test_an_estimate_is_no_surer_than_the_cell_it_is_made_from() -> None:
    known = {curve_of(cell("none", 1, 1)): {8: CurvePoint(latency=1.0, reach=0.5)}}
    found = estimate(cell("none", 1, 16), known, [], CALM)
    assert found is not None
    assert found.estimate.high > found.estimate.value * math.exp(0.5)
