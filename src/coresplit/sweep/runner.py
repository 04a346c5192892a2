"""The loop of a sweep."""

import math
import time
from collections import Counter
from collections.abc import Callable, Iterable

from coresplit.errors import (
    InstanceDied,
    InstanceError,
    InstanceMemory,
    InstanceTimeout,
    PrepareFailed,
    ReadbackMismatch,
)
from coresplit.instance import Interrupt, Ready
from coresplit.records import (
    Cell,
    Ended,
    JournalEntry,
    Measurement,
    Prepared,
    Settings,
    Started,
)
from coresplit.stats.estimate import curve_of, predict, table_of
from coresplit.stats.noise import noise_floor
from coresplit.sweep.anchor import Anchor
from coresplit.sweep.budget import Budget
from coresplit.sweep.choice import Chooser
from coresplit.sweep.finish import measurements_of_unreached
from coresplit.sweep.grid import cells_of
from coresplit.sweep.guard import reason_to_skip
from coresplit.sweep.pool import Key, Opener, Pool, key_of
from coresplit.sweep.progress import Outcome, Progress, Sink
from coresplit.sweep.state import CellState

VISIT_SAMPLES = 40


class Sweep:
    """Measures the cells of settings in instances and hands every result to a sink at once.

    ``opener`` starts an instance for a cell. ``clock`` gives seconds; with a fake clock and fake
    instances a sweep is exact. ``done`` are earlier measurements of a run that is resumed,
    ``together`` is how many instances prepare at once, and ``begun`` when the budget began.
    """

    def __init__(
        self,
        settings: Settings,
        opener: Opener,
        sink: Sink,
        *,
        available_memory: Callable[[], int],
        clock: Callable[[], float] = time.monotonic,
        done: Iterable[Measurement] = (),
        interrupt: Interrupt | None = None,
        on_progress: Callable[[Progress], None] = lambda progress: None,
        together: int = 1,
        begun: float | None = None,
    ) -> None:
        self._settings = settings
        self._sink = sink
        self._clock = clock
        self._available = available_memory
        self._interrupt = interrupt
        self._on_progress = on_progress
        self._together = together
        self._states = _states_of(settings, done)
        self._table = table_of(
            measurement
            for state in self._states.values()
            if (measurement := state.measurement()) is not None
        )
        self._pool = Pool(opener, self._log_ready, available_memory)
        self._chooser = Chooser(settings.seed, settings.budget_s)
        self._budget = Budget(settings.budget_s, clock, clock() if begun is None else begun)
        self._forward_s = 0.0
        self._largest_tensor = 0
        self._anchor = Anchor(settings.anchor, settings.budget_s)
        self._journal: list[JournalEntry] = []
        self._died: Counter[Cell] = Counter()

    def run(self) -> Outcome:
        """Measure until everything is settled, the budget is spent, or an end is asked for."""
        self._log(Started(at=time.time()))
        try:
            reason = self._loop()
            self._skip_what_would_not_fit()
        finally:
            self._pool.close()
        self._finish(reason)
        wall = self._budget.elapsed
        self._log(Ended(at=time.time(), reason=reason, wall_s=wall, forward_s=self._forward_s))
        verdicts = Counter(
            measurement.verdict
            for state in self._states.values()
            if (measurement := state.measurement()) is not None
        )
        return Outcome(
            reason=reason,
            interrupted=self._interrupted,
            wall_s=wall,
            forward_s=self._forward_s,
            verdicts={str(verdict): count for verdict, count in verdicts.items()},
        )

    @property
    def _interrupted(self) -> bool:
        return self._interrupt is not None and self._interrupt.requested

    def _loop(self) -> str:
        self._report("preparing instances")
        for cell, error in self._pool.prepare(self._open_cells(), self._together, self._interrupt):
            if not self._interrupted:
                self._fail_instance(cell, error)
        while not self._interrupted:
            states = list(self._states.values())
            state = self._chooser.next(
                states, self._expected, self._budget.left, self._pool.is_near
            )
            if state is None:
                settled = all(state.settled for state in states)
                return "complete" if settled else "the budget ran out"
            if self._forward_s > 0 and self._anchor.due(self._clock()):
                self._visit_anchor()
                continue
            self._report(str(state.cell))
            self._visit(state)
        return "interrupted"

    def _open_cells(self) -> list[Cell]:
        return [cell for cell, state in self._states.items() if not state.settled]

    def _expected(self, cell: Cell) -> float | None:
        return predict(cell, self._table)

    def _visit(self, state: CellState) -> None:
        if self._skipped(state, self._available()):
            return
        cell = state.cell
        try:
            instance = self._pool.get(cell, self._interrupt)
            expected = self._expected(cell)
            seconds = self._budget.visit_seconds(expected)
            timeout = self._budget.timeout(expected, seconds)
            timed = instance.forwards(cell.batch, VISIT_SAMPLES, seconds, timeout, self._interrupt)
        except InstanceError as error:
            self._fail(state, error)
            return
        self._forward_s += sum(timed.durations)
        state.add(timed.durations, timed.evidence)
        self._note(state)

    def _skipped(self, state: CellState, free: int) -> bool:
        """End a cell that would not fit in memory, unless it has fitted before."""
        if state.samples:
            return False
        peaks = self._peaks(state.cell)
        reason = reason_to_skip(peaks, state.cell.batch, free, self._largest_tensor)
        if reason is not None:
            self._end(state, Measurement(cell=state.cell, verdict="skipped", reason=reason))
        return reason is not None

    def _skip_what_would_not_fit(self) -> None:
        """No latency is estimated of what could not run; asked while the instances are there."""
        free = self._available()
        for state in self._states.values():
            if not state.covered:
                self._skipped(state, free)

    def _note(self, state: CellState) -> None:
        measurement = state.measurement()
        if measurement is None:
            return
        self._sink.append(measurement)
        for curve, known in table_of([measurement]).items():
            self._table.setdefault(curve, {}).update(known)

    def _peaks(self, cell: Cell) -> dict[int, int]:
        peaks: dict[int, int] = {}
        for other, state in self._states.items():
            if curve_of(other) == curve_of(cell) and state.samples and state.evidence:
                peaks[other.batch] = state.evidence.peak_memory
        return peaks

    def _fail(self, state: CellState, error: InstanceError) -> None:
        """Decide what a failed visit means for its cell, and for those that would fare alike."""
        self._pool.drop(state.cell)
        if self._interrupted:
            return
        if isinstance(error, InstanceTimeout) and self._budget.left <= 0:
            return
        if isinstance(error, InstanceDied) and self._died[state.cell] == 0:
            self._died[state.cell] += 1
            return
        if isinstance(error, PrepareFailed | ReadbackMismatch):
            self._fail_instance(state.cell, error)
            return
        self._end_failed(state, error)
        if isinstance(error, InstanceMemory):
            for other, another in self._states.items():
                same = other.optimization == state.cell.optimization
                if same and other.batch > state.cell.batch and not another.covered:
                    reason = f"batch {state.cell.batch} already ran out of memory"
                    self._end(another, Measurement(cell=other, verdict="skipped", reason=reason))

    def _fail_instance(self, cell: Cell, error: InstanceError) -> None:
        """End all cells of an instance that cannot be made."""
        for state in self._states.values():
            if key_of(state.cell) == key_of(cell) and not state.settled:
                self._end_failed(state, error)

    def _end_failed(self, state: CellState, error: InstanceError) -> None:
        """A cell that has samples keeps them and is left at that."""
        failed = Measurement(cell=state.cell, verdict="failed", reason=str(error))
        self._end(state, (state.measurement() if state.samples else None) or failed)

    def _end(self, state: CellState, measurement: Measurement) -> None:
        state.end(measurement)
        self._sink.append(measurement)

    def _visit_anchor(self) -> None:
        self._report("the anchor cell")
        visit = self._anchor.visit(self._pool.get, self._clock, self._budget.until_deadline)
        if visit is not None:
            self._forward_s += sum(visit.samples)
            self._log(visit)

    def _finish(self, reason: str) -> None:
        why = {"interrupted": "the sweep was interrupted"}.get(reason, reason)
        unreached = [cell for cell, state in self._states.items() if state.measurement() is None]
        noise = noise_floor(self._journal)
        for measurement in measurements_of_unreached(
            unreached, self._table, why, noise, self._largest_tensor
        ):
            self._end(self._states[measurement.cell], measurement)

    def _log_ready(self, key: Key, ready: Ready) -> None:
        self._largest_tensor = ready.largest_tensor
        self._log(
            Prepared(
                at=time.time(),
                optimization=key.optimization,
                threads=key.threads,
                start_s=ready.start_s,
                prepare_s=ready.prepare_s,
                error=ready.error,
                largest_tensor=ready.largest_tensor,
            )
        )

    def _log(self, entry: JournalEntry) -> None:
        self._journal.append(entry)
        self._sink.log(entry)

    def _report(self, doing: str) -> None:
        states = self._states.values()
        open_states = [state for state in states if not state.settled]
        costs = [(state.wanted, self._expected(state.cell)) for state in open_states]
        known = [wanted * cost for wanted, cost in costs if cost is not None]
        foreseen = sum(known) if len(known) == len(costs) else math.inf
        self._on_progress(
            Progress(
                doing=doing,
                cells=len(self._states),
                covered=sum(state.covered for state in states),
                settled=len(self._states) - len(open_states),
                elapsed_s=self._budget.elapsed,
                left_s=max(0.0, min(self._budget.left, foreseen)),
            )
        )


def _states_of(settings: Settings, done: Iterable[Measurement]) -> dict[Cell, CellState]:
    """The state of every cell of the grid, going on from what is done already."""
    earlier = {measurement.cell: measurement for measurement in done}
    precision = settings.precision
    return {
        cell: (
            CellState.resumed(earlier[cell], precision)
            if cell in earlier
            else CellState(cell, precision)
        )
        for cell in cells_of(settings)
    }
