"""What is made of latencies and of the generator's own CPU and lateness, with exact numbers."""

import time

import pytest
from hdrh.histogram import HdrHistogram
from hypothesis import given, settings
from hypothesis import strategies as st

from coresplit.loading.percentiles import beyond, latency_of, rank
from coresplit.loading.tally import Tally, limit_of
from coresplit.loading.watch import split_of
from coresplit.records.load import LoadRun


def summary(tally: Tally) -> LoadRun:
    return tally.run(
        url="u",
        asked="a",
        unfinished=0,
        connections=1,
        interrupted=False,
        stopped_early=False,
    )


@pytest.mark.parametrize(
    ("count", "share", "value"),
    [(10, 0.5, 5), (10, 0.9, 9), (10, 0.91, 10), (100, 0.99, 99), (1, 0.5, 1), (3, 0.5, 2)],
)
def test_a_rank_is_the_least_that_the_share_does_not_exceed(
    count: int, share: float, value: int
) -> None:
    assert rank(range(1, count + 1), share) == value


def test_a_percentile_needs_one_beyond_it() -> None:
    assert [beyond(n, 0.99) for n in (99, 100)] == [False, True]
    assert [beyond(n, 0.999) for n in (999, 1000)] == [False, True]


def test_a_percentile_is_no_rank_too_low() -> None:
    found, _, _ = latency_of([k / 1000 for k in range(1, 161)])
    assert found is not None
    # 99 % of 160 are 158.4, so the 158th is exceeded by too many
    assert found.p99 == 0.159


def test_percentiles_are_those_of_the_histogram() -> None:
    found, points, encoded = latency_of([k / 1000 for k in range(1, 1001)])
    assert found is not None
    assert (found.count, found.max) == (1000, 1.0)
    assert found.mean == pytest.approx(0.5005)
    named = (found.p50, found.p90, found.p99, found.p999)
    assert named == pytest.approx((0.5, 0.9, 0.99, 0.999), rel=1.1e-3)
    assert points[-1][0] == 1.0
    assert points[-1][1] == pytest.approx(1.0, rel=1.1e-3)
    assert HdrHistogram.decode(encoded).get_total_count() == 1000
    assert latency_of([]) == (None, (), "")


@given(st.lists(st.floats(0, 3600), min_size=1, max_size=300))
@settings(deadline=None)
def test_percentiles_are_the_true_ones(latencies: list[float]) -> None:
    found, _, _ = latency_of(latencies)
    assert found is not None
    ordered = sorted(latencies)
    assert (found.p50, found.max) == (rank(ordered, 0.5), ordered[-1])


@pytest.mark.parametrize(
    ("cpu", "lag", "p99", "limit"),
    [
        (0.5, 0.0001, 0.01, ""),
        (0.95, 0.0001, 0.01, "cpu"),
        (0.5, 0.0009, 0.001, ""),
        (0.5, 0.002, 0.019, "lag"),
        (0.5, 0.002, 0.021, ""),
        (0.5, None, 0.01, ""),
        (0.5, 0.5, None, ""),
    ],
)
def test_a_generator_is_the_bottleneck_by_its_core_or_its_lateness(
    cpu: float, lag: float | None, p99: float | None, limit: str
) -> None:
    assert limit_of(cpu, lag, p99) == limit


def test_requests_belong_to_the_second_they_were_due_in() -> None:
    begun = time.monotonic()
    tally = Tally(begun, warmup=1.0, within=0.5)
    for due_at, took in ((0.5, 0.1), (1.2, 0.1), (1.9, 0.8), (2.5, 0.2)):
        tally.due(begun + due_at)
        tally.answered(begun + due_at, begun + due_at + took, 3)
    tally.due(begun + 2.6)
    tally.failed(begun + 2.6, "status 503")
    tally.end(begun + 3.0)
    run = summary(tally)
    assert [second.due for second in run.seconds] == [1, 2, 2]
    assert [second.answers for second in run.seconds] == [1, 1, 2]
    assert [second.failed for second in run.seconds] == [0, 0, 1]
    assert [second.max for second in run.seconds] == pytest.approx([0.1, 0.8, 0.2])
    assert (run.due, run.answered, run.failed, run.late) == (4, 3, 1, 2)
    assert run.rows == 9
    assert run.window_s == pytest.approx(2.0)
    assert run.throughput == pytest.approx(1.5)
    assert run.errors == {"status 503": 1}


def test_answers_after_the_end_are_no_throughput_but_have_a_latency() -> None:
    begun = time.monotonic()
    tally = Tally(begun, warmup=0.0, within=1.0)
    for due_at in (0.2, 0.9):
        tally.due(begun + due_at)
    tally.answered(begun + 0.2, begun + 0.4, 1)
    tally.end(begun + 1.0)
    tally.answered(begun + 0.9, begun + 5.9, 1)
    run = summary(tally)
    assert run.answered == 2
    assert run.throughput == pytest.approx(1.0)
    assert run.latency is not None
    assert run.latency.max == pytest.approx(5.0)


@pytest.mark.parametrize(
    ("body", "split"),
    [
        (b'{"instance_group": [{"name": "m", "count": 2}]}', (2, "2")),
        (
            b'{"instance_group": [{"name": "wide", "count": 1}, {"name": "narrow", "count": 4}]}',
            (5, "1 wide + 4 narrow"),
        ),
        (b'{"instance_group": [{"kind": "KIND_CPU"}]}', (1, "1")),
        (b'{"instance_group": []}', None),
        (b'{"name": "m"}', None),
        (b'{"instance_group": 3}', None),
        (b"nonsense", None),
    ],
)
def test_a_split_is_read_from_what_a_server_says(
    body: bytes, split: tuple[int, str] | None
) -> None:
    assert split_of(body) == split
