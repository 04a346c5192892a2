"""Profiles of runs, plans and what verifications show, in exact numbers."""

import itertools
import math
from collections.abc import Iterable, Sequence

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from split_oracles import every_split

from coresplit.planner import (
    Plan,
    Profile,
    ProfilePoint,
    Rival,
    best_plan,
    explain,
    fastest_within,
    front_of,
    interpolated,
    on_fewer_cores,
    plan,
    profiles_of,
)
from coresplit.planner.interference import Interference, Pair, calibrate, neighbours_on
from coresplit.planner.option import option_of
from coresplit.planner.profile import Doubt
from coresplit.planner.solver import slowest, solve
from coresplit.records import (
    Cell,
    Core,
    Interval,
    Machine,
    Measurement,
    ModelInfo,
    Published,
    Run,
    Setting,
    Settings,
    Variant,
    Verdict,
    Visit,
    split_of,
)
from coresplit.stats.difference import Relation
from coresplit.stats.student import quantile
from coresplit.stats.variance import PUBLISHED_SD

Values = dict[tuple[int, int], float]
VALUELESS: tuple[tuple[int, Verdict], ...] = ((2, "skipped"), (3, "failed"), (4, "invalid"))
VARIANT = Variant("script")


def known(value: float, error: float = 0.0, doubts: Iterable[Doubt] = ()) -> ProfilePoint:
    return ProfilePoint(latency=value, error=error, df=30.0, doubts=frozenset(doubts))


def profile(values: Values, error: float = 0.0) -> Profile:
    return Profile(
        variant=VARIANT, cells={cell: known(value, error) for cell, value in values.items()}
    )


def planned(values: Values, cores: int, batch: int, error: float = 0.0) -> Plan:
    found = plan(profile(values, error), cores, batch)
    assert found is not None
    return found


def measured(threads: int, batch: int, value: float, setting: Setting = "isolated") -> Measurement:
    """Eight visits of one forward that do not differ."""
    cell = Cell(optimization="script", threads=threads, batch=batch, setting=setting)
    visits = (Visit(samples=1),) * 8
    return Measurement(
        cell=cell, verdict="measured", reason="", samples=(value,) * 8, visits=visits
    )


def run_of(measurements: Sequence[Measurement], cores: int = 4) -> Run:
    return Run(
        name="run",
        created_at=0.0,
        model=ModelInfo(name="inception", title="Inception v3"),
        settings=Settings(optimizations=("script",), threads=(1, 2, 4), batches=(1, 2)),
        machine=Machine(
            cpu_model="Test CPU",
            cores=tuple(Core(cpu=cpu) for cpu in range(cores)),
            usable=cores,
            quota_cores=None,
            memory=2**34,
            memory_limit=None,
            kernel="6.1",
        ),
        software={},
        measurements=tuple(measurements),
    )


def test_only_cells_with_a_value_are_in_a_profile() -> None:
    cell = Cell(optimization="script", threads=1, batch=2)
    estimate = Interval(low=0.1, value=0.2, high=0.4)
    run = run_of(
        [
            measured(1, 1, 0.1),
            Measurement(cell=cell, verdict="estimated", reason="", estimate=estimate),
            *(
                Measurement(
                    cell=msgspec.structs.replace(cell, threads=threads),
                    verdict=verdict,
                    reason="",
                    samples=(9.0,) if verdict == "invalid" else (),
                )
                for threads, verdict in VALUELESS
            ),
        ]
    )
    (found,) = profiles_of(run)
    assert {place: each.latency for place, each in found.cells.items()} == {
        (1, 1): pytest.approx(0.1),
        (1, 2): 0.2,
    }
    assert found.cells[1, 2].doubts == {"estimated"}
    assert found.cells[1, 2].error == pytest.approx(math.log(2) / quantile(0.95, 3.0), rel=1e-3)
    assert (found.threads, found.batches) == ((1,), (1, 2))


def test_a_published_mean_is_known_as_far_as_tables_usually_are_whatever_its_range() -> None:
    cell = Cell(optimization="script", threads=1, batch=1)
    published = Published(minimum=0.1, mean=0.2, maximum=0.9)
    run = run_of([Measurement(cell=cell, verdict="measured", reason="", published=published)])
    found = profiles_of(run)[0].cells[1, 1]
    assert (found.latency, found.error, found.doubts) == (0.2, PUBLISHED_SD, frozenset())


def test_packed_cells_stand_and_the_others_are_scaled_unless_alone() -> None:
    slower = math.exp(0.75 * 0.4)
    run = run_of(
        [
            measured(1, 1, 0.1),
            measured(1, 2, 0.2),
            measured(4, 2, 0.06),
            measured(1, 1, 0.1 * slower, "packed"),
        ]
    )
    (found,) = profiles_of(run)
    assert found.setting == "packed"
    assert found.interference is not None
    assert found.interference.slope == pytest.approx(0.4)
    assert found.cells[1, 1].latency == pytest.approx(0.1 * slower)
    assert found.cells[1, 1].doubts == frozenset()
    assert found.cells[1, 2].latency == pytest.approx(0.2 * slower)
    assert found.cells[1, 2].doubts == {"scaled"}
    assert found.cells[4, 2].latency == pytest.approx(0.06)
    assert found.cells[4, 2].doubts == frozenset()
    (alone,) = profiles_of(run, "isolated")
    assert alone.setting == "isolated"
    assert alone.latencies(4) == pytest.approx({(1, 1): 0.1, (1, 2): 0.2, (4, 2): 0.06})
    assert profiles_of(run_of([measured(1, 1, 0.1)]), "packed") == ()


def test_an_optimization_without_packed_cells_is_scaled_as_the_others_of_the_run() -> None:
    slower = math.exp(0.75 * 0.4)
    lonely = measured(1, 1, 0.05)
    lonely = msgspec.structs.replace(
        lonely, cell=msgspec.structs.replace(lonely.cell, optimization="openvino")
    )
    run = run_of([measured(1, 1, 0.1), measured(1, 1, 0.1 * slower, "packed"), lonely])
    _, found = profiles_of(run)
    assert (found.variant.optimization, found.setting) == ("openvino", "packed")
    assert found.cells[1, 1].latency == pytest.approx(0.05 * slower)
    assert found.cells[1, 1].doubts == {"scaled"}


def test_an_instance_on_more_than_half_of_the_cores_is_scaled_unless_it_is_alone() -> None:
    run = run_of(
        [
            measured(1, 1, 1.0),
            measured(1, 1, math.exp(0.75 * 0.4), "packed"),
            measured(3, 7, 1.4),
            measured(4, 8, 1.7),
        ]
    )
    (found,) = profiles_of(run)
    mixed, lone = plan(found, 4, 8), plan(found, 4, 7)
    assert mixed is not None
    assert str(mixed.fastest.split) == "<1, 3, 7> + <1, 1, 1>"
    assert mixed.fastest.predicted.value == pytest.approx(1.4 * math.exp(0.25 * 0.4))
    assert mixed.fastest.doubts == ("mixed", "scaled")
    assert lone is not None
    assert str(lone.fastest.split) == "<1, 3, 7>"
    assert lone.fastest.predicted.value == pytest.approx(1.4)
    assert lone.fastest.doubts == ()


def test_an_instance_is_the_faster_the_fewer_cores_are_busy_beside_it() -> None:
    run = run_of([measured(1, 1, 1.0), measured(1, 1, 1.331, "packed"), measured(4, 1, 1.2)])
    (found,) = profiles_of(run)
    cell = 1, 1
    assert [found.latency_at(cell, busy).latency for busy in (1, 2, 3, 4)] == pytest.approx(
        [1.0, 1.1, 1.21, 1.331]
    )
    assert [found.latency_at(cell, busy).doubts for busy in (1, 2, 4)] == [set(), {"scaled"}, set()]
    for busy in (1, 2, 3, 4):
        places = [cell, (4, 1)] if busy == 4 else [cell]
        assert found.latencies(busy) == {
            place: found.latency_at(place, busy).latency for place in places
        }
    (front,) = on_fewer_cores(found, 4, 1)
    assert str(front.split) == "<1, 1, 1>"
    assert front.predicted.value == pytest.approx(1.0)
    two = plan(found, 4, 2)
    assert two is not None
    assert str(two.fastest.split) == "<2, 1, 1>"
    assert two.fastest.predicted.value == pytest.approx(1.1)
    within = fastest_within(found, 4, 1.25)
    assert within is not None
    assert str(within.split) == "<3, 1, 1>"
    assert within.predicted.value == pytest.approx(1.21)


def test_copies_that_leave_cores_idle_take_what_was_measured_of_them() -> None:
    run = run_of([measured(6, 8, 0.1), measured(6, 8, 0.15, "packed")], cores=16)
    (found,) = profiles_of(run)
    two, one = plan(found, 16, 16), plan(found, 16, 8)
    assert two is not None
    assert str(two.fastest.split) == "<2, 6, 8>"
    assert two.fastest.predicted.value == pytest.approx(0.15)
    assert two.fastest.doubts == ()
    assert one is not None
    assert one.fastest.predicted.value == pytest.approx(0.1)
    assert one.fastest.doubts == ()
    half = found.latency_at((6, 8), 9)
    assert half.latency == pytest.approx(math.sqrt(0.1 * 0.15))
    assert half.doubts == {"scaled"}


def test_more_busy_cores_than_the_copies_took_slow_an_instance_down_further() -> None:
    run = run_of(
        [
            measured(6, 8, 0.1),
            measured(6, 8, 0.15, "packed"),
            measured(10, 8, 0.08),
            measured(6, 4, 0.06),
        ],
        cores=16,
    )
    (found,) = profiles_of(run)
    slope = math.log(1.5) * 16 / 6
    assert found.interference is not None
    assert found.interference.slope == pytest.approx(slope)
    assert found.cells[6, 4].latency == pytest.approx(0.06 * 1.5)
    assert found.cells[10, 8].latency == pytest.approx(0.08 * math.exp(slope * 6 / 16))
    mixed = plan(found, 16, 16)
    assert mixed is not None
    assert str(mixed.fastest.split) == "<2, 6, 8>"
    most = found.latency_at((6, 8), 16)
    assert most.latency == pytest.approx(0.1 * 1.5 ** (10 / 6))
    assert most.doubts == {"scaled"}
    assert found.latency_at((6, 4), 16).latency == pytest.approx(0.06 * math.exp(slope * 10 / 16))
    assert found.latencies(16)[6, 8] == most.latency


def test_beyond_the_copies_the_error_grows_and_no_gain_is_carried_further() -> None:
    slowed = Profile(
        variant=VARIANT, cells={(6, 1): known(1.5, 0.02)}, alone={(6, 1): known(1.0, 0.1)}, cores=16
    )
    found = slowed.latency_at((6, 1), 16)
    assert found.latency == pytest.approx(1.5 ** (10 / 6))
    assert found.error == pytest.approx(math.hypot(10 / 6 * 0.02, 4 / 6 * 0.1))
    faster = msgspec.structs.replace(slowed, cells={(6, 1): known(0.97)})
    assert faster.latency_at((6, 1), 16).latency == faster.latencies(16)[6, 1] == 0.97


values_of_cells = st.floats(0.1, 10.0)


@given(st.integers(2, 24), st.data())
@settings(max_examples=200, deadline=None)
def test_the_more_cores_are_busy_the_longer_an_instance_takes(
    cores: int, data: st.DataObject
) -> None:
    place = data.draw(st.integers(1, cores)), 1
    alone, packed = sorted(data.draw(st.tuples(values_of_cells, values_of_cells)))
    found = Profile(
        variant=VARIANT, cells={place: known(packed)}, alone={place: known(alone, 0.1)},
        cores=cores,
    )  # fmt: skip
    taken = [found.latency_at(place, busy) for busy in range(place[0], cores + 1)]
    for less, more in itertools.pairwise(taken):
        assert less.latency <= more.latency * (1 + 1e-12)
    for busy, each in enumerate(taken, start=place[0]):
        assert found.latencies(busy)[place] == each.latency
    neighbours = neighbours_on(cores, place[0])
    among_copies = found.latency_at(place, place[0] + neighbours)
    assert among_copies == found.cells[place]
    if neighbours:
        assert taken[0] == found.alone[place]


@given(
    st.dictionaries(
        st.tuples(st.integers(1, 5), st.integers(1, 4)),
        st.tuples(st.integers(1, 9), st.integers(0, 9)),
        min_size=1,
        max_size=6,
    ),
    st.integers(1, 5),
    st.integers(1, 6),
)
@settings(max_examples=200, deadline=None)
def test_a_plan_from_packed_cells_is_the_best_of_all_splits_as_they_are_predicted(
    values: dict[tuple[int, int], tuple[int, int]], cores: int, batch: int
) -> None:
    cells = {place: known((own + more) / 10) for place, (own, more) in values.items()}
    alone = {place: known(own / 10) for place, (own, _) in values.items()}
    found = Profile(variant=VARIANT, cells=cells, alone=alone, cores=5)
    splits = every_split({place: each.latency for place, each in cells.items()}, cores, batch)
    best = min(
        (option_of(found, split_of(split)).predicted.value for split in splits), default=None
    )
    answer = next(on_fewer_cores(found, cores, batch), None)
    assert (answer and answer.predicted.value) == best


def test_two_cores_have_either_no_neighbour_or_one() -> None:
    assert [neighbours_on(2, threads) for threads in (1, 2)] == [1, 0]
    run = run_of(
        [
            measured(1, 1, 1.0),
            measured(1, 1, 1.2, "packed"),
            measured(1, 2, 2.0),
            measured(2, 1, 0.7),
        ],
        cores=2,
    )
    (found,) = profiles_of(run)
    assert found.latencies(2) == pytest.approx({(1, 1): 1.2, (1, 2): 2.4, (2, 1): 0.7})
    assert found.latencies(1) == pytest.approx({(1, 1): 1.0, (1, 2): 2.0})


@pytest.mark.parametrize(
    ("threads", "neighbours"), [(1, 15), (2, 14), (3, 12), (5, 10), (6, 6), (8, 8), (9, 7), (16, 0)]
)
def test_an_instance_has_the_neighbours_that_its_copies_are(threads: int, neighbours: int) -> None:
    assert neighbours_on(16, threads) == neighbours


def estimated(threads: int, batch: int, value: float, setting: Setting) -> Measurement:
    return Measurement(
        cell=Cell(optimization="script", threads=threads, batch=batch, setting=setting),
        verdict="estimated",
        reason="",
        estimate=Interval(low=value, value=value, high=value),
    )


def test_estimates_teach_no_slow_down_and_stand_behind_what_was_measured() -> None:
    slower = math.exp(0.75 * 0.4)
    run = run_of(
        [
            measured(1, 1, 0.1),
            measured(1, 1, 0.1 * slower, "packed"),
            measured(1, 2, 0.2),
            estimated(1, 2, 0.9, "packed"),
            estimated(1, 4, 0.4, "isolated"),
            estimated(1, 4, 0.5, "packed"),
            estimated(1, 8, 0.8, "isolated"),
        ]
    )
    (found,) = profiles_of(run)
    assert found.interference is not None
    assert found.interference.slope == pytest.approx(0.4)
    assert found.interference.pairs == 1
    assert found.cells[1, 2].latency == pytest.approx(0.2 * slower)
    assert found.cells[1, 4].latency == 0.5
    assert found.cells[1, 4].doubts == {"estimated"}
    assert found.cells[1, 8].doubts == {"estimated", "scaled"}
    guessed = run_of([measured(1, 1, 0.1), estimated(1, 1, 0.2, "packed")])
    assert profiles_of(guessed)[0].setting == "isolated"


def test_the_slow_down_is_fitted_exactly_and_never_a_gain() -> None:
    pairs = [
        Pair(alone=0.1, together=0.1 * math.exp(0.5 * others / 16), others=others, cores=16)
        for others in (4, 8, 15)
    ]
    found = calibrate(pairs)
    assert found is not None
    assert found.slope == pytest.approx(0.5)
    assert found.factor(0, 16) == 1.0
    assert found.factor(8, 16) == pytest.approx(math.exp(0.25))
    assert calibrate([Pair(alone=1.0, together=1.2, others=0, cores=4)]) is None
    faster = calibrate([Pair(alone=1.0, together=0.9, others=3, cores=4)])
    assert faster == Interference(slope=0.0, pairs=1)


def test_batches_between_measured_ones_are_interpolated_and_marked() -> None:
    values = profile({(1, 1): 1.0, (1, 5): 9.0, (2, 1): 0.5}, 0.1)
    found = interpolated(values, largest=4)
    assert found.threads == (1, 2)
    assert found.batches == (1, 2, 3, 4, 5)
    assert found.cells[1, 2].latency == pytest.approx(3.0)
    assert found.cells[1, 4].error == pytest.approx(0.1 * math.hypot(0.25 * 1, 0.75 * 9) / 7)
    assert found.cells[1, 3].doubts == {"interpolated"}
    assert found.cells[1, 5].doubts == frozenset()
    assert (2, 2) not in found.cells
    unsure = {**values.cells, (1, 5): known(9.0, doubts={"estimated"})}
    guessed = interpolated(msgspec.structs.replace(values, cells=unsure), largest=4)
    assert guessed.cells[1, 3].doubts == {"interpolated", "estimated"}


def test_a_prediction_is_the_slowest_of_its_instances_and_reaches_as_far_as_any() -> None:
    cells = {(2, 3): known(1.0, 0.01), (1, 1): known(0.9, 0.2, {"unstable"})}
    found = plan(Profile(variant=VARIANT, cells=cells), 3, 4)
    assert found is not None
    assert str(found.fastest.split) == "<1, 2, 3> + <1, 1, 1>"
    reach = quantile(0.95, 30.0)
    predicted = found.fastest.predicted
    assert predicted.value == 1.0
    assert predicted.low == pytest.approx(math.exp(-0.01 * reach))
    assert predicted.high == pytest.approx(0.9 * math.exp(0.2 * reach))
    assert found.fastest.location.bounds[1] == pytest.approx(predicted.high)
    assert found.fastest.doubts == ("mixed", "unstable")


def test_fat_is_one_instance_on_all_cores_and_thin_the_best_of_one_thread_each() -> None:
    found = planned({(1, 1): 3.0, (1, 2): 5.0, (2, 2): 2.0, (4, 4): 4.0}, 4, 4)
    assert str(found.fastest.split) == "<2, 2, 2>"
    assert found.fat is not None
    assert found.thin is not None
    assert (str(found.fat.split), found.fat.predicted.value) == ("<1, 4, 4>", 4.0)
    assert (str(found.thin.split), found.thin.predicted.value) == ("<4, 1, 1>", 3.0)
    assert [name for name, _ in found.configurations] == ["split", "fat", "thin"]
    assert found.fastest.throughput == 2.0


def test_rivals_that_the_profile_lacks_are_none_and_those_that_are_the_split_are_run_once() -> None:
    found = planned({(2, 2): 2.0}, 4, 4)
    assert found.fat is found.thin is None
    assert found.speedup("fat") is None
    thin = planned({(1, 1): 1.0, (4, 4): 4.0}, 4, 4)
    assert [name for name, _ in thin.configurations] == ["split", "fat"]


def test_fat_competes_where_its_batch_was_not_profiled() -> None:
    values = {(1, 1): 1.0, (1, 2): 2.0, (1, 4): 4.0, (2, 2): 1.1, (2, 4): 2.1}
    found = planned(values, 2, 3)
    assert (str(found.fastest.split), found.fastest.predicted.value) == ("<1, 2, 3>", 1.6)
    assert found.fastest == found.fat
    assert found.fastest.doubts == ("interpolated",)
    assert (found.verdict, found.recommended) == ("fat is fastest", found.fat)
    assert [name for name, _ in found.configurations] == ["split", "thin"]
    assert "No split is predicted to be faster" in explain(found, profile(values))
    assert planned({(1, 1): 1.0, (1, 2): 2.0, (2, 4): 2.1}, 2, 3).fat is None


def test_thin_is_as_even_as_the_batch_allows_where_that_is_faster() -> None:
    values = {(1, 1): 1.0, (1, 4): 4.0, (1, 8): 8.0}
    found = planned(values, 2, 5)
    assert found.thin is not None
    assert (str(found.thin.split), found.thin.predicted.value) == ("<1, 1, 3> + <1, 1, 2>", 3.0)
    assert found.thin.doubts == ("interpolated", "mixed")
    assert found.fastest == found.thin
    assert (found.fat, found.verdict) == (None, "thin is fastest")


@pytest.mark.parametrize(
    ("fat", "error", "relation", "verdict"),
    [
        (1.3, 0.0, "faster", "faster"),
        (1.3, 0.03, "faster", "faster"),
        (1.3, 0.1, "unclear", "too close to call"),
        (1.02, 0.001, "faster", "faster"),
        (1.02, 0.002, "faster", "faster"),
        (1.005, 0.003, "equivalent", "too close to call"),
        (1.0, 0.0, "equivalent", "fat is fastest"),
    ],
)
def test_a_split_is_recommended_only_where_it_is_shown_to_be_faster(
    fat: float, error: float, relation: str, verdict: str
) -> None:
    found = planned({(1, 1): 1.0, (2, 2): fat}, 2, 2, error)
    speedup = found.speedup("fat")
    assert speedup is not None
    assert speedup.ratio == pytest.approx(fat)
    assert speedup.relation == relation
    assert speedup.tie == (relation != "faster")
    assert found.verdict == verdict
    assert found.recommended == (found.fastest if verdict == "faster" else found.fat)


def test_without_fat_it_is_thin_that_a_split_must_be_shown_to_beat() -> None:
    values = {(1, 1): 1.05, (2, 2): 1.0}
    close = planned(values, 4, 4, 0.05)
    assert (close.fat, close.verdict, close.recommended) == (
        None,
        "too close to call",
        close.thin,
    )
    assert planned(values, 4, 4, 0.001).verdict == "faster"
    only = planned({(2, 2): 1.0}, 4, 4)
    assert (only.verdict, only.recommended) == (None, only.fastest)


@pytest.mark.parametrize(
    ("shown", "verdict", "recommended"),
    [
        ({}, "too close to call", "fat"),
        ({"fat": "faster"}, "faster", "fastest"),
        ({"fat": "slower"}, "fat is fastest", "fat"),
        ({"fat": "faster", "thin": "slower"}, "thin is fastest", "thin"),
        ({"thin": "slower"}, "too close to call", "fat"),
        ({"fat": "equivalent"}, "too close to call", "fat"),
    ],
)
def test_what_a_verification_decided_counts_for_more_than_the_predictions(
    shown: dict[Rival, Relation], verdict: str, recommended: str
) -> None:
    found = planned({(1, 1): 1.2, (2, 2): 1.0, (4, 4): 1.1}, 4, 4, 0.1)
    found = msgspec.structs.replace(found, shown=shown)
    assert found.verdict == verdict
    assert found.recommended == getattr(found, recommended)


def test_a_limit_is_kept_by_the_fastest_where_fat_would_miss_it() -> None:
    found = planned({(1, 1): 1.0, (2, 2): 1.1}, 2, 2, 0.1)
    assert found.recommended == found.fat
    for limit, kept in ((1.05, found.fastest), (1.2, found.fat), (0.9, found.fat)):
        assert msgspec.structs.replace(found, limit=limit).recommended == kept


def test_other_optimizations_that_are_not_shown_to_be_slower_are_named() -> None:
    profiles = [
        msgspec.structs.replace(
            profile({(2, 2): value}, 0.02),
            variant=msgspec.structs.replace(VARIANT, optimization=f"takes {value}"),
        )
        for value in (1.5, 1.0, 1.03, 3.0)
    ]
    found = best_plan(profiles, 2, 2)
    assert found is not None
    assert found.plan.variant.optimization == "takes 1.0"
    assert [each.variant.optimization for each in found.close] == ["takes 1.03"]
    assert best_plan(profiles, 2, 1) is None


def test_the_lowest_recommended_latency_is_taken_not_that_of_a_split_that_is_too_close() -> None:
    close = msgspec.structs.replace(
        profile({(1, 1): 1.0, (2, 2): 1.1}, 0.1),
        variant=msgspec.structs.replace(VARIANT, optimization="close"),
    )
    found = best_plan([close, profile({(2, 2): 1.05}, 0.1)], 2, 2)
    assert found is not None
    assert (found.plan.variant.optimization, found.plan.recommended.predicted.value) == (
        "script",
        1.05,
    )


def test_the_front_has_the_best_split_of_fewer_and_fewer_cores() -> None:
    found = on_fewer_cores(profile({(1, 1): 1.0, (1, 2): 1.9, (1, 4): 3.8}), 4, 4)
    assert [(each.split.cores, each.predicted.value) for each in found] == [
        (4, 1.0), (2, 1.9), (1, 3.8),
    ]  # fmt: skip


tables = st.dictionaries(
    st.tuples(st.integers(1, 5), st.integers(1, 8)),
    st.integers(1, 6).map(lambda value: value / 10),
    min_size=1,
    max_size=12,
)


@given(tables, st.integers(1, 5), st.integers(1, 8))
@settings(max_examples=200, deadline=None)
def test_the_front_is_the_best_on_every_number_of_cores(
    values: Values, cores: int, batch: int
) -> None:
    found = [each.split for each in on_fewer_cores(profile(values), cores, batch)]
    speeds = [slowest(values, split) for split in found]
    assert speeds == sorted(set(speeds))
    on = {split.cores: split for split in found}
    for count in range(1, cores + 1):
        best = solve(values, count, batch)
        fitting = [split for used, split in on.items() if used <= count]
        assert best == (max(fitting, key=lambda split: split.cores) if fitting else None)


def test_a_limit_gives_the_highest_throughput_or_nothing() -> None:
    values = {(1, 1): 1.0, (1, 4): 3.0}
    within = fastest_within(profile(values), 2, 3.0)
    assert within is not None
    assert str(within.split) == "<2, 1, 4>"
    assert within.throughput == pytest.approx(8 / 3)
    assert fastest_within(profile(values), 2, 0.5) is None


@given(tables, st.integers(1, 5), st.integers(1, 8), st.floats(0.0, 0.3))
@settings(max_examples=200, deadline=None)
def test_no_answer_is_slower_than_fat_and_none_is_recommended_that_is_not_shown_to_be_faster(
    values: Values, cores: int, batch: int, error: float
) -> None:
    known_batches = profile(values, error)
    found = plan(known_batches, cores, batch)
    best = solve(values, cores, batch)
    if found is None:
        assert best is None
        return
    rivals = [each for each in (found.fat, found.thin) if each is not None]
    for each in rivals:
        assert found.fastest.predicted.value <= each.predicted.value
    if best is not None:
        assert found.fastest.predicted.value <= slowest(values, best)
    if found.fat is not None and found.recommended != found.fat:
        assert found.standing("fat") == "faster"
        assert found.recommended.predicted.value < found.fat.predicted.value
    splits = [found.fastest, *rivals]
    assert found.recommended in splits
    for each in splits:
        assert each.split.batch == batch
        assert each.split.cores <= cores
        assert each.predicted.low <= each.predicted.value <= each.predicted.high
    front = front_of(found, known_batches)
    assert front[0] == found.fastest
    for more, less in itertools.pairwise(front):
        assert more.split.cores > less.split.cores
        assert more.predicted.value < less.predicted.value


GAINS = {(1, 4): 1.0, (1, 8): 2.2, (2, 8): 1.5}


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (
            GAINS,
            ["250 ms of core time", "375 ms", "saves 27 %", "batch 4 instead of 8 saves 9.1 %"],
        ),
        ({**GAINS, (1, 8): 1.6}, ["saves 47 %", "batch 4 instead of 8 costs 25 % more"]),
        ({(1, 4): 1.0, (2, 8): 1.5}, ["250 ms of core time in the split and 375 ms"]),
        ({(1, 4): 1.0, (2, 8): 0.9}, ["No split is predicted to be faster than one instance"]),
        ({(1, 4): 1.0}, ["no cell of 2 threads and batch 8 to compare with"]),
        ({(1, 4): 1.0, (2, 8): 2.5}, ["more", "than 2 cores can give", "probably wrong"]),
    ],
)
def test_where_the_speedup_comes_from_is_one_sentence(values: Values, words: list[str]) -> None:
    told = explain(planned(values, 2, 8), profile(values))
    assert [word for word in words if word not in told] == []


@pytest.mark.parametrize(
    ("relation", "word"),
    [
        ("unclear", "Too close to call"),
        ("equivalent", "no practical difference"),
        ("slower", "one instance on both cores was faster"),
        ("faster", "the split was faster"),
    ],
)
def test_no_gain_is_explained_that_is_not_shown(relation: Relation, word: str) -> None:
    values = {(1, 4): 1.0, (2, 8): 1.05}
    found = msgspec.structs.replace(planned(values, 2, 8, 0.1), shown={"fat": relation})
    told = explain(found, profile(values, 0.1))
    assert ("core time" in told) == (relation == "faster")
    assert word in told or relation == "faster"
