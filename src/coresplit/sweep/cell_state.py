"""The state of one cell during a sweep."""

from collections.abc import Sequence
from functools import reduce
from itertools import islice

import msgspec

from coresplit.instance import Timed
from coresplit.records import Cell, Evidence, Measurement, Visit
from coresplit.stats.contention import Disturbance, disturbances, disturbed
from coresplit.stats.merge import in_turn
from coresplit.stats.sampling import (
    FEWEST_VISITS,
    MOST_VISITS,
    is_hopeless,
    is_precise,
    judge,
    steal_share,
    visits_wanted,
    warmup_length,
)
from coresplit.stats.variance import ASSUMED, Variance, VisitValue, visit_values

MAX_RETRIES = 2
MOST_DISTURBED = 10
"""After this many visits, all disturbed, no better one is expected."""


class Taken(msgspec.Struct, frozen=True, kw_only=True):
    """One visit with samples; the evidence of all resumed visits is stored with the first."""

    samples: tuple[float, ...]
    warmup: tuple[float, ...]
    copies: tuple[tuple[float, ...], ...]
    visit: Visit
    evidence: Evidence | None


class CellState:
    """The visits, evidence and end of one cell; ``measurement`` gives the current result.

    ``variance`` is that of the run as far as known; the ledger keeps it up to date.
    ``overhead_s`` is the time of the last visit without its timed forwards.
    """

    def __init__(self, cell: Cell, precision: float) -> None:
        self.cell = cell
        self.variance: Variance = ASSUMED
        self.throttled: list[float] = []
        self.clean = True
        self.retries = 0
        self.overhead_s = 0.0
        self.ended: Measurement | None = None
        self._precision = precision
        self._taken: list[Taken] = []
        self._shown: list[Taken] = []
        self._throttling: Evidence | None = None
        self._values: tuple[VisitValue, ...] = ()
        self._warm_in: tuple[int, int] | None = None

    @classmethod
    def resumed(cls, before: Measurement, precision: float) -> "CellState":
        """Continue an earlier measurement; one without samples starts over."""
        state = cls(before.cell, precision)
        if before.verdict in ("measured", "light", "unstable"):
            state._taken = _parted(before)
            state._sort()
        return state

    @property
    def samples(self) -> tuple[float, ...]:
        """The samples of all shown visits."""
        return tuple(value for each in self._shown for value in each.samples)

    @property
    def evidence(self) -> Evidence | None:
        """The counters of the shown visits, or of throttled ones if there are none."""
        found = [each.evidence for each in self._shown if each.evidence is not None]
        return reduce(in_turn, found) if found else self._throttling

    @property
    def values(self) -> tuple[VisitValue, ...]:
        """The value of every shown visit."""
        return self._values

    @property
    def by_visit(self) -> tuple[tuple[float, ...], ...]:
        """The samples of every shown visit."""
        return tuple(each.samples for each in self._shown)

    @property
    def covered(self) -> bool:
        """True if there is anything to show, or the cell ended without it."""
        return bool(self.samples) or self.ended is not None or self.given_up

    @property
    def given_up(self) -> bool:
        """True if too many tries in a row gave no valid visit."""
        return self.retries > MAX_RETRIES

    @property
    def settled(self) -> bool:
        """True if another visit would add nothing."""
        if self.ended is not None or self.given_up or len(self._taken) >= MOST_VISITS:
            return True
        if not self.clean:
            return len(self._taken) >= MOST_DISTURBED
        return is_precise(self._values, self.variance, self._precision) or is_hopeless(
            self._values, self.variance, self._precision
        )

    @property
    def wanted(self) -> int:
        """Fewest further forwards that could settle the cell; used to predict the time left."""
        if self.settled:
            return 0
        forwards = self._values[-1].forwards if self._values else 1
        if not self.clean:
            return forwards * FEWEST_VISITS
        return forwards * visits_wanted(self._values, self.variance, self._precision)

    def warmup_forwards(self, process: int, calibrating: int) -> int:
        """How many warm-up forwards precede those of a visit.

        In a ``process`` that has not run the cell they are the ``calibrating`` ones. From these the
        first visit determines how many every later visit needs.
        """
        if self._warm_in is not None and self._warm_in[0] == process:
            return self._warm_in[1]
        return calibrating

    def add(
        self, timed: Timed, *, process: int = 0, block: int | None = None
    ) -> Disturbance | None:
        """Add a visit and return what disturbed it, or None.

        A throttled visit yields no samples and may be tried again. A disturbed visit is shown only
        while there is no other, and the cell stays open.
        """
        evidence = timed.evidence
        if self._warm_in is not None:
            self._warm_in = process, self._warm_in[1]
        if evidence.throttled_periods > 0:
            self.throttled.extend(timed.durations)
            self.retries += 1
            self._throttling = in_turn(self._throttling, evidence)
            return None
        self.retries = 0
        visit = Visit(
            samples=len(timed.durations),
            warmup=len(timed.warmup),
            at=evidence.started_at,
            block=block,
            process=process,
            signs=timed.signs,
        )
        self._taken.append(
            Taken(
                samples=timed.durations,
                warmup=timed.warmup,
                copies=timed.copies,
                visit=visit,
                evidence=evidence,
            )
        )
        found = self._sort()[-1]
        if self._warm_in is None and found is None:
            self._warm_in = process, warmup_length(timed.warmup)
        return found

    def _sort(self) -> Sequence[Disturbance | None]:
        """Show the undisturbed visits, or all if there are none; return what disturbed each."""
        found = disturbances([each.visit.signs for each in self._taken])
        quiet = [each for each, one in zip(self._taken, found, strict=True) if one is None]
        self.clean = bool(quiet) or not self._taken
        self._shown = quiet or self._taken
        self._values = visit_values(self._record())
        return found

    def end(self, measurement: Measurement) -> None:
        """Close the cell with a measurement of its own, such as ``skipped`` or ``failed``."""
        self.ended = measurement

    def measurement(self) -> Measurement | None:
        """The current result; None for a cell that was never visited."""
        if self.ended is not None:
            return self.ended
        if self.samples:
            whole = self._record()
            verdict, reason = judge(
                self._values,
                self.variance,
                self._precision,
                steal_share(whole),
                disturbed(whole),
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
        """Everything about the cell except its verdict, which is set later."""
        return Measurement(
            cell=self.cell,
            verdict="light",
            reason="",
            samples=self.samples,
            warmup=tuple(value for each in self._shown for value in each.warmup),
            evidence=self.evidence,
            copies=tuple(durations for each in self._shown for durations in each.copies),
            visits=tuple(each.visit for each in self._shown),
        )


def _parted(measurement: Measurement) -> list[Taken]:
    """Split an earlier measurement, which has one evidence for all visits, into visits."""
    visits = measurement.visits or (
        Visit(samples=len(measurement.samples), warmup=len(measurement.warmup)),
    )
    samples, warmup = iter(measurement.samples), iter(measurement.warmup)
    copies = iter(measurement.copies)
    return [
        Taken(
            samples=tuple(islice(samples, visit.samples)),
            warmup=tuple(islice(warmup, visit.warmup)),
            copies=tuple(islice(copies, visit.samples)),
            visit=visit,
            evidence=None if number else measurement.evidence,
        )
        for number, visit in enumerate(visits)
    ]
