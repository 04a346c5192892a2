"""When other instances should serve; pure: it is told the time and what comes.

Every candidate serves the real load in a simulation (``shadow``). What counts is the sum of squared
latencies: it is lowest where the mean is low and the tail is short, and it can be added up request
by request, which a percentile cannot. What a request has cost more than with another candidate, as
a share of what it cost, is summed up, less a margin and never below nothing (Page's cumulative sum,
Biometrika 41, 1954). A switch comes when the sum is more than a switch costs and more than chance
would bring it to within the run length that is asked for (Siegmund, "Sequential Analysis", 1985,
section 2.6). So a constant load is not left by chance, and a step is answered at the next look.

A switch may turn out to be a loss: who serves a lull with what is best for it may be caught by the
next spike. What was lost so is a debt, and the next switch to the same candidate waits until as
much was lost by not making it, which is never worse than twice the best (ski rental; Karlin et al.,
Algorithmica 3, 1988).
"""

import math
from collections.abc import Mapping

import msgspec

from coresplit.serving.adapting.instances import Candidate
from coresplit.serving.adapting.paces import Paces
from coresplit.serving.adapting.shadow import Cost, Shadow


class Rules(msgspec.Struct, frozen=True, kw_only=True):
    """When to switch; times in seconds.

    ``slo_s`` makes latencies up to it cost as good as nothing, so that the cheapest candidate that
    holds it is wanted; ``cores`` are those of each candidate. ``switch_s`` is how long each takes
    until it serves, 0 for one that waits warm. A gain of ``margin``, as a share, is worth nothing.
    A false switch comes once in ``run_length`` requests. ``patience`` is the least that must be
    lost before a switch, as the cost of so many requests.
    """

    slo_s: float | None = None
    cores: Mapping[str, int] = {}
    switch_s: Mapping[str, float] = {}
    margin: float = 0.1
    run_length: float = 1e5
    patience: float = 3.0


_FAR = 2, 8
"""A simulation that has more than so many times as many requests as are there, and so many more,
goes on from what is there."""
_WEIGHT = 0.02
"""Of a request in the variance of what one brings."""
_OUTLIER = 9.0
_UNKNOWN = 0.5
_CORRELATED = 1.75
"""How much the variance of a sum exceeds that of independent requests."""
_SWITCH_LOSS = 0.5
"""Of what the requests cost that come meanwhile."""


class _Rival:
    """A candidate beside the present one: what was lost by not having it.

    ``lost`` is in requests, ``forgone`` in what they cost; ``debt`` is what having it has lost.
    """

    def __init__(self) -> None:
        self.total = 0.0
        self.lost = 0.0
        self.forgone = 0.0
        self.debt = 0.0
        self._before: float | None = None
        self.variance = _UNKNOWN

    def take(self, each: float, requests: int) -> None:
        """So many requests came, each of which lost so much."""
        self.lost = max(0.0, self.lost + each * requests)
        if self._before is not None:
            # a step of the load is one large difference, and no noise
            found = min((each - self._before) ** 2 * requests / 2, _OUTLIER * self.variance + 0.1)
            weight = 1 - (1 - _WEIGHT) ** requests
            self.variance += weight * (found - self.variance)
        self._before = each


class Controller:
    """Compares candidates over the load that comes, and names the one to switch to."""

    def __init__(
        self,
        candidates: Mapping[str, Candidate],
        present: str,
        rules: Rules = Rules(),  # noqa: B008 (frozen)
    ) -> None:
        self.present = present
        self.switch_s = dict(rules.switch_s)
        """Seconds until each serves; may be changed."""
        self._rules = rules
        self._shadows = {
            name: Shadow(each, self._cost(rules.cores.get(name, 0)))
            for name, each in candidates.items()
        }
        self._rivals = {name: _Rival() for name in candidates}
        self._real = Shadow(candidates[present], self._cost(0))
        self._profiles = candidates
        self._paces = Paces(candidates)
        self._came_from: dict[str, tuple[str, float, float]] = {}
        self._left: str | None = None
        self._before: tuple[str, str | None] | None = None
        self._barred: dict[str, float] = {}
        self._requests = 0
        self._looked_at = 0.0

    def arrived(self, at: float, rows: int) -> None:
        """A request of so many rows came."""
        self._requests += 1
        for shadow in (*self._shadows.values(), self._real):
            shadow.arrive(at, rows)

    def computed(self, threads: int, rows: int, seconds: float, *, alone: bool) -> None:
        """An instance of the present candidate has computed; ``alone`` if the others were idle."""
        if self._before is not None:
            return
        predicted = self._profiles[self.present].predicted(threads, rows, alone=alone)
        if predicted:
            self._paces.took(self.present, seconds / predicted)

    def switched(self, at: float, name: str) -> None:
        """A candidate serves from now on."""
        self._paces.switched()
        self._real.advance(at)
        self._real.follow(self._shadows[name].candidate, at)
        self._before = None
        self._settle()

    def failed(self, name: str, until: float) -> None:
        """A candidate that was named cannot serve, and is not named again until then."""
        if self._before is not None:
            self.present, self._left = self._before
            self._before = None
        self._came_from.pop(name, None)
        self._barred[name] = until

    def resume(self, at: float, in_system: int) -> None:
        """What came since the last look was not told: go on from what is there."""
        for shadow in (*self._shadows.values(), self._real):
            shadow.resume_with(in_system, at)
        for name, rival in self._rivals.items():
            rival.total = self._shadows[name].total()
        self._requests, self._looked_at = 0, at

    def look(self, at: float, in_system: int) -> str | None:
        """The candidate to switch to now; None to stay, and while a switch is made.

        ``in_system`` is how many requests really wait or are computed.
        """
        if self._before is not None:
            return None
        for shadow in (*self._shadows.values(), self._real):
            shadow.advance(at)
        self._repace()
        totals = {name: shadow.total() for name, shadow in self._shadows.items()}
        gone = {name: total - self._rivals[name].total for name, total in totals.items()}
        self._correct(at, in_system)
        own, requests = gone[self.present], self._requests
        rate = requests / max(1e-9, at - self._looked_at)
        self._requests, self._looked_at = 0, at
        best: tuple[float, str] | None = None
        for name, rival in self._rivals.items():
            rival.total = totals[name]
            if name == self.present or not requests or own <= 0:
                continue
            # a jump is judged by what was usual before it
            bound = self._bound(rival, rate * self.switch_s.get(name, 0.0))
            rival.take(max(-1.0, 1 / (1 + self._rules.margin) - gone[name] / own), requests)
            rival.forgone = max(0.0, rival.forgone + own - gone[name])
            wanted = rival.lost > bound and rival.forgone > rival.debt
            wanted = wanted and at >= self._barred.get(name, at)
            if wanted and (best is None or rival.lost > best[0]):
                best = rival.lost, name
        if best is None:
            return None
        self._leave_for(best[1])
        return self.present

    def _repace(self) -> None:
        for name, pace in self._paces.news().items():
            paced = self._profiles[name].paced(pace)
            self._shadows[name].repace(paced)
            if name == self.present:
                self._real.repace(paced)

    def _leave_for(self, name: str) -> None:
        here = self.present
        self._before = here, self._left
        self._left = here if here in self._came_from else None
        home = self._shadows[here].total(), self._real.total()
        self._came_from[name] = here, *home
        self.present = name
        for rival in self._rivals.values():
            rival.lost = rival.forgone = 0.0

    def _settle(self) -> None:
        """What having been away has brought, against having stayed: a loss is a debt."""
        if self._left is None:
            return
        home, home_total, real_total = self._came_from.pop(self._left)
        brought = self._shadows[home].total() - home_total - (self._real.total() - real_total)
        rival = self._rivals[self._left]
        rival.debt = max(0.0, rival.debt - brought)
        self._left = None

    def _bound(self, rival: _Rival, switching: float) -> float:
        """How many requests must be lost: more than by chance, and than a switch costs.

        ``switching`` is how many requests come while the switch is made.
        """
        rules = self._rules
        chance = _CORRELATED * rival.variance / (2 * rules.margin) * math.log(rules.run_length)
        return max(rules.patience, chance, _SWITCH_LOSS * switching)

    def _correct(self, at: float, in_system: int) -> None:
        """Have simulations that went astray go on from what is really there."""
        times, more = _FAR
        present = self._shadows[self.present]
        real_is_worse = in_system > times * present.in_system + more
        for shadow in self._shadows.values():
            if real_is_worse or shadow.in_system > times * in_system + more:
                shadow.resume_with(in_system, at)

    def _cost(self, cores: int) -> Cost:
        slo_s = self._rules.slo_s
        if slo_s is None:
            return lambda latency: latency * latency
        # a core costs little beside a request that is late, and decides where none is
        own = 1e-3 * slo_s * slo_s * (1 + cores)
        return lambda latency: own + (latency * latency if latency > slo_s else 0.0)
