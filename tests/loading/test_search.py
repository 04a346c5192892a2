"""The search for the highest rate within a latency, against servers that are formulas."""

import random

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_compare import a_run

from coresplit.loading.search import REPEATS, Measure, search, trial_of
from coresplit.records.load import LoadSearch, LoadTrial


def up_to(capacity: float, limit_from: float = float("inf"), spread: float = 0.0) -> Measure:
    """Holds up to a rate, by chance near it; the generator is at its end from another on."""
    drawn = random.Random(1)

    def measure(rate: float) -> LoadTrial:
        held = rate * drawn.gauss(1, spread) <= capacity and rate < limit_from
        return LoadTrial(
            rate=rate,
            held=held,
            late=0 if held else 100,
            count=1000,
            throughput=rate,
            limit="cpu" if rate >= limit_from else "",
        )

    return measure


def found_by(measure: Measure, first: float = 10.0, precision: float = 0.05) -> LoadSearch:
    return search(measure, first, slo=0.1, percentile=99, precision=precision)


@given(st.floats(0.05, 1e5), st.floats(0.1, 1e4), st.sampled_from([0.02, 0.05, 0.3]))
@settings(deadline=None)
def test_the_interval_holds_the_capacity(capacity: float, first: float, precision: float) -> None:
    found = found_by(up_to(capacity), first, precision)
    assert found.low is not None
    assert found.high is not None
    assert found.low <= capacity < found.high
    assert found.high / found.low <= 1 + precision + 1e-9
    assert (found.limit, found.finished) == ("server", True)
    ends = [trial for trial in found.trials if trial.rate in (found.low, found.high)]
    assert len(ends) == 2 * REPEATS


def test_where_trials_differ_the_interval_is_wider() -> None:
    exact, vague = found_by(up_to(100)), found_by(up_to(100, spread=0.1))
    assert exact.low is not None and exact.high is not None
    assert vague.low is not None and vague.high is not None
    assert vague.low < 100 < vague.high
    assert vague.high / vague.low > exact.high / exact.low
    assert len(vague.trials) > len(exact.trials)


def test_a_generator_at_its_end_is_told_from_a_server() -> None:
    found = found_by(up_to(1000, limit_from=200))
    assert found.limit == "generator"
    assert found.low is not None
    assert found.high is not None
    assert found.low < 200 <= found.high * 1.0001
    assert all(trial.held for trial in found.trials if trial.rate < 200)


def test_a_trial_that_held_counts_however_late_the_generator_was() -> None:
    def measure(rate: float) -> LoadTrial:
        trial = up_to(100)(rate)
        assert trial is not None
        return msgspec.structs.replace(trial, limit="lag" if trial.held else "")

    found = found_by(measure)
    assert found.limit == "server"
    assert found.low is not None
    assert found.low == pytest.approx(100, rel=0.06)


def test_a_server_that_holds_nothing_and_one_that_holds_all() -> None:
    nothing = found_by(up_to(0))
    assert (nothing.low, nothing.limit) == (None, "server")
    everything = found_by(up_to(1e9))
    assert (everything.high, everything.limit) == (None, "none")
    assert everything.low is not None
    assert everything.low > 1e5


def test_an_end_that_is_asked_for_tells_what_is_known() -> None:
    count = iter(range(4))
    measure = up_to(100)
    found = found_by(lambda rate: measure(rate) if next(count, None) is not None else None)
    assert [trial.rate for trial in found.trials] == [10, 20, 40, 80]
    assert (found.low, found.high, found.finished) == (80, None, False)


@pytest.mark.parametrize(
    ("late", "unfinished", "percentile", "held"),
    [(10, 0, 99, True), (11, 0, 99, False), (9, 2, 99, False), (100, 0, 90, True)],
)
def test_a_trial_holds_if_no_more_are_late_than_lie_beyond_the_percentile(
    late: int, unfinished: int, percentile: float, held: bool
) -> None:
    run = msgspec.structs.replace(a_run(0.01, 0.02, 100), late=late, unfinished=unfinished)
    assert trial_of(run, 100, percentile).held == held
    stopped = msgspec.structs.replace(run, stopped_early=True)
    assert not trial_of(stopped, 100, percentile).held


def test_a_trial_of_too_few_requests_for_its_percentile_is_told() -> None:
    found = found_by(up_to(100.0))
    assert found.too_few is None
    trials = tuple(msgspec.structs.replace(each, count=99) for each in found.trials)
    assert msgspec.structs.replace(found, trials=trials).too_few == 99
    assert msgspec.structs.replace(found, low=None).too_few is None
