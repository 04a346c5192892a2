from collections.abc import Callable, Sequence

import pytest
from report_runs import exact, guessed, run_of

from coresplit.records import Measurement
from coresplit.report import findings
from coresplit.report.contrast import Floor, floor_of, knee, relation
from coresplit.report.table import Row, groups_of

FLOOR = Floor(share=0.03, known=True)


def rows(*items: Measurement) -> tuple[Row, ...]:
    return groups_of(run_of(*items))[0].rows


def amdahl(serial: float, threads: Sequence[int], batch: int = 8) -> tuple[Measurement, ...]:
    return tuple(exact("script", t, batch, 100.0 * (serial + (1 - serial) / t)) for t in threads)


def test_the_fastest_optimization_and_the_one_that_trails_are_named() -> None:
    drawn = rows(exact("none", 1, 8, 30), exact("none", 2, 8, 20), exact("script", 2, 8, 10))
    assert findings.latency_at_batch(drawn, FLOOR) == (
        "Batch 8: script is fastest, 10.0 ms on 2 threads; none needs 20.0 ms, 2.0x as long."
    )
    assert findings.throughput_at_batch(drawn, FLOOR) == (
        "Batch 8: script reaches 800 inferences/s on 2 threads, 2.0x none."
    )


def test_of_many_optimizations_the_next_and_the_last_are_named() -> None:
    drawn = rows(
        exact("none", 2, 8, 30),
        exact("compile", 2, 8, 12),
        exact("trace", 2, 8, 15),
        exact("script", 2, 8, 10),
    )
    assert findings.latency_at_batch(drawn, FLOOR) == (
        "Batch 8: script is fastest, 10.0 ms on 2 threads; next is compile with 12.0 ms, "
        "last none needs 30.0 ms, 3.0x as long."
    )


def test_a_rival_that_was_measured_on_other_threads_says_so() -> None:
    drawn = rows(exact("none", 1, 8, 30), exact("script", 2, 8, 10))
    assert findings.latency_at_batch(drawn, FLOOR).endswith(
        "none needs 30.0 ms on 1 thread, 3.0x as long."
    )
    assert findings.throughput_at_batch(drawn, FLOOR).endswith("3.0x none on 1 thread.")


def test_no_difference_within_the_noise_floor_is_named() -> None:
    drawn = rows(exact("none", 2, 8, 10.2), exact("script", 2, 8, 10))
    assert findings.latency_at_batch(drawn, FLOOR) == (
        "Batch 8: script and none are tied within the noise floor of 3 % at 10.0 ms on 2 threads."
    )
    assert findings.throughput_at_batch(drawn, FLOOR) == (
        "Batch 8: script and none are tied within the noise floor of 3 % "
        "at 800 inferences/s on 2 threads."
    )


def test_a_floor_that_was_not_measured_is_called_assumed() -> None:
    run = run_of(exact("none", 2, 8, 10.2), exact("script", 2, 8, 10), journal_floor=None)
    floor = floor_of(run)
    assert not floor.known
    assert "tied within an assumed noise floor of 5 %" in findings.latency_at_batch(
        groups_of(run)[0].rows, floor
    )


def test_estimates_whose_intervals_overlap_are_not_told_apart() -> None:
    drawn = rows(guessed("none", 2, 8, 13), guessed("script", 2, 8, 10))
    assert findings.latency_at_batch(drawn, FLOOR) == (
        "Batch 8: script and none are not told apart (their intervals overlap) "
        "at 10.0 ms (estimated) on 2 threads."
    )


def test_an_estimated_value_is_called_estimated() -> None:
    drawn = rows(exact("script", 1, 8, 100), guessed("script", 2, 8, 50))
    assert findings.latency_at_batch(drawn, FLOOR) == (
        "Batch 8: script takes 100 ms on 1 thread and 50.0 ms (estimated) on 2, 2.0x faster."
    )


def test_threads_that_gain_nothing_are_said_to() -> None:
    drawn = rows(exact("none", 1, 1, 100), exact("none", 2, 1, 99))
    assert findings.latency_of_optimization(drawn, FLOOR) == (
        "none: batch 1 takes 100 ms on 1 thread, "
        "and more threads gain nothing beyond the noise floor of 3 %."
    )


def test_the_smallest_and_the_largest_batch_stand_for_an_optimization() -> None:
    drawn = rows(
        exact("script", 1, 1, 60),
        exact("script", 2, 1, 40),
        exact("script", 1, 2, 90),
        exact("script", 1, 4, 200),
        exact("script", 2, 4, 100),
    )
    assert findings.latency_of_optimization(drawn, FLOOR) == (
        "script: batch 1 takes 60.0 ms on 1 thread and 40.0 ms on 2, 1.5x faster; "
        "batch 4 takes 200 ms on 1 thread and 100 ms on 2, 2.0x faster."
    )
    assert findings.throughput_of_optimization(drawn, FLOOR) == (
        "script: 40.0 inferences/s at most, at batch 4 on 2 threads; "
        "batch 1 reaches 25.0 inferences/s."
    )


def test_the_smallest_batch_that_ties_with_the_best_is_named() -> None:
    drawn = rows(exact("script", 2, 1, 20), exact("script", 2, 2, 20), exact("script", 2, 4, 39.8))
    assert findings.throughput_of_optimization(drawn, FLOOR) == (
        "script: 101 inferences/s at most, at batch 4 on 2 threads; "
        "batch 2 is tied with it within the noise floor of 3 %."
    )
    assert findings.throughput_over_batch(drawn, FLOOR) == (
        "script on 2 threads: 101 inferences/s at batch 4 is the peak, "
        "which batch 2 already ties within the noise floor of 3 %."
    )


def test_what_batches_beyond_the_peak_lose_is_named() -> None:
    drawn = rows(exact("script", 2, 1, 20), exact("script", 2, 2, 20), exact("script", 2, 4, 50))
    assert findings.throughput_over_batch(drawn, FLOOR) == (
        "script on 2 threads: 100 inferences/s at batch 2 is the peak; batch 4 yields 20 % less."
    )


def test_speedup_names_the_best_batch_and_where_the_worst_stops() -> None:
    threads = (1, 2, 4, 8, 12, 16)
    drawn = rows(*amdahl(0.01, threads), *amdahl(0.2, threads, batch=1))
    assert findings.speedup_of_optimization(drawn, FLOOR) == (
        "Batch 8: script scales to 13.9x on 16 threads; batch 1 only to 4.0x on 16 threads, "
        "where beyond 8 each added thread gains under 3 %."
    )


def test_speedup_of_one_batch_names_its_knee() -> None:
    drawn = rows(*amdahl(0.2, (1, 2, 4, 8, 12, 14, 16)))
    assert findings.speedup_of_optimization(drawn, FLOOR) == (
        "Batch 8: script scales to 4.0x on 16 threads; beyond 8 each added thread gains under 3 %."
    )


def test_speedup_prefers_batches_that_were_measured() -> None:
    drawn = rows(
        exact("script", 1, 1, 100),
        exact("script", 2, 1, 60),
        guessed("script", 1, 2, 200),
        guessed("script", 2, 2, 100),
    )
    assert findings.speedup_of_optimization(drawn, FLOOR) == (
        "Batch 1: script scales to 1.7x on 2 threads."
    )


def test_speedup_that_stays_within_the_floor_is_none() -> None:
    drawn = rows(exact("script", 1, 1, 100), exact("script", 2, 1, 98))
    assert findings.speedup_of_optimization(drawn, FLOOR) == (
        "script: no batch gains from more threads beyond the noise floor of 3 %."
    )


def test_maps_count_cells() -> None:
    items = [
        exact("none", 1, 1, 10),
        exact("none", 2, 1, 6),
        exact("none", 1, 2, 20),
        exact("script", 1, 1, 5),
        exact("script", 2, 1, 6.1),
        exact("script", 1, 2, 25),
    ]
    drawn = rows(*items)
    plain = [row for row in drawn if row.cell.optimization == "none"]
    script = [row for row in drawn if row.cell.optimization == "script"]
    assert findings.gain_map(list(zip(script, plain, strict=True)), FLOOR) == (
        "script is faster than none in 1 of 3 cells, 2.0x in the median; slower in 1; "
        "tied within the noise floor of 3 % in 1."
    )
    assert findings.throughput_map(script, FLOOR) == (
        "script: 1 of 3 cells come within 10 % of the best, 200 inferences/s."
    )


def test_the_knee_needs_two_larger_thread_counts() -> None:
    flat = rows(exact("none", 1, 1, 100), exact("none", 2, 1, 100), exact("none", 3, 1, 100))
    assert knee(flat, FLOOR) == 1
    assert knee(flat[:2], FLOOR) is None


def test_the_knee_is_judged_by_the_noise_floor_where_that_is_coarser() -> None:
    curve = rows(*(exact("none", t, 1, 100 / 1.05 ** (t - 1)) for t in (1, 2, 3)))
    assert knee(curve, FLOOR) is None
    assert knee(curve, Floor(share=0.06, known=True)) == 1


def test_a_relation_needs_both_the_floor_and_intervals_apart() -> None:
    near, far, vague = rows(exact("a", 1, 1, 100), exact("b", 1, 1, 110), guessed("c", 1, 1, 115))
    assert relation(near, near, FLOOR) == "tied"
    assert relation(near, far, FLOOR) == "differs"
    assert relation(near, vague, FLOOR) == "overlap"


@pytest.mark.parametrize(
    "sentence",
    [
        findings.latency_at_batch,
        findings.throughput_at_batch,
        findings.latency_of_optimization,
        findings.throughput_of_optimization,
        findings.speedup_of_optimization,
        findings.throughput_over_batch,
        findings.throughput_map,
    ],
)
def test_one_cell_is_enough_for_every_sentence(
    sentence: Callable[[Sequence[Row], Floor], str],
) -> None:
    text = sentence(rows(exact("none", 1, 1, 10)), FLOOR)
    assert text.endswith(".") and "x" not in text.replace("exact", "")
