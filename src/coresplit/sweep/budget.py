"""The time that a sweep may take, and how much of it a visit gets."""

import math
from collections.abc import Callable

OVERRUN = 1.08
"""A forward is cut off at this multiple of the budget."""
PREPARE_SHARE = 1 / 2
PREPARE_S = 60.0
"""At first, quick instances are prepared until this time or that share of the budget."""
LATEST_SHARE = 3 / 4
"""Share of a short budget after which measuring starts in any case."""
COMPILE_SHARE = 1 / 4
"""Share of the budget that compilers may take before the later visits."""
PATIENCE = 5.0
SLACK_S = 30.0
CHEAP_SHARE = 1 / 1000
FIRST_FORWARD_S = 300.0
VISIT_SHARE = 1 / 200
SHORTEST_VISIT_S, LONGEST_VISIT_S = 0.5, 5.0


class Budget:
    """Seconds from ``begun`` on ``clock``; ``limit`` is infinite without a budget.

    ``expected`` always is the expected latency of a forward in seconds, or None.
    """

    def __init__(self, limit: float | None, clock: Callable[[], float], begun: float) -> None:
        self.limit = math.inf if limit is None else limit
        self._clock = clock
        self._begun = begun

    @property
    def elapsed(self) -> float:
        """Seconds since the budget began."""
        return self._clock() - self._begun

    @property
    def left(self) -> float:
        """Seconds of the budget that are left; negative after its end."""
        return self.limit - self.elapsed

    @property
    def until_deadline(self) -> float:
        """Seconds until anything that still runs is cut off."""
        return OVERRUN * self.limit - self.elapsed

    @property
    def to_prepare(self) -> float:
        """Seconds left for preparing before measuring starts with the instances that are ready."""
        quick = max(PREPARE_SHARE * self.limit, PREPARE_S)
        return min(quick, LATEST_SHARE * self.limit) - self.elapsed

    @property
    def to_compile(self) -> float:
        """Seconds that compilers may take; at most half of those left, to measure the rest."""
        return min(COMPILE_SHARE * self.limit, self.left / 2)

    @property
    def cheap(self) -> float:
        """Longest forward, in seconds, that is measured before any compiler runs."""
        return CHEAP_SHARE * self.limit

    def visit(self, latency: float, warmup: int, wanted: int) -> tuple[float, int]:
        """Seconds after which a visit starts no more forwards, and its maximum number of forwards.

        The number is fixed beforehand from the expected ``latency``, so that slow forwards do not
        shorten a visit; the seconds only keep it within the budget after its warm-up.
        """
        share = max(SHORTEST_VISIT_S, min(LONGEST_VISIT_S, self.limit * VISIT_SHARE))
        count = min(wanted, max(1, math.ceil(share / latency))) if latency else wanted
        # the last forward of a visit may start just before these seconds end and must finish too
        most = self.left - (1 + warmup) * latency
        return max(1e-3, min(PATIENCE * share, most)), count

    def timeout(self, expected: float | None, seconds: float, warmup: int) -> float:
        """Seconds after which a visit hangs if it starts forwards for ``seconds`` after warm-up."""
        patience = FIRST_FORWARD_S
        if expected is not None:
            patience = (PATIENCE + warmup) * expected + SLACK_S
        return max(1.0, min(patience + seconds, self.until_deadline))
