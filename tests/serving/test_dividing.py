"""Which instance takes how many rows next."""

from hypothesis import given
from hypothesis import strategies as st

from coresplit.serving.dividing import Lane, Latencies, divide, most_within

LINEAR = Latencies({(1, 1): 1.0, (1, 8): 8.0, (2, 1): 0.5, (2, 8): 4.0})


def test_idle_instances_share_rows_alike() -> None:
    lanes = [Lane(0.0, 1, 8), Lane(0.0, 1, 8)]
    assert divide(4, lanes, LINEAR) == [2, 2]
    assert divide(1, lanes, LINEAR) == [1, 0]


def test_a_busy_instance_takes_less_and_a_faster_one_more() -> None:
    assert divide(4, [Lane(2.5, 1, 8), Lane(0.0, 1, 8)], LINEAR) == [1, 3]
    assert divide(6, [Lane(0.0, 1, 8), Lane(0.0, 2, 8)], LINEAR) == [2, 4]


def test_none_takes_more_than_its_most_and_the_rest_waits() -> None:
    assert divide(9, [Lane(0.0, 1, 2), Lane(0.0, 1, 3)], LINEAR) == [2, 3]
    assert divide(9, [], LINEAR) == []


def test_latencies_run_straight_between_batches_and_follow_what_is_seen() -> None:
    found = Latencies({(1, 1): 1.0, (1, 4): 2.5}, weight=0.5)
    assert found.seconds(1, 2) == 1.5
    assert found.seconds(1, 8) == 5.0
    assert found.seconds(3, 1) == 0.0
    found.observe(1, 4, 3.5)
    assert found.seconds(1, 4) == 3.0
    found.observe(3, 2, 1.0)
    assert found.seconds(3, 1) == 0.5


def test_a_batch_is_no_longer_than_its_limit() -> None:
    assert most_within(LINEAR, 1, 8, 3.0) == 3
    assert most_within(LINEAR, 1, 8, 0.1) == 1
    assert most_within(LINEAR, 1, 8, float("inf")) == 8


@given(
    rows=st.integers(0, 40),
    lanes=st.lists(
        st.builds(Lane, st.floats(0, 10), st.sampled_from([1, 2]), st.integers(0, 8)), max_size=5
    ),
)
def test_the_last_end_is_the_earliest_that_any_division_has(rows: int, lanes: list[Lane]) -> None:
    taken = divide(rows, lanes, LINEAR)
    assert sum(taken) == min(rows, sum(lane.most for lane in lanes))
    assert all(count <= lane.most for count, lane in zip(taken, lanes, strict=True))
    ends = [
        lane.busy_s + LINEAR.seconds(lane.threads, count)
        for lane, count in zip(lanes, taken, strict=True)
        if count
    ]
    for lane, count in zip(lanes, taken, strict=True):
        if ends and count < lane.most:
            # one row more here would end no earlier than the last one does now
            assert lane.busy_s + LINEAR.seconds(lane.threads, count + 1) >= max(ends) - 1e-9
