"""What is counted with every request reads as if prometheus_client had counted it."""

import pytest
from prometheus_client import CollectorRegistry, Histogram

from coresplit.serving.metrics import Metrics

SECONDS = tuple(step * 10.0**power for power in range(-4, 2) for step in (1.0, 2.5, 5.0))
ROWS = (1, 2, 4, 8, 16, 32, 64, 128, 256)


def samples(registry: CollectorRegistry, name: str) -> dict[tuple[str, frozenset[object]], float]:
    return {
        (each.name, frozenset(each.labels.items())): each.value
        for family in registry.collect()
        if family.name == name
        for each in family.samples
        if not each.name.endswith("_created")
    }


@pytest.mark.parametrize("values", [(), (0.0, 1e-4, 1.1e-4, 0.5, 50.0, 51.0, 1e9)])
def test_durations_are_counted_like_those_of_a_histogram(values: tuple[float, ...]) -> None:
    metrics, registry = Metrics("model"), CollectorRegistry()
    known = Histogram("coresplit_request_seconds", "", buckets=SECONDS, registry=registry)
    for value in values:
        metrics.answered(200, 1, value, 0.0)
        known.observe(value)
    found = samples(metrics.registry, "coresplit_request_seconds")
    assert found == samples(registry, "coresplit_request_seconds")
    assert found["coresplit_request_seconds_count", frozenset()] == len(values)


def test_rows_are_counted_for_each_instance() -> None:
    metrics, registry = Metrics("model"), CollectorRegistry()
    known = Histogram("coresplit_batch_rows", "", ["instance"], buckets=ROWS, registry=registry)
    for instance, rows in ((0, 1), (0, 2), (1, 3), (1, 256), (1, 257)):
        metrics.computed(instance, rows, 0.1)
        known.labels(str(instance)).observe(rows)
    assert samples(metrics.registry, "coresplit_batch_rows") == samples(
        registry, "coresplit_batch_rows"
    )


def test_answers_are_counted_by_status() -> None:
    metrics = Metrics("model")
    for status in (200, 200, 429, 504):
        metrics.answered(status, 1, 0.1, 0.0)
    found = samples(metrics.registry, "coresplit_requests")
    assert sorted(found.values()) == [1.0, 1.0, 2.0]
    assert found["coresplit_requests_total", frozenset({("status", "200")})] == 2.0
