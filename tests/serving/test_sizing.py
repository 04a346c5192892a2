"""How large the next batch is: small where that saves those who wait, large where many do."""

import math

import pytest
from adapting.loads import constant
from hypothesis import given
from hypothesis import strategies as st

from coresplit.serving.adapting.instances import Candidate
from coresplit.serving.adapting.simulation import Replay, simulate
from coresplit.serving.adapting.sources import Closed, Open, Source
from coresplit.serving.dividing import Lane, Latencies
from coresplit.serving.sizing import OVER_S, Rate, batches, next_batch

SIZES = (1, 2, 4, 8, 16)


def latencies(each_s: float, begin_s: float = 0.0, sizes: tuple[int, ...] = SIZES) -> Latencies:
    """A forward takes ``begin_s`` and so much for each row."""
    return Latencies({(1, size): begin_s + each_s * size for size in sizes})


SAVES_NOTHING, SAVES_MUCH = latencies(0.1), latencies(0.01, 0.1)


def test_where_a_batch_saves_nothing_requests_are_computed_one_by_one() -> None:
    assert [next_batch(waiting, 16, 1, SAVES_NOTHING, 2.0) for waiting in (1, 2, 3)] == [1, 1, 1]


def test_where_a_batch_saves_much_all_that_wait_are_computed_together() -> None:
    found = [next_batch(waiting, 16, 1, SAVES_MUCH, 10.0) for waiting in range(1, 17)]
    assert found == list(range(1, 17))


def test_a_batch_beyond_the_one_of_most_throughput_is_not_made() -> None:
    bad = Latencies({(1, 1): 0.1, (1, 2): 0.15, (1, 4): 0.2, (1, 8): 0.3, (1, 16): 1.2})
    assert next_batch(16, 16, 1, bad, 20.0) == 8
    assert next_batch(500, 16, 1, bad, 20.0) == 8


def test_a_long_queue_is_computed_with_the_most_throughput() -> None:
    slightly = Latencies({(1, 1): 0.1, (1, 2): 0.196, (1, 4): 0.38})
    assert next_batch(3, 4, 1, slightly, 5.0) < 3
    assert next_batch(6, 4, 1, slightly, 5.0) == 4
    assert next_batch(1000, 4, 1, slightly, 0.0) == 4


def test_what_is_not_known_is_tried() -> None:
    little = latencies(0.1, sizes=(1, 2))
    assert next_batch(9, 16, 1, little, 1.0) == 9
    assert next_batch(9, 16, 1, Latencies({}), 1.0) == 9
    assert next_batch(2, 16, 1, little, 1.0) == 1


@given(
    waiting=st.integers(0, 5000),
    most=st.integers(0, 64),
    known=st.dictionaries(st.integers(1, 64), st.floats(0, 10), max_size=8),
    rate=st.floats(0, 1e6),
)
def test_a_batch_is_never_more_than_waits_or_may_be_and_never_none(
    waiting: int, most: int, known: dict[int, float], rate: float
) -> None:
    taken = Latencies({(1, size): seconds for size, seconds in known.items()})
    found = next_batch(waiting, most, 1, taken, rate)
    assert min(1, waiting, most) <= found <= min(waiting, most)


def test_lanes_have_their_parts_of_what_waits_and_comes() -> None:
    lanes = [Lane(0.0, 1, 16), Lane(0.0, 1, 16), Lane(0.3, 1, 16)]
    assert batches([2, 2, 1], lanes, SAVES_NOTHING, 5, 3.0) == [1, 1, 1]
    assert batches([16, 16, 16], lanes, SAVES_MUCH, 400, 3.0) == [16, 16, 16]
    assert batches([0, 3, 0], lanes, SAVES_MUCH, 3, 3.0) == [0, 3, 0]


def test_a_rate_is_that_of_the_last_seconds() -> None:
    rate = Rate()
    for number in range(1000):
        rate.come(number / 10, 2)
    assert rate.at(100.0) == pytest.approx(20.0, rel=0.03)
    assert rate.at(100.0 + OVER_S) == pytest.approx(20.0 / math.e, rel=0.03)
    other = rate.copy()
    other.come(100.0, 1000)
    assert rate.at(100.0) < 21


def test_a_load_that_leaves_idle_time_is_served_sooner_and_a_full_one_as_fast(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    weak = Candidate(
        threads=(1,),
        most_rows=4,
        busy=Latencies({(1, 1): 0.05, (1, 2): 0.0975, (1, 3): 0.1475, (1, 4): 0.19}),
    )

    def replays() -> list[Replay]:
        sources: list[Source] = [Open(constant(12, 600)), Closed([(300, 32)])]
        return [simulate({"one": weak}, each, first="one") for each in sources]

    light, full = replays()
    whole = "coresplit.serving.adapting.instances.batches"
    monkeypatch.setattr(whole, lambda counts, lanes, known, waiting, rate: counts)
    light_before, full_before = replays()
    assert light.mean < 0.95 * light_before.mean
    assert light.quantile(0.99) < 0.95 * light_before.quantile(0.99)
    assert full.throughput > 0.99 * full_before.throughput
