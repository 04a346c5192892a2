"""How far predictions may be off, and that chance alone names no winner."""

import math
import random
import statistics

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coresplit.planner import Profile, plan, profiles_of
from coresplit.planner.interference import Pair, scaling_errors
from coresplit.planner.option import option_of
from coresplit.planner.profile import ProfilePoint
from coresplit.planner.spread import (
    ASSUMED_DF,
    ASSUMED_ERROR,
    Part,
    Spread,
    interpolating_errors,
    joined,
    part_of,
)
from coresplit.records import (
    AnchorVisit,
    Cell,
    Core,
    Machine,
    Measurement,
    ModelInfo,
    Run,
    Setting,
    Settings,
    Variant,
    Visit,
    split_of,
)

VARIANT = Variant("script")


def visited(
    threads: int, batch: int, visits: list[list[float]], setting: Setting = "isolated"
) -> Measurement:
    return Measurement(
        cell=Cell(optimization="script", threads=threads, batch=batch, setting=setting),
        verdict="measured" if len(visits) > 2 else "light",
        reason="",
        samples=tuple(sample for visit in visits for sample in visit),
        visits=tuple(Visit(samples=len(visit)) for visit in visits),
    )


def run_of(measurements: list[Measurement], anchor: list[list[float]]) -> Run:
    cell = Cell(optimization="script", threads=2, batch=1)
    return Run(
        name="run",
        created_at=0.0,
        model=ModelInfo(name="inception", title="Inception v3"),
        settings=Settings(optimizations=("script",), threads=(1, 2), batches=(1, 2), anchor=cell),
        machine=Machine(
            cpu_model="Test CPU",
            cores=(Core(cpu=0), Core(cpu=1)),
            usable=2,
            quota_cores=None,
            memory=2**34,
            memory_limit=None,
            kernel="6.1",
        ),
        software={},
        measurements=tuple(measurements),
        journal=tuple(AnchorVisit(at=0.0, samples=tuple(samples)) for samples in anchor),
    )


def test_a_straight_line_is_interpolated_without_error_and_a_step_with_its_own() -> None:
    straight = {1: 1.0, 2: 2.0, 4: 4.0}
    assert list(interpolating_errors([straight])) == [0.0]
    assert list(interpolating_errors([{**straight, 2: 2.2}])) == [pytest.approx(math.log(1.1))]
    assert list(interpolating_errors([{1: 1.0, 8: 9.0}])) == []


def test_a_slow_down_that_all_pairs_share_is_carried_over_without_error() -> None:
    def pair(slope: float, others: int = 4) -> Pair:
        return Pair(alone=1.0, together=math.exp(slope * others / 8), others=others, cores=8)

    alike = [[pair(0.4), pair(0.4, 6), pair(0.4, 7)], [pair(0.4)]]
    assert list(scaling_errors(alike)) == pytest.approx([0.0] * 4)
    found = list(scaling_errors([[pair(0.4), pair(0.8)]]))
    assert found == pytest.approx([-0.2, 0.2])
    assert list(scaling_errors([[pair(0.4)], []])) == []


def test_where_too_few_can_be_left_out_an_error_is_assumed() -> None:
    assert part_of([0.001, 0.001]) == Part(variance=ASSUMED_ERROR**2, df=ASSUMED_DF)
    assert part_of([0.1, -0.1, 0.1, 0.1]).variance == pytest.approx(0.01)


@given(st.lists(st.tuples(st.floats(1e-6, 1.0), st.floats(1.0, 100.0)), min_size=1, max_size=4))
@settings(max_examples=100, deadline=None)
def test_joined_errors_have_degrees_of_freedom_between_the_least_and_the_sum(
    parts: list[tuple[float, float]],
) -> None:
    found = joined([Part(variance=variance, df=df) for variance, df in parts])
    assert found.variance == pytest.approx(sum(variance for variance, _ in parts))
    dfs = [df for _, df in parts]
    assert min(dfs) * (1 - 1e-9) <= found.df <= sum(dfs) * (1 + 1e-9)


def test_each_doubt_widens_the_interval_by_its_own_error() -> None:
    spread = Spread(
        visit=Part(variance=0.01**2),
        between=Part(variance=0.02**2),
        scaled=Part(variance=0.03**2),
    )

    def error(cells: list[tuple[int, int]], doubt: str | None = None) -> float:
        doubts = frozenset([doubt] if doubt else [])
        known = {
            place: ProfilePoint(latency=1.0, error=0.04, doubts=doubts)  # type: ignore[arg-type]
            for place in set(cells)
        }
        profile = Profile(variant=VARIANT, cells=known, spread=spread)
        return option_of(profile, split_of(cells)).location.error

    assert error([(1, 1), (1, 1)]) == pytest.approx(math.hypot(0.04, 0.01))
    assert error([(1, 1)], "interpolated") == pytest.approx(math.hypot(0.04, 0.01, 0.02))
    assert error([(1, 1)], "scaled") == pytest.approx(math.hypot(0.04, 0.01, 0.03))
    assert error([(1, 1), (1, 2)]) == pytest.approx(math.hypot(0.04, 0.01, 0.03))


def test_a_cell_of_one_sample_is_not_ranked() -> None:
    rng = random.Random(1)
    anchor = [[math.exp(rng.gauss(0, 0.05))] for _ in range(12)]
    single = run_of([visited(1, 1, [[1.0]]), visited(2, 2, [[1.12]])], anchor)
    (profile,) = profiles_of(single)
    found = plan(profile, 2, 2)
    assert found is not None
    assert str(found.fastest.split) == "<2, 1, 1>"
    assert found.verdict == "too close to call"
    assert found.recommended == found.fat
    often = [[value * math.exp(rng.gauss(0, 0.05))] for value in [1.0] * 40]
    double = [[2 * sample for sample in visit] for visit in often]
    (profile,) = profiles_of(run_of([visited(1, 1, often), visited(2, 2, double)], anchor))
    clear = plan(profile, 2, 2)
    assert clear is not None
    assert clear.verdict == "faster"


def test_of_cells_of_one_law_that_were_visited_once_hardly_any_is_named_a_winner() -> None:
    named = 0
    for seed in range(200):
        rng = random.Random(seed)

        def visit(rng: random.Random = rng) -> list[float]:
            return [math.exp(rng.gauss(0, 0.05))]

        cells = [visited(t, b, [visit()]) for t in (1, 2) for b in (1, 2, 4)]
        run = run_of(cells, [visit() for _ in range(12)])
        (profile,) = profiles_of(run)
        for batch in (2, 4, 8):
            found = plan(profile, 2, batch)
            named += found is not None and found.verdict == "faster"
    assert named <= 2


def test_what_is_measured_later_lies_in_the_predicted_interval() -> None:
    inside = []
    for seed in range(60):
        rng = random.Random(seed)

        def visit(count: int, middle: float, rng: random.Random = rng) -> list[float]:
            own = rng.gauss(0, 0.03)
            return [middle * math.exp(own + rng.gauss(0, 0.02)) for _ in range(count)]

        cells = [visited(1, b, [visit(3, float(b)) for _ in range(4)]) for b in (1, 2, 4)]
        cells += [visited(2, b, [visit(3, 0.6 * b) for _ in range(4)]) for b in (1, 2, 4)]
        (profile,) = profiles_of(run_of(cells, [visit(3, 0.6) for _ in range(10)]))
        for batch in (2, 3, 4):
            found = plan(profile, 2, batch)
            assert found is not None
            later = statistics.median(visit(10, 0.5 * batch if batch % 2 == 0 else 1.8))
            if str(found.fastest.split).startswith("<2, 1,") or batch == 3:
                predicted = found.fastest.predicted
                inside.append(predicted.low <= later <= predicted.high)
    assert sum(inside) >= 0.9 * len(inside)
