"""A candidate that serves the real load in a simulation, in parallel to the real instances."""

import math
import random
from collections.abc import Callable
from statistics import linear_regression

from coresplit.serving.adapting.instances import Candidate, Instances

Cost = Callable[[float], float]
"""Maps a latency in seconds to its cost."""
_AHEAD = 128
"""Requests that are simulated ahead of time; those behind them follow at the same pace."""


class Shadow:
    """The cost of the load with the candidate, including requests that are not done yet.

    The cost is a sum over requests, each counted once: from its arrival with its predicted latency,
    as if no more requests came, and in the end with its simulated latency.
    """

    def __init__(self, candidate: Candidate, cost: Cost) -> None:
        self.candidate = candidate
        self._cost = cost
        self._instances = Instances(candidate, random.Random(0))
        self._before: list[Instances] = []
        self._came: dict[int, float] = {}
        self._count = 0
        self._done = 0.0

    @property
    def in_system(self) -> int:
        """Requests that are waiting or being computed."""
        return len(self._came)

    def arrive(self, at: float, rows: int) -> None:
        """A request with this many rows arrives."""
        self.advance(at)
        self._count += 1
        self._came[self._count] = at
        self._instances.arrive(self._count, rows, at)

    def advance(self, to: float) -> None:
        """Advance the simulation to a time."""
        while True:
            # in order of time, because parts of a request may be computed before and after a change
            instances = min([*self._before, self._instances], key=lambda each: each.next_end)
            if instances.next_end > to:
                break
            now, done, _ = instances.finish()
            for request in done:
                self._done += self._cost_of(request, now)
                del self._came[request]
        self._before = [each for each in self._before if not math.isinf(each.next_end)]

    def follow(self, candidate: Candidate, now: float) -> None:
        """Have another candidate take over the queue."""
        self._before.append(self._instances)
        self.candidate = candidate
        self._instances = Instances(candidate, random.Random(0), left=self._instances.left)
        self._instances.take_over(self._before[-1], now)

    def repace(self, candidate: Candidate) -> None:
        """Continue with other latencies of the same candidate."""
        self.candidate = candidate
        self._instances.repace(candidate)

    def total(self) -> float:
        """Return the cost of all requests so far."""
        return self._done + self._foreseen()

    def resume_with(self, in_system: int, now: float) -> None:
        """Restart with this many requests of one row that just arrived; keep the cost so far."""
        total = self.total()
        self._instances = Instances(self.candidate, random.Random(0))
        self._before = []
        self._came = {}
        for _ in range(in_system):
            self.arrive(now, 1)
        self._done = 0.0
        self._done = total - self._foreseen()

    def _foreseen(self) -> float:
        # a request ends with its last part
        ends: dict[int, float] = {}
        ahead = self._instances.copy() if self._instances.waiting else None
        for instances in [*self._before, *([] if ahead else [self._instances])]:
            for end, requests in instances.in_flight():
                for request in requests:
                    ends[request] = max(end, ends.get(request, end))
        while ahead is not None and not math.isinf(ahead.next_end) and len(ends) < _AHEAD:
            now, done, _ = ahead.finish()
            for request in done:
                ends[request] = max(now, ends.get(request, now))
        if len(ends) < len(self._came):
            pace, start = linear_regression(range(len(ends)), sorted(ends.values()))
            behind = [request for request in self._came if request not in ends]
            ends |= {each: start + pace * n for n, each in enumerate(behind, len(ends))}
        return sum(self._cost_of(request, end) for request, end in ends.items())

    def _cost_of(self, request: int, end: float) -> float:
        return self._cost(end + self.candidate.overhead_s - self._came[request])
