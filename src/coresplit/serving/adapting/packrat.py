"""The batch that a load wants, by the rule of Packrat (Bhardwaj et al., ICML 2025, section 3.8)."""

import math
from collections import Counter, deque

ESTIMATES = 10
"""The mode of so many estimates is taken."""
WEIGHT = 0.5
"""Of the newest observation in the exponential average."""


class PackratRule:
    """Looked at once a second: an exponential average, the power of two below it, the mode of ten.

    What is averaged is the number of requests in the system: the depth of the queue is near zero
    while instances are idle, and depends on the split.
    """

    def __init__(self, estimates: int = ESTIMATES, weight: float = WEIGHT) -> None:
        self._weight = weight
        self._average: float | None = None
        self._seen: deque[int] = deque(maxlen=estimates)

    def observe(self, in_system: float) -> int:
        """Take in how many requests there are; the batch that is wanted now."""
        before = self._average
        now = in_system if before is None else before + self._weight * (in_system - before)
        self._average = now
        self._seen.append(2 ** int(math.log2(max(1.0, now))))
        counts = Counter(self._seen)
        most = max(counts.values())
        # of equally frequent batches the newest
        return next(batch for batch in reversed(self._seen) if counts[batch] == most)
