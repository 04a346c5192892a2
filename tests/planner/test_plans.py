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
    Known,
    Plan,
    Profile,
    explain,
    fastest_within,
    interpolated,
    on_fewer_cores,
    outcome_of,
    plan,
    profiles_of,
    proof_of,
    verifications_of,
)
from coresplit.planner.interference import Interference, Pair, calibrate
from coresplit.planner.plan import option_of
from coresplit.planner.profile import Doubt, neighbours_on
from coresplit.planner.solver import slowest, solve
from coresplit.records import (
    Cell,
    Configuration,
    Core,
    Estimate,
    JournalEntry,
    Machine,
    Measurement,
    ModelInfo,
    Published,
    Run,
    Setting,
    Settings,
    Trial,
    Verdict,
    Verification,
    split_of,
)

Values = dict[tuple[int, int], float]
VALUELESS: tuple[tuple[int, Verdict], ...] = ((2, "skipped"), (3, "failed"), (4, "invalid"))
LIKE = Cell(optimization="script", threads=1, batch=1)


def known(value: float, spread: float = 0.0, doubts: Iterable[Doubt] = ()) -> Known:
    return Known(
        low=value * (1 - spread),
        latency=value,
        high=value * (1 + spread),
        doubts=frozenset(doubts),
    )


def profile(values: Values, spread: float = 0.0) -> Profile:
    return Profile(like=LIKE, cells={cell: known(value, spread) for cell, value in values.items()})


def planned(values: Values, cores: int, batch: int, spread: float = 0.0) -> Plan:
    found = plan(profile(values, spread), cores, batch)
    assert found is not None
    return found


def measured(threads: int, batch: int, value: float, setting: Setting = "isolated") -> Measurement:
    cell = Cell(optimization="script", threads=threads, batch=batch, setting=setting)
    return Measurement(cell=cell, verdict="measured", reason="", samples=(value,) * 8)


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
    estimate = Estimate(low=0.1, latency=0.2, high=0.4)
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
    assert found.cells == {
        (1, 1): Known(low=0.1, latency=0.1, high=0.1),
        (1, 2): Known(low=0.1, latency=0.2, high=0.4, doubts=frozenset({"estimated"})),
    }
    assert (found.threads, found.batches) == ((1,), (1, 2))


def test_the_range_of_a_published_mean_is_no_interval_of_it() -> None:
    cell = Cell(optimization="script", threads=1, batch=1)
    published = Published(minimum=0.1, mean=0.2, maximum=0.9)
    run = run_of([Measurement(cell=cell, verdict="measured", reason="", published=published)])
    assert profiles_of(run)[0].cells[1, 1] == Known(low=0.2, latency=0.2, high=0.2)


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
    assert found.like.setting == "packed"
    assert found.interference is not None
    assert found.interference.slope == pytest.approx(0.4)
    assert found.cells[1, 1].latency == 0.1 * slower
    assert found.cells[1, 1].doubts == frozenset()
    assert found.cells[1, 2].latency == pytest.approx(0.2 * slower)
    assert found.cells[1, 2].doubts == {"scaled"}
    assert found.cells[4, 2] == Known(low=0.06, latency=0.06, high=0.06)
    (alone,) = profiles_of(run, "isolated")
    assert alone.like.setting == "isolated"
    assert alone.latencies(4) == {(1, 1): 0.1, (1, 2): 0.2, (4, 2): 0.06}
    assert profiles_of(run_of([measured(1, 1, 0.1)]), "packed") == ()


def test_an_optimization_without_packed_cells_is_scaled_as_the_others_of_the_run() -> None:
    slower = math.exp(0.75 * 0.4)
    lonely = measured(1, 1, 0.05)
    lonely = msgspec.structs.replace(
        lonely, cell=msgspec.structs.replace(lonely.cell, optimization="openvino")
    )
    run = run_of([measured(1, 1, 0.1), measured(1, 1, 0.1 * slower, "packed"), lonely])
    _, found = profiles_of(run)
    assert (found.like.optimization, found.like.setting) == ("openvino", "packed")
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
    assert str(mixed.best.split) == "<1, 3, 7> + <1, 1, 1>"
    assert mixed.best.predicted.latency == pytest.approx(1.4 * math.exp(0.25 * 0.4))
    assert mixed.best.doubts == ("scaled",)
    assert lone is not None
    assert (str(lone.best.split), lone.best.predicted.latency) == ("<1, 3, 7>", 1.4)
    assert lone.best.doubts == ()


def test_an_instance_is_the_faster_the_fewer_cores_are_busy_beside_it() -> None:
    run = run_of([measured(1, 1, 1.0), measured(1, 1, 1.331, "packed"), measured(4, 1, 1.2)])
    (found,) = profiles_of(run)
    cell = 1, 1
    assert [found.among(cell, busy).latency for busy in (1, 2, 3, 4)] == pytest.approx(
        [1.0, 1.1, 1.21, 1.331]
    )
    assert [found.among(cell, busy).doubts for busy in (1, 2, 4)] == [set(), {"scaled"}, set()]
    for busy in (1, 2, 3, 4):
        places = [cell, (4, 1)] if busy == 4 else [cell]
        assert found.latencies(busy) == {
            place: found.among(place, busy).latency for place in places
        }
    front = on_fewer_cores(found, 4, 1)
    assert [(str(each.split), each.predicted.latency) for each in front] == [("<1, 1, 1>", 1.0)]
    two = plan(found, 4, 2)
    assert two is not None
    assert str(two.best.split) == "<2, 1, 1>"
    assert two.best.predicted.latency == pytest.approx(1.1)
    within = fastest_within(found, 4, 1.25)
    assert within is not None
    assert str(within.split) == "<3, 1, 1>"
    assert within.predicted.latency == pytest.approx(1.21)


def test_copies_that_leave_cores_idle_take_what_was_measured_of_them() -> None:
    run = run_of([measured(6, 8, 0.1), measured(6, 8, 0.15, "packed")], cores=16)
    (found,) = profiles_of(run)
    two, one = plan(found, 16, 16), plan(found, 16, 8)
    assert two is not None
    assert (str(two.best.split), two.best.predicted.latency) == ("<2, 6, 8>", 0.15)
    assert two.best.doubts == ()
    assert one is not None
    assert (one.best.predicted.latency, one.best.doubts) == (0.1, ())
    half = found.among((6, 8), 9)
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
    assert str(mixed.best.split) == "<2, 6, 8>"
    most = found.among((6, 8), 16)
    assert most.latency == pytest.approx(0.1 * 1.5 ** (10 / 6))
    assert most.doubts == {"scaled"}
    assert found.among((6, 4), 16).latency == pytest.approx(0.06 * math.exp(slope * 10 / 16))
    assert found.latencies(16)[6, 8] == most.latency


def test_beyond_the_copies_the_interval_widens_and_no_gain_is_carried_further() -> None:
    slowed = Profile(
        like=LIKE, cells={(6, 1): known(1.5, 0.02)}, alone={(6, 1): known(1.0, 0.1)}, cores=16
    )
    found = slowed.among((6, 1), 16)
    assert found.low == pytest.approx(1.1 * (1.47 / 1.1) ** (10 / 6))
    assert found.latency == pytest.approx(1.5 ** (10 / 6))
    assert found.high == pytest.approx(0.9 * (1.53 / 0.9) ** (10 / 6))
    faster = msgspec.structs.replace(slowed, cells={(6, 1): known(0.97)})
    assert faster.among((6, 1), 16).latency == faster.latencies(16)[6, 1] == 0.97


values_of_cells = st.floats(0.1, 10.0)


@given(st.integers(2, 24), st.data())
@settings(max_examples=200, deadline=None)
def test_the_more_cores_are_busy_the_longer_an_instance_takes(
    cores: int, data: st.DataObject
) -> None:
    place = data.draw(st.integers(1, cores)), 1
    alone, packed = sorted(data.draw(st.tuples(values_of_cells, values_of_cells)))
    spread = data.draw(st.floats(0.0, 0.2))
    found = Profile(
        like=LIKE, cells={place: known(packed, spread)}, alone={place: known(alone, 0.1)},
        cores=cores,
    )  # fmt: skip
    taken = [found.among(place, busy) for busy in range(place[0], cores + 1)]
    for less, more in itertools.pairwise(taken):
        assert less.latency <= more.latency * (1 + 1e-12)
    for busy, each in enumerate(taken, start=place[0]):
        assert each.low * (1 - 1e-12) <= each.latency <= each.high * (1 + 1e-12)
        assert found.latencies(busy)[place] == each.latency
    neighbours = neighbours_on(cores, place[0])
    among_copies = found.among(place, place[0] + neighbours)
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
    found = Profile(like=LIKE, cells=cells, alone=alone, cores=5)
    splits = every_split({place: each.latency for place, each in cells.items()}, cores, batch)
    best = min(
        (option_of(found, split_of(split)).predicted.latency for split in splits), default=None
    )
    answer = plan(found, cores, batch)
    assert (answer and answer.best.predicted.latency) == best


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
    assert found.latencies(2) == {(1, 1): 1.2, (1, 2): pytest.approx(2.4), (2, 1): 0.7}
    assert found.latencies(1) == {(1, 1): 1.0, (1, 2): 2.0}


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
        estimate=Estimate(low=value, latency=value, high=value),
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
    assert found.cells[1, 4] == known(0.5, doubts={"estimated"})
    assert found.cells[1, 8].doubts == {"estimated", "scaled"}
    guessed = run_of([measured(1, 1, 0.1), estimated(1, 1, 0.2, "packed")])
    assert profiles_of(guessed)[0].like.setting == "isolated"


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
    assert found.cells[1, 4].low == pytest.approx(7.0 * 0.9)
    assert found.cells[1, 4].high == pytest.approx(7.0 * 1.1)
    assert found.cells[1, 3].doubts == {"interpolated"}
    assert found.cells[1, 5].doubts == frozenset()
    assert (2, 2) not in found.cells
    unsure = {**values.cells, (1, 5): known(9.0, doubts={"estimated"})}
    guessed = interpolated(msgspec.structs.replace(values, cells=unsure), largest=4)
    assert guessed.cells[1, 3].doubts == {"interpolated", "estimated"}


def test_a_prediction_is_the_slowest_of_its_instances_with_the_widest_bounds() -> None:
    cells = {
        (2, 3): Known(low=0.9, latency=1.0, high=1.1),
        (1, 1): Known(low=0.5, latency=0.9, high=1.4, doubts=frozenset({"unstable"})),
    }
    found = plan(Profile(like=LIKE, cells=cells), 3, 4)
    assert found is not None
    assert str(found.best.split) == "<1, 2, 3> + <1, 1, 1>"
    assert found.best.predicted == Estimate(low=0.9, latency=1.0, high=1.4)
    assert found.best.doubts == ("unstable",)


def test_fat_is_one_instance_on_all_cores_and_thin_the_best_of_one_thread_each() -> None:
    found = planned({(1, 1): 3.0, (1, 2): 5.0, (2, 2): 2.0, (4, 4): 4.0}, 4, 4)
    assert str(found.best.split) == "<2, 2, 2>"
    assert found.fat is not None
    assert found.thin is not None
    assert (str(found.fat.split), found.fat.predicted.latency) == ("<1, 4, 4>", 4.0)
    assert (str(found.thin.split), found.thin.predicted.latency) == ("<4, 1, 1>", 3.0)
    assert [name for name, _ in found.configurations] == ["split", "fat", "thin"]
    assert found.best.throughput == 2.0


def test_rivals_that_the_profile_lacks_are_none_and_those_that_are_the_split_are_run_once() -> None:
    found = planned({(2, 2): 2.0}, 4, 4)
    assert found.fat is found.thin is None
    assert found.speedup("fat") is None
    thin = planned({(1, 1): 1.0, (4, 4): 4.0}, 4, 4)
    assert [name for name, _ in thin.configurations] == ["split", "fat"]


def test_fat_is_interpolated_where_its_batch_was_not_profiled_and_may_then_be_faster() -> None:
    values = {(1, 1): 1.0, (1, 2): 2.0, (1, 4): 4.0, (2, 2): 1.1, (2, 4): 2.1}
    found = planned(values, 2, 3)
    assert (str(found.best.split), found.best.predicted.latency) == ("<1, 1, 2> + <1, 1, 1>", 2.0)
    assert found.fat is not None
    assert (str(found.fat.split), found.fat.predicted.latency) == ("<1, 2, 3>", 1.6)
    assert found.fat.doubts == ("interpolated",)
    speedup = found.speedup("fat")
    assert speedup is not None
    assert (speedup.ratio, speedup.tie) == (0.8, False)
    assert [name for name, _ in found.configurations] == ["split", "fat"]
    assert explain(found, profile(values)) == (
        "One instance on all 2 cores is predicted 1.25 times as fast as the split, whose batches "
        "were measured while 3 itself was not"
    )
    assert planned({(1, 1): 1.0, (1, 2): 2.0, (2, 4): 2.1}, 2, 3).fat is None


@pytest.mark.parametrize(
    ("fat", "spread", "noise", "tie"),
    [
        (1.3, 0.0, None, False),
        (1.3, 0.1, None, False),
        (1.3, 0.2, None, True),
        (1.3, 0.0, 0.25, False),
        (1.3, 0.0, 0.35, True),
        (1.0, 0.0, None, True),
    ],
)
def test_a_gain_within_the_noise_or_overlapping_intervals_is_a_tie(
    fat: float, spread: float, noise: float | None, tie: bool
) -> None:
    found = plan(profile({(1, 1): 1.0, (2, 2): fat}, spread), 2, 2, noise)
    assert found is not None
    if fat == 1.0:
        assert found.best.split.count == 1
    speedup = found.speedup("fat")
    assert speedup is not None
    assert speedup.ratio == fat
    assert speedup.low == pytest.approx(fat * (1 - spread) / (1 + spread))
    assert speedup.tie == tie


def test_the_front_has_the_best_split_of_fewer_and_fewer_cores() -> None:
    found = on_fewer_cores(profile({(1, 1): 1.0, (1, 2): 1.9, (1, 4): 3.8}), 4, 4)
    assert [(each.split.cores, each.predicted.latency) for each in found] == [
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


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        (
            {(1, 4): 1.0, (1, 8): 2.2, (2, 8): 1.5},
            "An input costs 250 ms of core time in the split and 375 ms in one instance on all 2 "
            "cores: 1 thread an instance instead of 2 saves 27 %, batch 4 instead of 8 saves 9.1 %",
        ),
        (
            {(1, 4): 1.0, (1, 8): 1.6, (2, 8): 1.5},
            "An input costs 250 ms of core time in the split and 375 ms in one instance on all 2 "
            "cores: 1 thread an instance instead of 2 saves 47 %, batch 4 instead of 8 costs 25 % "
            "more",
        ),
        (
            {(1, 4): 1.0, (2, 8): 1.5},
            "An input costs 250 ms of core time in the split and 375 ms in one instance on all 2 "
            "cores",
        ),
        (
            {(1, 4): 1.0, (2, 8): 0.9},
            "One instance on all 2 cores is the fastest: splitting gains nothing",
        ),
        (
            {(1, 4): 1.0},
            "The run has no cell of 2 threads and batch 8 to compare with",
        ),
    ],
)
def test_where_the_speedup_comes_from_is_one_sentence(values: Values, sentence: str) -> None:
    assert explain(planned(values, 2, 8), profile(values)) == sentence


def test_a_tie_is_not_explained_as_a_gain() -> None:
    values = {(1, 4): 1.0, (2, 8): 1.05}
    told = explain(planned(values, 2, 8, spread=0.1), profile(values, 0.1))
    assert told == (
        "The split is predicted 1.05 times as fast as one instance on all 2 cores, which is "
        "within what the run can tell apart"
    )


def trial(
    name: Configuration, cells: Sequence[tuple[int, int]], *samples: float, predicted: float = 1.0
) -> Trial:
    estimate = Estimate(low=predicted, latency=predicted, high=predicted)
    return Trial(name=name, split=split_of(cells), predicted=estimate, samples=samples)


def verification(*trials: Trial, at: float = 1.0) -> Verification:
    return Verification(
        at=at, optimization="script", setting="isolated", cores=2, batch=8, trials=trials
    )


SPLIT = [(1, 4), (1, 4)]


@pytest.mark.parametrize(("fat", "verdict"), [(1.2, "confirmed"), (1.0, "tied"), (0.8, "refuted")])
def test_a_verdict_needs_ratios_that_are_all_on_one_side(fat: float, verdict: str) -> None:
    found = outcome_of(
        verification(trial("split", SPLIT, *[1.0] * 8), trial("fat", [(2, 8)], *[fat] * 8))
    )
    assert found.verdict == verdict
    assert found.speedups["fat"].ratio == fat
    assert found.speedups["fat"].tie == (verdict == "tied")
    assert found.floor == 0.0


def test_drift_that_all_configurations_share_does_not_hide_a_gain() -> None:
    drift = (1.0, 1.3, 0.8, 1.1, 1.5, 0.9, 1.2, 1.0)
    found = outcome_of(
        verification(
            trial("split", SPLIT, *drift),
            trial("fat", [(2, 8)], *(1.1 * value for value in drift)),
        )
    )
    assert found.verdict == "confirmed"
    assert found.speedups["fat"].low == pytest.approx(1.1)
    assert found.measured["split"].latency.latency == pytest.approx(1.05)


@pytest.mark.parametrize(("noise", "verdict"), [(0.05, "confirmed"), (0.15, "tied")])
def test_no_difference_below_the_noise_floor_of_the_run_is_named(
    noise: float, verdict: str
) -> None:
    found = outcome_of(
        verification(trial("split", SPLIT, *[1.0] * 8), trial("fat", [(2, 8)], *[1.1] * 8)), noise
    )
    assert (found.verdict, found.floor) == (verdict, noise)


def test_five_rounds_prove_nothing() -> None:
    found = outcome_of(
        verification(trial("split", SPLIT, *[1.0] * 5), trial("fat", [(2, 8)], *[2.0] * 5))
    )
    assert found.verdict == "tied"


def test_ratios_that_scatter_about_one_are_a_tie_whatever_their_median() -> None:
    fat = (1.02, 0.97, 1.05, 0.99, 1.03, 0.96, 1.04, 1.01)
    found = outcome_of(
        verification(trial("split", SPLIT, *[1.0] * 8), trial("fat", [(2, 8)], *fat))
    )
    assert found.verdict == "tied"


def test_a_rival_that_is_proven_faster_refutes_whatever_the_other_does() -> None:
    found = outcome_of(
        verification(
            trial("split", SPLIT, *[1.0] * 8),
            trial("fat", [(2, 8)], *[1.5] * 8),
            trial("thin", [(1, 8)], *[0.9] * 8),
        )
    )
    assert found.verdict == "refuted"


def test_an_error_is_predicted_over_measured_less_one() -> None:
    found = outcome_of(verification(trial("split", SPLIT, *[1.25] * 8)))
    assert found.measured["split"].error == pytest.approx(-0.2)
    assert (found.verdict, found.speedups) == ("tied", {})


def test_rounds_of_one_verification_are_joined_and_the_newest_one_is_the_proof() -> None:
    rounds = [
        verification(trial("split", SPLIT, value), trial("fat", [(2, 8)], 2 * value), at=at)
        for at, value in ((1.0, 1.0), (1.0, 1.1), (2.0, 3.0), (2.0, 3.1), (2.0, 3.2))
    ]
    journal: list[JournalEntry] = list(rounds)
    first, second = verifications_of(journal)
    assert first.trials[0].samples == (1.0, 1.1)
    assert second.trials[1].samples == (6.0, 6.2, 6.4)
    values = {(1, 4): 1.0, (2, 8): 1.5}
    assert proof_of(planned(values, 2, 8), journal) == second
    assert proof_of(planned({(2, 8): 1.5}, 2, 8), journal) is None
    assert proof_of(planned({**values, (1, 2): 0.4, (1, 6): 1.1}, 2, 8), []) is None
