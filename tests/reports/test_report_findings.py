from collections.abc import Callable, Sequence

import pytest
from report_runs import exact, guessed, run_of

from coresplit.analysis.rows import Row, groups_of
from coresplit.analysis.significance import knee, relation
from coresplit.records import Measurement
from coresplit.reports.sections.scaling import text as scaling_text
from coresplit.stats.claims import Claims

Sentence = Callable[[Sequence[Row], Claims], str]


def told(*items: Measurement) -> tuple[tuple[Row, ...], Claims]:
    """The rows of a run of these cells, and what it claims of them."""
    run = run_of(*items)
    claims = Claims(run)
    return groups_of(run, claims)[0].rows, claims


def noisy(optimization: str, threads: int, batch: int, milliseconds: float) -> Measurement:
    return exact(optimization, threads, batch, milliseconds, noise=0.05)


def amdahl(serial: float, threads: Sequence[int], batch: int = 8) -> tuple[Measurement, ...]:
    return tuple(exact("script", t, batch, 100.0 * (serial + (1 - serial) / t)) for t in threads)


def said(text: str, *facts: str) -> None:
    """Every fact is in the sentence, in this order."""
    place = 0
    for fact in facts:
        assert fact in text[place:], (fact, text)
        place = text.index(fact, place) + len(fact)


def test_the_fastest_optimization_and_the_one_that_trails_are_named() -> None:
    drawn = told(exact("none", 1, 8, 30), exact("none", 2, 8, 20), exact("script", 2, 8, 10))
    said(
        scaling_text.latency_at_batch(*drawn),
        "Batch 8: script is fastest", "10.0 ms on 2 threads", "none", "20.0 ms, 2.0x as long.",
    )  # fmt: skip
    assert scaling_text.throughput_at_batch(*drawn) == (
        "Batch 8: script reaches 800 inferences/s on 2 threads, 2.0x none."
    )


def test_of_many_optimizations_the_next_and_the_last_are_named() -> None:
    drawn = told(
        exact("none", 2, 8, 30),
        exact("compile", 2, 8, 12),
        exact("trace", 2, 8, 15),
        exact("script", 2, 8, 10),
    )
    said(
        scaling_text.latency_at_batch(*drawn),
        "Batch 8: script is fastest", "10.0 ms", "compile", "next", "12.0 ms", "none", "last",
        "30.0 ms, 3.0x as long.",
    )  # fmt: skip


def test_rivals_that_are_not_told_apart_are_not_ranked() -> None:
    drawn = told(exact("none", 2, 8, 30), exact("trace", 2, 8, 30.02), exact("script", 2, 8, 10))
    assert scaling_text.latency_at_batch(*drawn).endswith("30.0 ms to 30.0 ms.")


def test_a_rival_that_was_measured_on_other_threads_says_so() -> None:
    drawn = told(exact("none", 1, 8, 30), exact("script", 2, 8, 10))
    assert scaling_text.latency_at_batch(*drawn).endswith("30.0 ms on 1 thread, 3.0x as long.")
    assert scaling_text.throughput_at_batch(*drawn).endswith("3.0x none on 1 thread.")


def test_what_no_test_shows_is_too_close_to_call() -> None:
    drawn = told(noisy("none", 2, 8, 10.5), noisy("script", 2, 8, 10))
    for sentence in (scaling_text.latency_at_batch, scaling_text.throughput_at_batch):
        assert "script and none are too close to call" in sentence(*drawn)


def test_what_a_test_shows_to_be_alike_is_equivalent() -> None:
    drawn = told(exact("none", 2, 8, 10.01), exact("script", 2, 8, 10))
    assert "script and none are equivalent within 3 %" in scaling_text.latency_at_batch(*drawn)


def test_a_small_difference_is_named_where_it_is_shown() -> None:
    drawn = told(exact("none", 2, 8, 10.3), exact("script", 2, 8, 10))
    assert scaling_text.latency_at_batch(*drawn).startswith("Batch 8: script is fastest")


def test_estimates_whose_intervals_are_wide_are_too_close_to_call() -> None:
    drawn = told(guessed("none", 2, 8, 13), guessed("script", 2, 8, 10))
    assert scaling_text.latency_at_batch(*drawn) == (
        "Batch 8: script and none are too close to call at 10.0 ms (estimated) on 2 threads."
    )


def test_an_estimated_value_is_called_estimated() -> None:
    drawn = told(exact("script", 1, 8, 100), guessed("script", 2, 8, 50))
    assert scaling_text.latency_at_batch(*drawn) == (
        "Batch 8: script takes 100 ms on 1 thread and 50.0 ms (estimated) on 2, 2.0x faster."
    )


def test_threads_that_gain_nothing_are_said_to() -> None:
    drawn = told(exact("none", 1, 1, 100), exact("none", 2, 1, 99.9))
    assert scaling_text.latency_of_optimization(*drawn) == (
        "none: batch 1 takes 100 ms on 1 thread, and with more threads it is equivalent within 3 %."
    )


def test_threads_that_are_slower_are_not_called_faster() -> None:
    drawn = told(exact("none", 1, 1, 100), exact("none", 2, 1, 130))
    assert "no gain" in scaling_text.latency_of_optimization(*drawn)


def test_the_smallest_and_the_largest_batch_stand_for_an_optimization() -> None:
    drawn = told(
        exact("script", 1, 1, 60),
        exact("script", 2, 1, 40),
        exact("script", 1, 2, 90),
        exact("script", 1, 4, 200),
        exact("script", 2, 4, 100),
    )
    assert scaling_text.latency_of_optimization(*drawn) == (
        "script: batch 1 takes 60.0 ms on 1 thread and 40.0 ms on 2, 1.5x faster; "
        "batch 4 takes 200 ms on 1 thread and 100 ms on 2, 2.0x faster."
    )
    said(
        scaling_text.throughput_of_optimization(*drawn),
        "script", "40.0 inferences/s", "batch 4 on 2 threads", "batch 1 reaches 25.0",
    )  # fmt: skip


def test_the_smallest_batch_that_is_not_told_from_the_best_is_named() -> None:
    drawn = told(exact("script", 2, 1, 20), exact("script", 2, 2, 20), exact("script", 2, 4, 39.98))
    assert scaling_text.throughput_of_optimization(*drawn).endswith(
        "at batch 4 on 2 threads; batch 2 is equivalent within 3 %."
    )
    assert scaling_text.throughput_over_batch(*drawn).endswith(
        "at batch 4; batch 2 is equivalent within 3 %."
    )


def test_what_batches_beyond_the_peak_lose_is_named() -> None:
    drawn = told(exact("script", 2, 1, 20), exact("script", 2, 2, 20), exact("script", 2, 4, 50))
    said(
        scaling_text.throughput_over_batch(*drawn),
        "script on 2 threads", "100 inferences/s at batch 2", "batch 4", "20 %",
    )  # fmt: skip


def test_speedup_names_the_best_batch_and_where_the_worst_stops() -> None:
    threads = (1, 2, 4, 8, 12, 16)
    drawn = told(*amdahl(0.01, threads), *amdahl(0.2, threads, batch=1))
    said(
        scaling_text.speedup_of_optimization(*drawn),
        "Batch 8: script scales to 13.9x on 16 threads", "batch 1", "4.0x on 16 threads",
        "beyond 8", "under 3 %.",
    )  # fmt: skip


def test_speedup_of_one_batch_names_its_knee() -> None:
    drawn = told(*amdahl(0.2, (1, 2, 4, 8, 12, 14, 16)))
    said(
        scaling_text.speedup_of_optimization(*drawn),
        "Batch 8: script scales to 4.0x on 16 threads", "beyond 8", "under 3 %.",
    )  # fmt: skip


def test_speedup_prefers_batches_that_were_measured() -> None:
    drawn = told(
        exact("script", 1, 1, 100),
        exact("script", 2, 1, 60),
        guessed("script", 1, 2, 200),
        guessed("script", 2, 2, 100),
    )
    assert scaling_text.speedup_of_optimization(*drawn) == (
        "Batch 1: script scales to 1.7x on 2 threads."
    )


def test_a_speedup_that_no_test_shows_is_none() -> None:
    drawn = told(noisy("script", 1, 1, 100), noisy("script", 2, 1, 98))
    assert scaling_text.speedup_of_optimization(*drawn) == (
        "script: no batch is shown to gain from more threads."
    )


def test_a_speedup_beyond_linear_is_flagged_with_its_likely_cause() -> None:
    within = told(noisy("script", 1, 1, 100), noisy("script", 2, 1, 49))
    assert "within noise" in (scaling_text.speedup_of_optimization(*within))
    beyond = told(exact("script", 1, 1, 100), exact("script", 2, 1, 40))
    assert "caches or the clock frequency" in scaling_text.speedup_of_optimization(*beyond)


def test_batches_whose_speedups_are_not_told_apart_are_not_ranked() -> None:
    drawn = told(
        noisy("script", 1, 1, 100),
        noisy("script", 2, 1, 60),
        noisy("script", 1, 2, 200),
        noisy("script", 2, 2, 118),
    )
    text = scaling_text.speedup_of_optimization(*drawn)
    assert "scales to 1.7x" in text
    assert "the other batches are too close to call" in text


def test_maps_count_cells() -> None:
    items = [
        exact("none", 1, 1, 10),
        exact("none", 2, 1, 6),
        exact("none", 1, 2, 20),
        exact("script", 1, 1, 5),
        exact("script", 2, 1, 6.0),
        exact("script", 1, 2, 25),
    ]
    drawn, claims = told(*items)
    plain = [row for row in drawn if row.cell.optimization == "none"]
    script = [row for row in drawn if row.cell.optimization == "script"]
    said(
        scaling_text.gain_map(list(zip(script, plain, strict=True)), claims),
        "script is faster than none in 1 of 3 cells", "2.0x", "slower in 1", "0.80x",
        "equivalent within 3 % in 1.",
    )  # fmt: skip
    assert scaling_text.throughput_map(script, claims) == (
        "script: 1 of 3 cells come within 10 % of the best, 200 inferences/s."
    )


def test_the_knee_needs_two_larger_thread_counts() -> None:
    flat, claims = told(*(exact("none", t, 1, 100) for t in (1, 2, 3)))
    assert knee(flat, claims) == 1
    assert knee(flat[:2], claims) is None


def test_no_knee_is_named_where_noise_could_hide_a_gain() -> None:
    flat, claims = told(*(exact("none", t, 1, 100, noise=0.1) for t in (1, 2, 3)))
    assert knee(flat, claims) is None


def test_a_relation_is_what_the_claims_decide() -> None:
    (near, far, vague), claims = told(
        exact("a", 1, 1, 100), exact("b", 1, 1, 110), guessed("c", 1, 1, 115)
    )
    assert relation(near, near, claims) == "equivalent"
    assert relation(near, far, claims) == "faster"
    assert relation(far, near, claims) == "slower"
    assert relation(near, vague, claims) == "unclear"


@pytest.mark.parametrize(
    "sentence",
    [
        scaling_text.latency_at_batch,
        scaling_text.throughput_at_batch,
        scaling_text.latency_of_optimization,
        scaling_text.throughput_of_optimization,
        scaling_text.speedup_of_optimization,
        scaling_text.throughput_over_batch,
        scaling_text.throughput_map,
    ],
)
def test_one_cell_is_enough_for_every_sentence(sentence: Sentence) -> None:
    text = sentence(*told(exact("none", 1, 1, 10)))
    assert text.endswith(".") and "x" not in text.replace("exact", "")
