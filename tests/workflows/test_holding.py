"""The instances that answer the most requests in time, in a simulation."""

import random
from itertools import accumulate

import msgspec
import plan_runs
import pytest

from coresplit.planner import cores_of, profiles_of
from coresplit.serving.adapting.simulation import Replay, simulate
from coresplit.serving.adapting.sources import Open
from coresplit.workflows.candidates import Serving, servings_of
from coresplit.workflows.simulating.holding import (
    ROUNDS,
    Holding,
    holding,
    most_held,
    ratios,
    requests_of,
)


def servings() -> dict[str, Serving]:
    run = plan_runs.four_cores()
    return {each.name: each for each in servings_of(run, profiles_of(run), cores_of(run))}


def sure(serving: Serving) -> Serving:
    """Latencies that no error of the measurement may have moved."""
    full = serving.capacity.full
    location = msgspec.structs.replace(full.location, error=0.0)
    capacity = msgspec.structs.replace(
        serving.capacity, full=msgspec.structs.replace(full, location=location)
    )
    return msgspec.structs.replace(serving, capacity=capacity)


def held(serving: Serving, *rates: float) -> Holding:
    return Holding(serving=serving, rates=rates)


def replayed(serving: Serving, rate: float, slo_s: float, round_: int) -> Replay:
    """A round at a rate, simulated anew."""
    chance = random.Random(round_)
    due = list(accumulate(chance.expovariate(1.0) for _ in range(requests_of(serving, slo_s))))
    candidate = msgspec.structs.replace(serving.candidate, limit_s=slo_s)
    source = Open((at / rate, 1) for at in due)
    return simulate({"": candidate}, source, first="", seed=round_)


def late_of(serving: Serving, rate: float, slo_s: float, round_: int) -> int:
    """How many of a round's requests are late."""
    return sum(took > slo_s for took in replayed(serving, rate, slo_s, round_).latencies)


@pytest.mark.parametrize("name", ["1x4 script", "2x2 script", "4x1 script"])
def test_at_the_rate_that_is_found_one_percent_is_late_and_above_it_more(name: str) -> None:
    serving = sure(servings()[name])
    found = holding(serving, 0.1)
    assert len(found.rates) == ROUNDS
    for round_, rate in enumerate(found.rates):
        allowed = 0.01 * requests_of(serving, 0.1)
        assert late_of(serving, rate, 0.1, round_) <= allowed
        most = replayed(serving, 4 * serving.capacity.throughput, 0.1, round_).throughput
        # a request that is late with these arrivals may not be with those of the next step
        above = [late_of(serving, 1.02**n * rate, 0.1, round_) for n in (1, 2)]
        assert max(above) > allowed or 1.02 * rate >= most


def test_a_longer_latency_never_holds_a_lower_rate() -> None:
    serving = sure(servings()["2x2 script"])
    rates = [holding(serving, slo_s).rate for slo_s in (0.02, 0.04, 0.08, 0.16)]
    assert rates == sorted(rates)
    assert rates[0] < rates[-1]


def test_what_takes_longer_alone_holds_no_rate() -> None:
    serving = sure(servings()["4x1 script"])
    none = holding(serving, 0.9 * serving.capacity.first_s)
    assert set(none.rates) == {0.0}
    assert most_held([none]) is None
    assert most_held([]) is None
    some = holding(servings()["1x4 script"], 0.9 * serving.capacity.first_s)
    assert most_held([none, some]) is some


def test_a_forward_that_takes_most_of_the_time_allowed_loses_whatever_its_throughput() -> None:
    found = servings()
    both, thin = found["2x2 script"], found["4x1 script"]
    assert thin.capacity.throughput > 1.1 * both.capacity.throughput
    slo_s = 1.3 * thin.capacity.first_s
    each = [holding(serving, slo_s) for serving in (both, thin)]
    assert most_held(each) is each[0]
    each = [holding(serving, 100 * slo_s) for serving in (both, thin)]
    assert most_held(each) is each[1]
    # a backlog that ends before anything is late is no rate that holds
    assert all(one.rate <= one.serving.capacity.throughput for one in each)


def test_a_difference_of_rates_is_named_only_where_every_round_shows_it() -> None:
    one, other = servings()["1x4 script"], servings()["2x2 script"]
    clear, vague = ratios(
        held(one, 30.0, 31.0, 29.0, 30.0, 30.5, 29.5, 30.0, 30.2),
        [
            held(other, 15.0, 15.4, 14.6, 15.0, 15.2, 14.7, 15.1, 15.0),
            held(other, 20.0, 45.0, 29.0, 12.0, 30.0, 60.0, 25.0, 33.0),
        ],
    )
    assert clear is not None
    assert vague is not None
    assert clear.relation == "faster"
    assert clear.ratio == pytest.approx(2.0, rel=0.02)
    assert vague.relation == "unclear"


def test_a_rival_that_holds_no_rate_is_not_compared() -> None:
    one, other = servings()["1x4 script"], servings()["2x2 script"]
    none, some = ratios(
        held(one, 28.0, 30.0, 31.0, 29.0, 30.0, 32.0, 27.0, 30.0),
        [held(other, *[0.0] * 8), held(other, *[15.0, 15.1] * 4)],
    )
    assert none is None
    assert some is not None
    assert some.relation == "faster"


def test_no_rate_is_named_that_instances_cannot_sustain() -> None:
    """A queue that grows slowly is not late yet after some hundred requests."""
    serving = sure(servings()["4x1 script"])
    # each request costs the cores as much again as its forward
    slow = msgspec.structs.replace(serving.candidate, work_s=serving.capacity.first_s)
    slowed = msgspec.structs.replace(serving, candidate=slow)
    long = 1000 * serving.capacity.first_s
    source = Open((0.001 * n, 1) for n in range(900))
    sustained = simulate({"": slow}, source, first="").throughput
    assert sustained < 0.7 * serving.capacity.throughput
    assert holding(slowed, long).rate <= 1.05 * sustained
