"""Simulation of a split under a load: the engine's dispatch with predicted latencies.

Time is simulated, so an hour of load takes seconds. The policy is that of ``serving.engine``: an
idle instance takes work at once, and waiting rows are divided by ``serving.dividing``. A controller
may switch to other instances during the simulation: they take over the queue, while the previous
ones finish their batches. A request is refused if too many are waiting.
"""

import math
import random
from collections.abc import Mapping
from typing import Protocol

import msgspec

from coresplit.serving.adapting.instances import Candidate, Instances
from coresplit.serving.adapting.sources import Source

LOOK_S = 0.25
"""Interval at which a controller is asked."""
MOST_WAITING = 1000
AFTER_REFUSAL_S = 0.1
"""A refused client waits this long before it sends its next request."""


class Switcher(Protocol):
    """Decides when to switch to other instances; see ``serving.adapting.controller``."""

    def arrived(self, at: float, rows: int) -> None:
        """A request with this many rows arrived."""

    def computed(self, threads: int, rows: int, seconds: float, *, alone: bool) -> None:
        """An active instance has computed a batch; ``alone`` if the others were idle."""

    def look(self, at: float, in_system: int) -> str | None:
        """Return the candidate to switch to; None to stay."""

    def switched(self, at: float, name: str) -> None:
        """A candidate has become active."""


class Replay(msgspec.Struct, frozen=True, kw_only=True):
    """The result for each request, in order of arrival; times in seconds.

    ``arrivals`` and ``latencies`` do not include the requests that were refused, ``refused`` in
    number. ``switches`` are the times at which other instances took over, and their names.
    """

    arrivals: tuple[float, ...]
    latencies: tuple[float, ...]
    rows: int
    seconds: float
    refused: int = 0
    switches: tuple[tuple[float, str], ...] = ()

    def quantile(self, share: float) -> float:
        """Return the latency that this share of requests does not exceed; NaN without requests."""
        ordered = sorted(self.latencies)
        return ordered[math.ceil(share * len(ordered)) - 1] if ordered else math.nan

    @property
    def mean(self) -> float:
        """The mean latency; NaN without requests."""
        return sum(self.latencies) / len(self.latencies) if self.latencies else math.nan

    @property
    def throughput(self) -> float:
        """Rows per second; NaN if no time has passed."""
        return self.rows / self.seconds if self.seconds else math.nan


def simulate(
    candidates: Mapping[str, Candidate],
    source: Source,
    *,
    first: str,
    switcher: Switcher | None = None,
    look_s: float = LOOK_S,
    switch_s: float = 0.0,
    seed: int = 0,
    most_waiting: int = MOST_WAITING,
) -> Replay:
    """Simulate a load until its last request is answered, starting with the candidate ``first``.

    ``switcher`` is asked every ``look_s`` seconds; the candidate that it names takes over
    ``switch_s`` later. Requests that arrive while ``most_waiting`` wait are refused.
    """
    simulation = _Simulation(candidates, source, first, switcher, random.Random(seed))
    return simulation.run(look_s, switch_s, most_waiting)


class _Simulation:
    def __init__(
        self,
        candidates: Mapping[str, Candidate],
        source: Source,
        first: str,
        switcher: Switcher | None,
        chance: random.Random,
    ) -> None:
        self._candidates = candidates
        self._source = source
        self._switcher = switcher
        self._chance = chance
        self._current = Instances(candidates[first], self._chance)
        self._old: list[Instances] = []
        self._overhead_s = candidates[first].overhead_s
        self._due: tuple[float, str] | None = None
        self._arrivals: list[float] = []
        self._latencies: list[float] = []
        self._switches: list[tuple[float, str]] = []
        self._rows = 0
        self._refused = 0
        self._waiting = 0
        self._last = 0.0

    def run(self, look_s: float, switch_s: float, most_waiting: int) -> Replay:
        look = look_s if self._switcher is not None else math.inf
        while True:
            arrival = self._source.next_at
            instances = min([self._current, *self._old], key=lambda each: each.next_end)
            end = instances.next_end
            if math.isinf(arrival) and math.isinf(end):
                break
            if look <= min(arrival, end) or (self._due and self._due[0] <= min(arrival, end)):
                if self._due and self._due[0] <= look:
                    self._switch()
                else:
                    self._look(look, switch_s)
                    look += look_s
            elif end <= arrival:
                self._finish(instances)
            else:
                self._arrive(arrival, most_waiting)
        begun = self._arrivals[0] if self._arrivals else 0.0
        return Replay(
            arrivals=tuple(self._arrivals),
            latencies=tuple(self._latencies),
            rows=self._rows,
            seconds=self._last - begun,
            refused=self._refused,
            switches=tuple(self._switches),
        )

    def _arrive(self, now: float, most_waiting: int) -> None:
        rows = self._source.take()
        if not rows:
            return
        if self._current.waiting >= most_waiting:
            self._refused += 1
            self._source.answered(now + AFTER_REFUSAL_S)
            return
        if self._switcher is not None:
            self._switcher.arrived(now, rows)
        self._arrivals.append(now)
        self._latencies.append(math.inf)
        self._rows += rows
        self._waiting += 1
        self._current.arrive(len(self._arrivals) - 1, rows, now)

    def _finish(self, instances: Instances) -> None:
        now, done, batch = instances.finish()
        if batch is not None and instances is self._current and self._switcher is not None:
            self._switcher.computed(len(batch.cpus), batch.rows, batch.seconds, alone=batch.alone)
        if instances is not self._current and math.isinf(instances.next_end):
            self._old.remove(instances)
        for request in done:
            self._waiting -= 1
            self._latencies[request] = now + self._overhead_s - self._arrivals[request]
            self._last = max(self._last, now + self._overhead_s)
            self._source.answered(now + self._overhead_s)

    def _look(self, now: float, switch_s: float) -> None:
        assert self._switcher is not None
        wanted = self._switcher.look(now, self._waiting)
        if wanted is not None and self._due is None:
            self._due = now + switch_s, wanted

    def _switch(self) -> None:
        assert self._due is not None
        now, name = self._due
        self._due = None
        old = self._current
        self._current = Instances(self._candidates[name], self._chance, left=old.left)
        self._current.take_over(old, now)
        if not math.isinf(old.next_end):
            self._old.append(old)
        self._switches.append((now, name))
        if self._switcher is not None:
            self._switcher.switched(now, name)
