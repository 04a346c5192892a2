"""Whether two servers differ, from rounds with exact numbers."""

import random

import msgspec
import pytest

from coresplit.loading.compare import compare
from coresplit.records.load import LoadCompared, LoadGenerator, LoadLatency, LoadLimit, LoadRun
from coresplit.stats.difference import of_rounds


def a_run(p50: float, p99: float | None, throughput: float, limit: LoadLimit = "") -> LoadRun:
    latency = LoadLatency(
        count=1000, mean=p50, p50=p50, p90=p50, p99=p99, p999=None, max=p99 or p50
    )
    generator = LoadGenerator(
        limit=limit, cpu=0.1, lag_p99=0.0, lag_max=0.0, waited=0, connections=1
    )
    return LoadRun(
        url="http://here",
        asked="",
        warmup_s=0.0,
        window_s=1.0,
        due=1000,
        answered=1000,
        failed=0,
        unfinished=0,
        late=0,
        throughput=throughput,
        rows=1000,
        errors={},
        latency=latency,
        distribution=(),
        histogram="",
        seconds=(),
        splits=(),
        generator=generator,
    )


def noisy(factor: float, seed: int, rounds: int = 10) -> list[LoadRun]:
    drawn = random.Random(seed)
    return [
        a_run(0.01 * factor * drawn.gauss(1, 0.02), 0.03 * drawn.gauss(1, 0.2), 100 / factor)
        for _ in range(rounds)
    ]


def by_what(found: tuple[LoadCompared, ...]) -> dict[str, LoadCompared]:
    return {each.what: each for each in found}


def test_a_clear_difference_is_named_and_a_vague_one_is_not() -> None:
    found = by_what(compare(noisy(1.0, 1), noisy(1.5, 2)))
    assert found["p50"].relation == "faster"
    assert found["p50"].low < 1.5 < found["p50"].high
    assert found["p50"].ratio == pytest.approx(1.5, rel=0.05)
    assert found["p99"].relation == "unclear"
    assert found["throughput"].ratio == pytest.approx(1.5)
    assert found["throughput"].relation == "faster"
    back = by_what(compare(noisy(1.5, 2), noisy(1.0, 1)))
    assert back["p50"].relation == "slower"


def test_the_same_is_equivalent() -> None:
    runs = [a_run(0.01 * (1 + k / 1e4), 0.02, 100 + k / 1e3) for k in range(8)]
    assert {each.relation for each in compare(runs, runs[::-1])} == {"equivalent"}


def test_two_equal_servers_hardly_ever_differ() -> None:
    named = sum(
        each.relation in ("faster", "slower")
        for seed in range(200)
        for each in compare(noisy(1.0, 2 * seed), noisy(1.0, 2 * seed + 1))
    )
    assert named <= 6


def test_rounds_of_a_generator_that_was_the_bottleneck_are_left_out() -> None:
    good, bad = a_run(0.01, 0.02, 100), a_run(0.5, 0.9, 10, "cpu")
    found = compare([good, good, good, good, bad], [good, good, good, bad, good])
    assert [each.rounds for each in found] == [3, 3, 3]
    assert compare([good, good, bad], [good, good, good]) == ()


def test_what_some_rounds_do_not_know_is_not_compared() -> None:
    runs = [a_run(0.01, None if k == 2 else 0.02, 100) for k in range(5)]
    assert {each.what for each in compare(runs, runs)} == {"p50", "throughput"}


def test_a_contrast_of_rounds_is_a_t_test_of_their_median() -> None:
    found = of_rounds([0.1, 0.2, 0.3])
    assert (found.log, found.df, found.pairs) == (0.2, 2, 3)
    # the variance of the median of three normals is 0.4487 of theirs, which is 0.01
    assert found.error == pytest.approx((0.4487 * 0.01) ** 0.5)
    assert msgspec.structs.asdict(found.inverse())["log"] == -0.2


def test_latencies_are_not_compared_where_requests_failed() -> None:
    failing = [
        msgspec.structs.replace(each, answered=980, failed=20, errors={"HTTP 429": 20})
        for each in noisy(1.0, 1)
    ]
    assert by_what(compare(failing, noisy(1.5, 2))).keys() == {"throughput"}
    few = [msgspec.structs.replace(each, answered=990, failed=10) for each in noisy(1.0, 1)]
    assert by_what(compare(few, noisy(1.5, 2))).keys() == {"p50", "p99", "throughput"}
