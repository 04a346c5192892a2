"""What is known of one cell while the sweep goes on."""

import msgspec

from coresplit.instance import Timed
from coresplit.instance.tally import in_turn
from coresplit.records import Cell, Evidence, Measurement, Visit
from coresplit.stats.variance import ASSUMED, Variance, VisitValue, visit_values
from coresplit.stats.verdict import is_hopeless, is_precise, judge, steal_share, visits_wanted
from coresplit.stats.warmup import warmup_length

MAX_RETRIES = 2


class CellState:
    """The visits, evidence and end of one cell; ``measurement`` gives what stands now.

    ``variance`` is that of the run as far as it is known, and is kept up to date by the ledger.
    ``overhead_s`` is what the last visit took beside its timed forwards.
    """

    def __init__(self, cell: Cell, precision: float) -> None:
        self.cell = cell
        self.variance: Variance = ASSUMED
        self.samples: list[float] = []
        self.warmup: list[float] = []
        self.copies: list[tuple[float, ...]] = []
        self.visits: list[Visit] = []
        self.throttled: list[float] = []
        self.evidence: Evidence | None = None
        self.retries = 0
        self.overhead_s = 0.0
        self.ended: Measurement | None = None
        self._precision = precision
        self._values: tuple[VisitValue, ...] = ()
        self._warm_in: tuple[int, int] | None = None

    @classmethod
    def resumed(cls, before: Measurement, precision: float) -> "CellState":
        """Go on from an earlier measurement; what had no samples starts afresh."""
        state = cls(before.cell, precision)
        if before.verdict in ("measured", "light", "unstable"):
            state.samples = list(before.samples)
            state.warmup = list(before.warmup)
            state.evidence = before.evidence
            state.copies = list(before.copies)
            state.visits = list(before.visits)
            state._values = visit_values(before)
        return state

    @property
    def values(self) -> tuple[VisitValue, ...]:
        """The value of every visit that yielded clean samples."""
        return self._values

    @property
    def by_visit(self) -> tuple[tuple[float, ...], ...]:
        """The samples of every visit."""
        return self._record().by_visit

    @property
    def covered(self) -> bool:
        """Whether there is anything to show, or an end without it."""
        return bool(self.samples) or self.ended is not None or self.given_up

    @property
    def given_up(self) -> bool:
        """Whether it has been tried too often without a visit that counts."""
        return self.retries > MAX_RETRIES

    @property
    def settled(self) -> bool:
        """Whether another visit would add nothing."""
        if self.ended is not None or self.given_up:
            return True
        return is_precise(self._values, self.variance, self._precision) or is_hopeless(
            self._values, self.variance, self._precision
        )

    @property
    def wanted(self) -> int:
        """Fewest further forwards that could settle it, for the time left to be foretold."""
        if self.settled:
            return 0
        forwards = self._values[-1].forwards if self._values else 1
        return forwards * visits_wanted(self._values, self.variance, self._precision)

    def warmup_forwards(self, process: int, calibrating: int) -> int:
        """How many forwards come before those of a visit, whatever they take.

        In a ``process`` that has not run the cell they are the ``calibrating`` ones, of which the
        first visit learns how many every later one needs.
        """
        if self._warm_in is not None and self._warm_in[0] == process:
            return self._warm_in[1]
        return calibrating

    def add(self, timed: Timed, *, process: int = 0, block: int | None = None) -> None:
        """Take in one visit; a throttled one yields no samples and may be tried again."""
        evidence = timed.evidence
        if self._warm_in is None or self._warm_in[0] != process:
            length = warmup_length(timed.warmup) if self._warm_in is None else self._warm_in[1]
            self._warm_in = process, length
        if evidence.throttled_periods > 0:
            self.throttled.extend(timed.durations)
            self.retries += 1
            if not self.samples:
                self.evidence = in_turn(self.evidence, evidence)
            return
        if self.throttled and not self.samples:
            self.evidence = None
        self.retries = 0
        self.samples.extend(timed.durations)
        self.warmup.extend(timed.warmup)
        self.copies.extend(timed.copies)
        self.visits.append(
            Visit(
                samples=len(timed.durations),
                warmup=len(timed.warmup),
                at=evidence.started_at,
                block=block,
                process=process,
            )
        )
        self.evidence = in_turn(self.evidence, evidence)
        self._values = visit_values(self._record())

    def end(self, measurement: Measurement) -> None:
        """Close the cell with a measurement of its own, such as ``skipped`` or ``failed``."""
        self.ended = measurement

    def measurement(self) -> Measurement | None:
        """What stands now; None for a cell never visited."""
        if self.ended is not None:
            return self.ended
        if self.samples:
            whole = self._record()
            verdict, reason = judge(
                self._values, self.variance, self._precision, steal_share(whole)
            )
            return msgspec.structs.replace(whole, verdict=verdict, reason=reason)
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

    def _record(self) -> Measurement:
        """Everything of the cell but its verdict, which is still to come."""
        return Measurement(
            cell=self.cell,
            verdict="light",
            reason="",
            samples=tuple(self.samples),
            warmup=tuple(self.warmup),
            evidence=self.evidence,
            copies=tuple(self.copies),
            visits=tuple(self.visits),
        )
