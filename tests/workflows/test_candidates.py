"""Instances of a run as a load is replayed through them."""

import msgspec
import plan_runs
import pytest

from coresplit.planner import Profile, cores_of, profiles_of
from coresplit.records import Cell, Measurement, Run, Visit, split_of
from coresplit.workflows.candidates import (
    noise_of,
    serving_as_told,
    servings_of,
    short,
)


def profile_of(run: Run, name: str = "script") -> Profile:
    return next(each for each in profiles_of(run) if each.variant.optimization == name)


def test_what_nothing_else_beats_both_ways_may_serve() -> None:
    run = plan_runs.four_cores()
    found = servings_of(run, profiles_of(run), cores_of(run))
    assert [each.name for each in found] == ["1x4 script", "2x2 script", "4x1 script"]
    firsts = [each.capacity.first_s for each in found]
    most = [each.capacity.throughput for each in found]
    assert firsts == sorted(firsts)
    assert most == sorted(most)


def test_a_batch_takes_as_long_as_the_forwards_that_it_is_computed_in() -> None:
    run = plan_runs.four_cores()
    candidate = serving_as_told(run, profile_of(run), [4]).candidate
    assert candidate.most_rows == 8
    # three rows are two and one, seven are four, two and one
    assert candidate.busy.seconds(4, 3) == pytest.approx((14 + 9) / 1e3)
    assert candidate.busy.seconds(4, 7) == pytest.approx((26 + 14 + 9) / 1e3)
    assert candidate.busy.seconds(4, 8) == pytest.approx(60 / 1e3)


def test_one_of_several_busy_instances_is_answered_before_the_last_one() -> None:
    run = plan_runs.four_cores(settings=("isolated", "packed"))
    packed = Measurement(
        cell=Cell(optimization="script", threads=2, batch=1, setting="packed"),
        verdict="measured",
        reason="",
        samples=(0.020,) * 4,
        copies=((0.016, 0.020), (0.020, 0.016)) * 2,
        visits=(Visit(samples=4),),
    )
    measurements = [each for each in run.measurements if each.cell != packed.cell]
    run = msgspec.structs.replace(run, measurements=(*measurements, packed))
    candidate = serving_as_told(run, profile_of(run), [2, 2]).candidate
    assert candidate.busy.seconds(2, 1) == pytest.approx(0.018)
    assert candidate.alone is not None
    assert candidate.alone.seconds(2, 1) == pytest.approx(0.012)
    assert noise_of([packed]) == pytest.approx((16 / 18,) * 4 + (20 / 18,) * 4)


def test_a_split_is_written_by_its_threads() -> None:
    assert short(split_of([(1, 4), (1, 4), (8, 16)])) == "1x8+2x1"
    assert short(split_of([(2, 4), (2, 3)])) == "2x2"
