"""What is known of one cell while the sweep goes on."""

from collections.abc import Sequence

from coresplit.instance.tally import in_turn
from coresplit.records import Cell, Evidence, Measurement
from coresplit.stats.summary import relative_halfwidth
from coresplit.stats.verdict import MIN_VISITS, is_hopeless, is_precise, judge
from coresplit.stats.warmup import warmup_length

WARMUP_TOLERANCE = 0.02
MAX_RETRIES = 2


class CellState:
    """The samples, evidence and end of one cell; ``measurement`` gives what stands now."""

    def __init__(self, cell: Cell, precision: float) -> None:
        self.cell = cell
        self.samples: list[float] = []
        self.warmup: list[float] = []
        self.copies: list[tuple[float, ...]] = []
        self.throttled: list[float] = []
        self.evidence: Evidence | None = None
        self.retries = 0
        self.ended: Measurement | None = None
        self._precision = precision

    @classmethod
    def resumed(cls, before: Measurement, precision: float) -> "CellState":
        """Go on from an earlier measurement; what had no samples starts afresh."""
        state = cls(before.cell, precision)
        if before.verdict in ("measured", "light", "unstable"):
            state.samples = list(before.samples)
            state.warmup = list(before.warmup)
            state.evidence = before.evidence
            state.copies = list(before.copies)
        return state

    @property
    def visits(self) -> int:
        """Visits that yielded clean samples."""
        return self.evidence.visits if self.evidence and self.samples else 0

    @property
    def covered(self) -> bool:
        """Whether there is anything to show, or an end without it."""
        return bool(self.samples) or self.ended is not None or self.retries > MAX_RETRIES

    @property
    def settled(self) -> bool:
        """Whether another visit would add nothing."""
        if self.ended is not None or (not self.samples and self.retries > MAX_RETRIES):
            return True
        precise = is_precise(self.samples, self.visits, self._precision)
        return precise or (self.visits >= MIN_VISITS and is_hopeless(self.samples))

    @property
    def wanted(self) -> int:
        """Fewest further samples that could settle it, for the time left to be foretold."""
        if self.settled:
            return 0
        width = relative_halfwidth(self.samples)
        if width == float("inf"):
            return max(1, 6 - len(self.samples))
        # an interval shrinks with the square root of the count
        return max(1, round(len(self.samples) * min(4.0, (width / self._precision) ** 2 - 1)))

    def add(
        self,
        durations: Sequence[float],
        evidence: Evidence,
        copies: Sequence[tuple[float, ...]] = (),
    ) -> None:
        """Take in one visit; a throttled one yields no samples and may be tried again.

        ``copies`` are the durations of every copy of a packed cell, for each of ``durations``.
        """
        if evidence.throttled_periods > 0:
            self.throttled.extend(durations)
            self.retries += 1
            if not self.samples:
                self.evidence = in_turn(self.evidence, evidence)
            return
        if self.throttled and not self.samples:
            self.evidence = None
        warmup = warmup_length(durations, max(self._precision, WARMUP_TOLERANCE))
        self.warmup.extend(durations[:warmup])
        self.samples.extend(durations[warmup:])
        self.copies.extend(copies[warmup:])
        self.evidence = in_turn(self.evidence, evidence)

    def end(self, measurement: Measurement) -> None:
        """Close the cell with a measurement of its own, such as ``skipped`` or ``failed``."""
        self.ended = measurement

    def measurement(self) -> Measurement | None:
        """What stands now; None for a cell never visited."""
        if self.ended is not None:
            return self.ended
        if self.samples:
            assert self.evidence is not None
            steal = self.evidence.steal_s / max(self.evidence.wall_s, 1e-9) / self.cell.threads
            verdict, reason = judge(self.samples, self.visits, self._precision, steal)
            return Measurement(
                cell=self.cell,
                verdict=verdict,
                reason=reason,
                samples=tuple(self.samples),
                warmup=tuple(self.warmup),
                evidence=self.evidence,
                copies=tuple(self.copies),
            )
        if self.throttled and self.evidence is not None:
            return Measurement(
                cell=self.cell,
                verdict="invalid",
                reason=(
                    f"the CPU quota throttled {self.evidence.throttled_periods} periods; "
                    "use fewer threads or raise the quota"
                ),
                samples=tuple(self.throttled),
                evidence=self.evidence,
            )
        return None
