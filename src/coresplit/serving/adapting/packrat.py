"""The batch for a load by the rule of Packrat (Bhardwaj et al., ICML 2025, section 3.8)."""

import math
from collections import Counter, deque
from collections.abc import Mapping

EVERY_S = 1.0
ESTIMATES = 10
"""The mode of this many estimates is used."""
WEIGHT = 0.5
"""Weight of the newest observation in the exponential average."""


class PackratRule:
    """Once a second: an exponential average, rounded down to a power of two; the mode of ten.

    It averages the number of requests in the system, because the queue's depth is near zero while
    instances are idle, and depends on the split.
    """

    def __init__(self, estimates: int = ESTIMATES, weight: float = WEIGHT) -> None:
        self._weight = weight
        self._average: float | None = None
        self._seen: deque[int] = deque(maxlen=estimates)

    def observe(self, in_system: float) -> int:
        """Add the number of requests in the system, and return the batch to use now."""
        before = self._average
        now = in_system if before is None else before + self._weight * (in_system - before)
        self._average = now
        self._seen.append(2 ** int(math.log2(max(1.0, now))))
        counts = Counter(self._seen)
        most = max(counts.values())
        # the newest of equally frequent batches
        return next(batch for batch in reversed(self._seen) if counts[batch] == most)


class PackratSwitcher:
    """Follows the rule: the candidate of the largest batch in ``by_batch`` up to the rule's.

    Raises ValueError if there is no candidate for a batch of 1.
    """

    def __init__(self, by_batch: Mapping[int, str], present: str) -> None:
        if 1 not in by_batch:
            raise ValueError("a batch of 1 has no candidate")
        self._by_batch = dict(sorted(by_batch.items()))
        self._present = present
        self._rule = PackratRule()
        self._looked_at = 0.0

    def arrived(self, at: float, rows: int) -> None:
        """Ignored: the rule does not use single requests."""

    def computed(self, threads: int, rows: int, seconds: float, *, alone: bool) -> None:
        """Ignored: the rule does not use latencies."""

    def look(self, at: float, in_system: int) -> str | None:
        """Return the candidate to switch to; None to stay, or if less than a second has passed."""
        if at - self._looked_at < EVERY_S:
            return None
        self._looked_at = at
        wanted = self._rule.observe(in_system)
        name = next(name for batch, name in reversed(self._by_batch.items()) if batch <= wanted)
        return name if name != self._present else None

    def switched(self, at: float, name: str) -> None:
        """A candidate has become active."""
        self._present = name
