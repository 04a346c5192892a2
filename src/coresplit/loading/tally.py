"""Results of one load: counts, latencies by second, and the summary."""

import math
import time
from array import array
from collections import Counter
from collections.abc import Sequence

from coresplit.loading.percentiles import latency_of, percentile, rank
from coresplit.records.load import (
    LoadGenerator,
    LoadLimit,
    LoadRun,
    LoadSecond,
    SplitSeen,
)

BUSY = 0.9
"""The generator counts as the bottleneck if it uses at least this share of a core."""
SHARE = 0.1
"""It also does if its own lateness exceeds this share of the 99th percentile."""
LEAST_LAG_S = 1e-3


class Second:
    """Requests that were due within one second."""

    __slots__ = ("answers", "cpu", "due", "failed", "lag", "latencies", "open")

    def __init__(self) -> None:
        self.due = 0
        self.answers = 0
        self.failed = 0
        self.latencies = array("d")
        self.open = 0
        self.cpu = 0.0
        self.lag = 0.0


class Tally:
    """Counts the requests of one load that starts at ``begun`` of the monotonic clock.

    The first ``warmup`` seconds only appear in the values by second. ``within`` is the latency
    above which an answer is late; infinity for no limit.
    """

    def __init__(self, begun: float, warmup: float, within: float) -> None:
        self.begun = begun
        self.ends_at = math.inf
        self.within = within
        self.late = 0
        self.waited = 0
        self.splits: list[SplitSeen] = []
        self.measured_at = begun + warmup
        self._warmup = warmup
        self._seconds: list[Second] = []
        self._lags = array("d")
        self._due = 0
        self._answered = 0
        self._in_window = 0
        self._rows = 0
        self._last_answer = begun
        self._errors: Counter[str] = Counter()
        self._latencies = array("d")
        self._ticked = (begun, time.process_time())
        self._cpu_begun = self._ticked
        self._cpu_ended: tuple[float, float] | None = None
        self._warm = warmup > 0

    def due(self, at: float) -> None:
        """Count a request that is due."""
        self.second(at).due += 1
        if at >= self.measured_at:
            self._due += 1

    def lag(self, due_at: float, now: float) -> None:
        """Record how late the generator handled what was due."""
        late = now - due_at
        second = self.second(now)
        second.lag = max(second.lag, late)
        if due_at >= self.measured_at:
            self._lags.append(late)

    def answered(self, due_at: float, now: float, rows: int) -> None:
        """Count a right answer."""
        took = now - due_at
        self.second(due_at).latencies.append(took)
        self.second(now).answers += 1
        if due_at >= self.measured_at:
            self._answered += 1
            self._latencies.append(took)
            self._last_answer = now
            if took > self.within:
                self.late += 1
        if self.measured_at <= now < self.ends_at:
            self._in_window += 1
            self._rows += rows

    def failed(self, due_at: float, kind: str) -> None:
        """Count a request that failed or got a wrong answer."""
        self.second(due_at).failed += 1
        if due_at >= self.measured_at:
            self._errors[kind] += 1
            self.late += 1

    def tick(self, open_requests: int) -> None:
        """Record the in-flight requests and the CPU time; called about once a second."""
        now, cpu = time.monotonic(), time.process_time()
        at, before = self._ticked
        second = self.second(at)
        second.open = open_requests
        second.cpu = (cpu - before) / max(now - at, 1e-9)
        self._ticked = (now, cpu)
        if self._warm and now >= self.measured_at:
            self._warm = False
            self._cpu_begun = self._ticked

    def end(self, at: float) -> None:
        """Mark the end of what is due, infinity for the last answer; answers may still come."""
        self.ends_at = at
        self._cpu_ended = (time.monotonic(), time.process_time())

    def second(self, at: float) -> Second:
        """Return the second that contains a time."""
        index = max(int(at - self.begun), 0)
        seconds = self._seconds
        while len(seconds) <= index:
            seconds.append(Second())
        return seconds[index]

    def run(
        self,
        *,
        url: str,
        asked: str,
        unfinished: int,
        connections: int,
        interrupted: bool,
        stopped_early: bool,
    ) -> LoadRun:
        """Return the summary."""
        ended = self.ends_at if math.isfinite(self.ends_at) else self._last_answer
        window = max(ended - self.measured_at, 0.0)
        latency, distribution, histogram = latency_of(self._latencies)
        failed = sum(self._errors.values())
        return LoadRun(
            url=url,
            asked=asked,
            warmup_s=self._warmup,
            window_s=window,
            due=self._due,
            answered=self._answered,
            failed=failed,
            unfinished=unfinished,
            late=self.late,
            throughput=self._in_window / window if window > 0 else 0.0,
            rows=self._rows,
            errors=dict(self._errors.most_common()),
            latency=latency,
            distribution=distribution,
            histogram=histogram,
            seconds=tuple(map(_shown, range(len(self._seconds)), self._seconds)),
            splits=tuple(self.splits),
            generator=self._generator(latency.p99 if latency else None, connections),
            interrupted=interrupted,
            stopped_early=stopped_early,
        )

    def _generator(self, p99: float | None, connections: int) -> LoadGenerator:
        at, before = self._cpu_begun
        ended, after = self._cpu_ended or (time.monotonic(), time.process_time())
        spent = (after - before) / max(ended - at, 1e-9)
        lags = sorted(self._lags)
        lag = percentile(lags, 0.99)
        return LoadGenerator(
            limit=limit_of(spent, lag, p99),
            cpu=spent,
            lag_p99=lag,
            lag_max=lags[-1] if lags else 0.0,
            waited=self.waited,
            connections=connections,
        )


def limit_of(cpu: float, lag_p99: float | None, p99: float | None) -> LoadLimit:
    """Return why the generator was the bottleneck, by ``BUSY`` and ``SHARE``; empty if not."""
    if cpu >= BUSY:
        return "cpu"
    if lag_p99 is None or lag_p99 < LEAST_LAG_S:
        return ""
    return "lag" if p99 is not None and lag_p99 > SHARE * p99 else ""


def _shown(at: int, second: Second) -> LoadSecond:
    ordered: Sequence[float] = sorted(second.latencies)
    return LoadSecond(
        at=at,
        due=second.due,
        answers=second.answers,
        failed=second.failed,
        p50=rank(ordered, 0.5) if ordered else None,
        p99=percentile(ordered, 0.99),
        max=ordered[-1] if ordered else None,
        open=second.open,
        cpu=second.cpu,
        lag=second.lag,
    )
