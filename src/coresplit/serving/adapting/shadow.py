"""A candidate that serves the real load in a simulation, beside the instances that really do."""

import math
import random
from collections.abc import Callable

from coresplit.serving.adapting.instances import Candidate, Instances

Cost = Callable[[float], float]
"""What a latency in seconds costs."""


class Shadow:
    """What the load has cost the candidate, with what it would still cost if no more came.

    The cost is a sum over requests, each counted once: as soon as it comes, with the latency that
    is foreseen for it, and finally with the one it had.
    """

    def __init__(self, candidate: Candidate, cost: Cost) -> None:
        self._candidate = candidate
        self._cost = cost
        self._instances = Instances(candidate, random.Random(0))
        self._before: list[Instances] = []
        self._came: dict[int, float] = {}
        self._count = 0
        self._done = 0.0

    @property
    def in_system(self) -> int:
        """Requests that wait or are computed."""
        return len(self._came)

    def arrive(self, at: float, rows: int) -> None:
        """A request of so many rows comes."""
        self.advance(at)
        self._count += 1
        self._came[self._count] = at
        self._instances.arrive(self._count, rows, at)

    def advance(self, to: float) -> None:
        """Compute until then."""
        while True:
            # in order, as parts of a request may be computed before and after a change
            instances = min([*self._before, self._instances], key=lambda each: each.next_end)
            if instances.next_end > to:
                break
            now, done = instances.finish()
            for request in done:
                self._done += self._cost_of(request, now)
                del self._came[request]
        self._before = [each for each in self._before if not math.isinf(each.next_end)]

    def follow(self, candidate: Candidate, now: float) -> None:
        """Have another candidate take over what waits."""
        self._before.append(self._instances)
        self._candidate = candidate
        self._instances = Instances(candidate, random.Random(0), left=self._instances.left)
        self._instances.take_over(self._before[-1], now)

    def total(self) -> float:
        """The cost of all requests that came."""
        return self._done + self._foreseen()

    def resume_with(self, in_system: int, now: float) -> None:
        """Go on as if so many requests of one row had just come, at the cost so far."""
        total = self.total()
        self._instances = Instances(self._candidate, random.Random(0))
        self._before = []
        self._came = {}
        for _ in range(in_system):
            self.arrive(now, 1)
        self._done = 0.0
        self._done = total - self._foreseen()

    def _foreseen(self) -> float:
        # the end of a request is that of its last part
        ends: dict[int, float] = {}
        ahead = self._instances.copy() if self._instances.waiting else None
        for instances in [*self._before, *([] if ahead else [self._instances])]:
            for end, requests in instances.in_flight():
                for request in requests:
                    ends[request] = max(end, ends.get(request, end))
        while ahead is not None and not math.isinf(ahead.next_end):
            now, done = ahead.finish()
            for request in done:
                ends[request] = max(now, ends.get(request, now))
        return sum(self._cost_of(request, end) for request, end in ends.items())

    def _cost_of(self, request: int, end: float) -> float:
        return self._cost(end + self._candidate.overhead_s - self._came[request])
