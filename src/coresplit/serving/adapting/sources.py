"""Sources of simulated requests: at given times, or from clients that wait for answers."""

import heapq
import math
from collections.abc import Iterable, Sequence
from typing import Protocol

Arrival = tuple[float, int]
"""Seconds since the beginning, and rows."""


class Source(Protocol):
    """A load."""

    @property
    def next_at(self) -> float:
        """When the next request arrives, as far as is known now; infinite for never."""

    def take(self) -> int:
        """Take the next request and return its rows."""

    def answered(self, at: float) -> None:
        """A request was answered."""


class Open:
    """Requests at given times, in order, regardless of answers."""

    def __init__(self, arrivals: Iterable[Arrival]) -> None:
        self._arrivals = iter(arrivals)
        self._next: Arrival = next(self._arrivals, (math.inf, 0))

    @property
    def next_at(self) -> float:
        """When the next request arrives."""
        return self._next[0]

    def take(self) -> int:
        """Take the next request and return its rows."""
        rows = self._next[1]
        self._next = next(self._arrivals, (math.inf, 0))
        return rows

    def answered(self, at: float) -> None:
        """Ignored: arrivals do not depend on answers."""


class Closed:
    """Clients that send the next request when the last one is answered.

    ``phases`` are consecutive pairs of a duration in seconds and a number of clients; surplus
    clients leave after their answer. Each client waits ``think_s`` before it sends again.
    """

    def __init__(
        self, phases: Sequence[tuple[float, int]], rows: int = 1, think_s: float = 0.0
    ) -> None:
        self._rows = rows
        self._think_s = think_s
        self._clients = self._wanted = 0
        self._due: list[float] = []
        self._changes: list[tuple[float, int]] = []
        at = 0.0
        for seconds, clients in phases:
            self._changes.append((at, clients))
            at += seconds
        self._changes.append((at, 0))
        self._changes.reverse()

    @property
    def next_at(self) -> float:
        """When the next request arrives or the number of clients changes."""
        times = [self._due[0]] if self._due else []
        return min([*times, *(at for at, _ in self._changes[-1:])], default=math.inf)

    def take(self) -> int:
        """Take the next request and return its rows; 0 if only the number of clients changes."""
        at = self.next_at
        if self._changes and self._changes[-1][0] == at:
            _, self._wanted = self._changes.pop()
            while self._clients < self._wanted:
                self._clients += 1
                heapq.heappush(self._due, at)
            while self._due and self._clients > self._wanted:
                heapq.heappop(self._due)
                self._clients -= 1
            return 0
        heapq.heappop(self._due)
        return self._rows

    def answered(self, at: float) -> None:
        """The client waits and sends its next request, unless it is to leave."""
        if self._clients > self._wanted:
            self._clients -= 1
        else:
            heapq.heappush(self._due, at + self._think_s)
