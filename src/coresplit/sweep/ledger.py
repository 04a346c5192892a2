"""The state of every cell of a sweep; passes each change on to the sink at once."""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence

import msgspec

from coresplit.errors import InstanceError
from coresplit.records import AnchorVisit, Cell, Measurement, Settings
from coresplit.stats.estimate import curve_of, predict, table_of
from coresplit.stats.fitting import anchor_groups, fit_values
from coresplit.stats.variance import ASSUMED, Variance, visit_value
from coresplit.sweep.cell_state import CellState
from coresplit.sweep.finish import measurements_of_unreached
from coresplit.sweep.grid import cells_of, copies_of
from coresplit.sweep.memory_limit import reason_to_skip
from coresplit.sweep.pool import key_of
from coresplit.sweep.progress import Progress, Sink

REFIT_GROWTH = 1.05
"""The variance is estimated again after the number of visits has grown by this factor."""


class Ledger:
    """The states of the cells of settings, continuing the measurements ``done``.

    ``largest_tensor`` is that of the model in bytes per input; 0 until an instance reports it.
    """

    def __init__(self, settings: Settings, sink: Sink, done: Iterable[Measurement]) -> None:
        self._settings = settings
        self._sink = sink
        done = tuple(done)
        self._by_cell = _states_of(settings, done)
        self._table = table_of(
            measurement for state in self.states if (measurement := state.measurement()) is not None
        )
        self.largest_tensor = 0
        self.variance: Variance = ASSUMED
        self._visits_fitted = 0
        self._noted: dict[Cell, Measurement] = {each.cell: each for each in done}
        self.refit(())

    @property
    def states(self) -> list[CellState]:
        """The state of every cell, in the order of the grid."""
        return list(self._by_cell.values())

    @property
    def open_cells(self) -> list[Cell]:
        """The cells that are not settled."""
        return [state.cell for state in self.states if not state.settled]

    @property
    def verdicts(self) -> dict[str, int]:
        """How many cells have each verdict."""
        found = (state.measurement() for state in self.states)
        return dict(Counter(str(each.verdict) for each in found if each is not None))

    def progress(self, doing: str, elapsed_s: float, left_s: float) -> Progress:
        """The progress of the sweep after ``elapsed_s`` with ``left_s`` of its budget left."""
        states = self.states
        open_states = [state for state in states if not state.settled]
        costs = [(state.wanted, self.expected(state.cell)) for state in open_states]
        known = [wanted * cost for wanted, cost in costs if cost is not None]
        foreseen = sum(known) if len(known) == len(costs) else math.inf
        return Progress(
            doing=doing,
            cells=len(states),
            covered=sum(state.covered for state in states),
            settled=len(states) - len(open_states),
            elapsed_s=elapsed_s,
            left_s=max(0.0, min(left_s, foreseen)),
        )

    def expected(self, cell: Cell) -> float | None:
        """Expected latency of a cell in seconds; None if nothing is known of its curve."""
        return predict(cell, self._table)

    def refit(self, anchors: Sequence[AnchorVisit]) -> None:
        """Estimate the variance of the run again if there are enough new visits."""
        visits = len(anchors) + sum(len(state.values) for state in self.states if state.clean)
        if visits < REFIT_GROWTH * self._visits_fitted:
            return
        self._visits_fitted = visits
        clean = [state for state in self.states if state.clean]
        groups = [state.values for state in clean if state.values]
        samples = [part for state in clean for part in state.by_visit]
        for parts in anchor_groups(anchors, self._settings.anchor).values():
            groups.append(tuple(map(visit_value, parts)))
            samples += parts
        cells = {state.cell: state.values for state in clean}
        self.variance = fit_values(groups, samples, cells, pairs=False)
        for state in self.states:
            state.variance = self.variance

    def note(self, state: CellState) -> None:
        """Pass the current result of a cell to the sink, unless it has it already."""
        measurement = state.measurement()
        if measurement is None or self._noted.get(state.cell) == measurement:
            return
        self._noted[state.cell] = measurement
        self._sink.append(measurement)
        for curve, known in table_of([measurement]).items():
            self._table.setdefault(curve, {}).update(known)

    def skipped(self, state: CellState, free: int) -> bool:
        """End a cell that would not fit in ``free`` bytes; True if it was ended.

        A cell that has samples fits.
        """
        if state.samples:
            return False
        peaks = self._peaks(state.cell)
        tensors = self.largest_tensor * copies_of(state.cell, self._settings)
        reason = reason_to_skip(peaks, state.cell.batch, free, tensors)
        if reason is not None:
            self._end(state, Measurement(cell=state.cell, verdict="skipped", reason=reason))
        return reason is not None

    def skip_what_would_not_fit(self, free_for: Callable[[Cell], int]) -> None:
        """Skip cells that could not run, so that they get no estimate; needs live instances."""
        for state in self.states:
            if not state.covered:
                self.skipped(state, free_for(state.cell))

    def fail(self, state: CellState, error: InstanceError) -> None:
        """End a cell whose visit failed; if it has samples, it keeps them as its result."""
        failed = Measurement(cell=state.cell, verdict="failed", reason=str(error))
        self._end(state, (state.measurement() if state.samples else None) or failed)

    def fail_larger(self, cell: Cell) -> None:
        """End the cells with more inputs at once if their optimization ran out of memory."""
        inputs = cell.batch * copies_of(cell, self._settings)
        reason = f"{inputs} inputs at once already ran out of memory"
        for state in self.states:
            other = state.cell
            more = other.batch * copies_of(other, self._settings) > inputs
            if more and other.optimization == cell.optimization and not state.covered:
                self._end(state, Measurement(cell=other, verdict="skipped", reason=reason))

    def fail_instance(self, cell: Cell, error: InstanceError) -> None:
        """End all cells of an instance that cannot be created, and those of copies of it."""
        key = key_of(cell)
        alike = (key, msgspec.structs.replace(key, setting="packed"))
        for state in self.states:
            if key_of(state.cell) in alike and not state.settled:
                self.fail(state, error)

    def failed(self, cell: Cell) -> bool:
        """True if the cell has failed without a value."""
        measurement = self._by_cell[cell].measurement()
        return measurement is not None and measurement.verdict == "failed"

    def finish(self, why: Callable[[Cell], str], anchors: Sequence[AnchorVisit]) -> None:
        """Judge every cell by the final variance and estimate cells that were not reached.

        ``why`` says why a cell was not measured.
        """
        self._visits_fitted = 0
        self.refit(anchors)
        for state in self.states:
            self.note(state)
        measured = (state.measurement() for state in self.states)
        self._table = table_of((each for each in measured if each is not None), self.variance)
        unreached = [state.cell for state in self.states if state.measurement() is None]
        for measurement in measurements_of_unreached(
            unreached, self._table, why, self.variance, self.largest_tensor
        ):
            self._end(self._by_cell[measurement.cell], measurement)

    def _peaks(self, cell: Cell) -> dict[int, int]:
        peaks: dict[int, int] = {}
        for other, state in self._by_cell.items():
            if curve_of(other) == curve_of(cell) and state.samples and state.evidence:
                peaks[other.batch] = state.evidence.peak_memory
        return peaks

    def _end(self, state: CellState, measurement: Measurement) -> None:
        state.end(measurement)
        self.note(state)


def _states_of(settings: Settings, done: Iterable[Measurement]) -> dict[Cell, CellState]:
    """The state of every cell of the grid, continuing the measurements ``done``."""
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


def last_block(done: Iterable[Measurement]) -> int:
    """The number of the last block of an earlier sweep; -1 if there is none."""
    blocks = (visit.block for each in done for visit in each.visits)
    return max((block for block in blocks if block is not None), default=-1)
