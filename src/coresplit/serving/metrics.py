"""Counters of a server, for Prometheus and for the statistics of the protocol."""

import json
import logging
import time
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, generate_latest
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from coresplit.instance import Ready
from coresplit.serving.protocol import BatchCounters, Counters, Spent
from coresplit.serving.switching.wishes import Outcome

_SECONDS = tuple(step * 10.0**power for power in range(-4, 2) for step in (1.0, 2.5, 5.0))
_ROWS = (1, 2, 4, 8, 16, 32, 64, 128, 256)
_log = logging.getLogger("coresplit.serving")


class Spread:
    """A histogram: the number of values in each bucket, and their sum.

    prometheus_client's Histogram takes ten times as long per value, and a request observes several.
    This one is converted only when metrics are read.
    """

    __slots__ = ("_bounds", "_counts", "_sum")

    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self._sum = 0.0

    def observe(self, value: float) -> None:
        """Count a value."""
        self._counts[bisect_left(self._bounds, value)] += 1
        self._sum += value

    def add_to(self, family: HistogramMetricFamily, labels: Sequence[str] = ()) -> None:
        """Add the cumulative counts up to each bound to a Prometheus family."""
        bounds = map(floatToGoString, (*self._bounds, float("inf")))
        counts = map(float, accumulate(self._counts))
        family.add_metric(labels, list(zip(bounds, counts, strict=True)), self._sum)


class Metrics(Collector):
    """Counters and histograms in their own registry; also an observer of engine and switcher."""

    def __init__(self, model: str) -> None:
        self._found: dict[str, int] = defaultdict(int)
        self._batches: dict[int, list[int]] = {}
        self.registry = CollectorRegistry()
        self._model = model
        here: Any = {"registry": self.registry, "namespace": "coresplit"}
        self._requests: dict[int, int] = defaultdict(int)
        self._queue = Spread(_SECONDS)
        self._total = Spread(_SECONDS)
        self._compute: dict[int, Spread] = defaultdict(lambda: Spread(_SECONDS))
        self._rows: dict[int, Spread] = defaultdict(lambda: Spread(_ROWS))
        self._lost = Counter("instance_restarts", "Instances replaced.", ["instance"], **here)
        self._retried = Counter("retried_requests", "Requests that were run again.", **here)
        self._shed = Counter("shed_requests", "Requests refused with 429.", **here)
        self._ready = Gauge("ready_instances", "Instances that are ready.", **here)
        self._queued = Gauge("queued_requests", "Requests that are waiting.", **here)
        self._arena = Gauge("arena_bytes", "Memory in use by requests and answers.", **here)
        self._active = Gauge("active_set", "1 for the active set.", ["set"], **here)
        self._switches = Counter("switches", "Requested changes of set.", ["result"], **here)
        self._switch = Spread(_SECONDS)
        self.registry.register(self)

    @property
    def counters(self) -> Counters:
        """The counters for the statistics of the protocol."""
        found = self._found
        return Counters(
            last_inference_ms=found["last_ms"],
            inference_count=found["rows"],
            execution_count=found["executions"],
            success=Spent(found["done"], found["total_ns"]),
            fail=Spent(found["failed"], found["failed_ns"]),
            queue=Spent(found["done"], found["queue_ns"]),
            compute_infer=Spent(found["done"], found["compute_ns"]),
            batches=tuple(
                BatchCounters(batch_size=size, compute_infer=Spent(*spent))
                for size, spent in self._batches.items()
            ),
        )

    def seen(self, alive: int, queued: int, arena_bytes: int) -> None:
        """Set the gauges: ready instances, waiting requests, arena bytes in use."""
        self._ready.set(alive)
        self._queued.set(queued)
        self._arena.set(arena_bytes)

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics that are updated with every request."""
        requests = CounterMetricFamily(
            "coresplit_requests", "Answered requests.", labels=["status"]
        )
        for status, count in self._requests.items():
            requests.add_metric([str(status)], count)
        yield requests
        yield _histogram("queue_seconds", "From arrival to the first forward.", self._queue)
        yield _histogram("request_seconds", "From arrival to the answer.", self._total)
        yield _histogram("switch_seconds", "From asking for a set until it serves.", self._switch)
        yield _by_instance("compute_seconds", "Duration of a forward.", self._compute)
        yield _by_instance("batch_rows", "Rows of a forward.", self._rows)

    def text(self) -> bytes:
        """Return all metrics in the Prometheus text format."""
        return generate_latest(self.registry)

    def answered(self, status: int, rows: int, total_s: float, queue_s: float) -> None:
        """A request for inference was answered."""
        found = self._found
        self._requests[status] += 1
        found["last_ms"] = int(time.time() * 1000)
        if status == 200:
            self._total.observe(total_s)
            self._queue.observe(queue_s)
            found["rows"] += rows
            found["done"] += 1
            found["total_ns"] += int(total_s * 1e9)
            found["queue_ns"] += int(queue_s * 1e9)
        else:
            found["failed"] += 1
            found["failed_ns"] += int(total_s * 1e9)
        if status == 429:
            self._shed.inc()

    def computed(self, instance: int, rows: int, compute_s: float) -> None:
        """A batch was computed."""
        self._compute[instance].observe(compute_s)
        self._rows[instance].observe(rows)
        self._found["executions"] += 1
        self._found["compute_ns"] += int(compute_s * 1e9)
        sizes = self._batches.setdefault(rows, [0, 0])
        sizes[0] += 1
        sizes[1] += int(compute_s * 1e9)

    def lost(self, instance: int, reason: str) -> None:
        """An instance died, overran its deadline or grew too large."""
        self._lost.labels(str(instance)).inc()
        log("instance lost", instance=instance, reason=reason)

    def retried(self, requests: int) -> None:
        """This many requests of a lost batch run again."""
        self._retried.inc(requests)

    def ready(self, instance: int, ready: Ready) -> None:
        """An instance is ready."""
        quietly = {"quietly": ready.quietly} if ready.scheduling else {}
        seconds = ready.prepare_s
        log("instance ready", instance=instance, cpus=list(ready.cpus), seconds=seconds, **quietly)

    def active(self, name: str) -> None:
        """A set has become active."""
        self._active.clear()
        self._active.labels(name).set(1)

    def switching(self, event: dict[str, object]) -> None:
        """A change of the active set has begun or ended."""
        log(**event)

    def switched(self, outcome: Outcome) -> None:
        """A requested change has ended."""
        self._switches.labels(outcome.result).inc()
        if outcome.result == "made":
            self._switch.observe(outcome.seconds)
            self.active(outcome.set)


def _histogram(name: str, text: str, spread: Spread) -> HistogramMetricFamily:
    family = HistogramMetricFamily(f"coresplit_{name}", text)
    spread.add_to(family)
    return family


def _by_instance(name: str, text: str, spreads: Mapping[int, Spread]) -> HistogramMetricFamily:
    family = HistogramMetricFamily(f"coresplit_{name}", text, labels=["instance"])
    for instance, spread in spreads.items():
        spread.add_to(family, [str(instance)])
    return family


def log(event: object, **fields: object) -> None:
    """Log an event as one line of JSON."""
    _log.info(json.dumps({"event": event, "at": round(time.time(), 3), **fields}))
