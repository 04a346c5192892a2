"""The solver finds the one best split: held against brute force and an exhaustive programme."""

import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from split_oracles import best_of_all, every_split, lowest_latency

from coresplit import store
from coresplit.planner import profiles_of
from coresplit.planner.solver import (
    fewest_cores,
    largest_batch,
    largest_throughput,
    nearest_batches,
    slowest,
    solve,
)
from coresplit.records import split_of

PUBLISHED = Path(__file__).parents[3] / "shared" / "reference" / "published"
needs_published = pytest.mark.skipif(
    not PUBLISHED.is_dir(), reason="the published measurements are not here"
)
BATCHES = (1, 2, 4, 8, 16, 32, 64)
KNOWN = {
    (1, 1): 20.0, (1, 2): 36.0, (1, 4): 72.0, (1, 8): 150.0,
    (2, 1): 12.0, (2, 2): 20.0, (2, 4): 40.0, (2, 8): 84.0,
    (4, 1): 9.0, (4, 2): 14.0, (4, 4): 26.0, (4, 8): 60.0,
}  # fmt: skip

tables = st.dictionaries(
    st.tuples(st.integers(1, 5), st.integers(1, 8)),
    # few different values, so that ties are the rule
    st.integers(1, 6).map(lambda value: value / 10),
    min_size=1,
    max_size=12,
)


@pytest.mark.parametrize(
    ("cores", "batch", "split"),
    [
        (4, 8, "<4, 1, 2>"),
        (4, 4, "<2, 2, 2>"),
        (4, 2, "<2, 2, 1>"),
        (4, 1, "<1, 4, 1>"),
        (4, 7, "<3, 1, 2> + <1, 1, 1>"),
        (4, 16, "<4, 1, 4>"),
        (3, 8, "<2, 1, 4>"),
        (4, 12, "<3, 1, 4>"),
        (1, 8, "<1, 1, 8>"),
    ],
)
def test_the_optimum_of_a_known_table_is_found(cores: int, batch: int, split: str) -> None:
    assert str(solve(KNOWN, cores, batch)) == split


def test_a_batch_that_no_cells_make_up_has_no_split() -> None:
    assert solve({(1, 2): 1.0}, 4, 3) is None
    assert solve({(1, 2): 1.0}, 4, 10) is None
    assert solve({(3, 2): 1.0}, 2, 2) is None
    assert solve({}, 4, 1) is None


@given(tables, st.integers(1, 5), st.integers(1, 8))
@settings(max_examples=500, deadline=None)
def test_the_split_is_that_of_brute_force_to_the_last_tie(
    latencies: dict[tuple[int, int], float], cores: int, batch: int
) -> None:
    best = best_of_all(latencies, cores, batch)
    assert solve(latencies, cores, batch) == (None if best is None else split_of(best))


@given(st.randoms(use_true_random=False), st.sampled_from((2, 3, 4, 6, 8, 12, 16)))
@settings(max_examples=500, deadline=None)
def test_the_optimum_is_that_of_an_exhaustive_programme(drawn: random.Random, cores: int) -> None:
    batches = BATCHES[: drawn.randint(1, 5)]
    latencies = {
        (threads, batch): batch**0.9 / threads ** drawn.uniform(0.3, 1.1) * drawn.uniform(0.9, 1.3)
        for threads in range(1, cores + 1)
        for batch in batches
        if drawn.random() < 0.7
    }
    batch = drawn.randint(1, 2 * batches[-1])
    split = solve(latencies, cores, batch)
    found = float("inf") if split is None else slowest(latencies, split)
    assert found == lowest_latency(latencies, cores, batch)
    if split is not None:
        assert split.batch == batch
        assert split.cores <= cores


@given(tables, st.integers(1, 3), st.integers(1, 7).map(lambda value: value / 10))
@settings(max_examples=200, deadline=None)
def test_the_highest_throughput_is_that_of_all_batches(
    latencies: dict[tuple[int, int], float], cores: int, limit: float
) -> None:
    found = largest_throughput(latencies, cores, limit)
    best = 0.0
    for batch in range(1, 8 * cores + 1):
        for cells in every_split(latencies, cores, batch):
            latency = max(latencies[cell] for cell in cells)
            if latency <= limit:
                best = max(best, batch / latency)
    assert (found is None) == (best == 0.0)
    if found is not None:
        assert slowest(latencies, found) <= limit
        assert found.batch / slowest(latencies, found) == best


@given(tables, st.integers(1, 4), st.integers(1, 40))
@settings(max_examples=200, deadline=None)
def test_the_nearest_batches_are_the_next_that_can_be_made_up(
    latencies: dict[tuple[int, int], float], cores: int, batch: int
) -> None:
    possible = [
        total
        for total in range(1, 8 * cores + 1)
        if fewest_cores(latencies, 1.0, cores, total) is not None
    ]
    below = max((total for total in possible if total < batch), default=None)
    above = min((total for total in possible if total > batch), default=None)
    expected = tuple(total for total in (below, above) if total is not None)
    assert nearest_batches(latencies, cores, batch) == expected
    assert largest_batch(latencies, cores) == max(possible, default=0)


def test_sums_of_latencies_are_exact() -> None:
    # (0.1 + 0.2) + 0.3 is not (0.3 + 0.2) + 0.1 in floating point: that must not decide a tie
    latencies = {
        (1, 1): 0.3, (1, 10): 0.1, (1, 100): 0.2,
        (1, 2): 0.1, (1, 20): 0.2, (1, 89): 0.3,
    }  # fmt: skip
    assert str(solve(latencies, 3, 111)) == "<1, 1, 100> + <1, 1, 10> + <1, 1, 1>"


@pytest.fixture(scope="module")
def published() -> dict[str, dict[tuple[int, int], float]]:
    found = {}
    for file in sorted(PUBLISHED.glob("*-latency.csv")):
        if "together" in file.name:
            continue
        for profile in profiles_of(store.import_tables([file], created_at=0.0)):
            name = f"{file.name} {profile.variant.optimization} {profile.variant.mapping}"
            found[f"{name} {profile.variant.allocator}"] = profile.latencies(max(profile.threads))
    return found


@needs_published
def test_every_published_table_has_the_optimum_of_the_exhaustive_programme(
    published: dict[str, dict[tuple[int, int], float]],
) -> None:
    assert len(published) >= 8
    for name, latencies in published.items():
        cores = max(threads for threads, _ in latencies)
        for batch in (8, 20, 64):
            split = solve(latencies, cores, batch)
            assert split is not None, name
            assert slowest(latencies, split) == lowest_latency(latencies, cores, batch), name


@needs_published
def test_the_published_optima_are_found_to_three_decimals(
    published: dict[str, dict[tuple[int, int], float]],
) -> None:
    wanted = {
        8: 35.857, 16: 60.361, 32: 110.138, 64: 208.288,
        128: 431.676, 256: 853.692, 512: 1889.836, 1024: 4084.139,
    }  # fmt: skip
    name = "inception-xeon6142-16c-isolated-latency.csv script sequential default"
    latencies = published[name]
    found = {}
    for batch in wanted:
        split = solve(latencies, 16, batch)
        assert split is not None
        found[batch] = round(slowest(latencies, split) * 1e3, 3)
    assert found == wanted
