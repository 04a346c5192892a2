"""The loop of a sweep."""

import time
from collections import Counter
from collections.abc import Callable, Iterable

from coresplit.errors import (
    InstanceDied,
    InstanceError,
    InstanceMemory,
    InstanceTimeout,
    LateStart,
    PrepareFailed,
    ReadbackMismatch,
)
from coresplit.instance import Host, Interrupt, Ready, disturbed_entry
from coresplit.records import AnchorVisit, Cell, Ended, Measurement, Settings, Started
from coresplit.stats.contention import Disturbance
from coresplit.stats.sampling import calibrating_forwards, forwards_wanted
from coresplit.sweep.anchor import Anchor
from coresplit.sweep.budget import Budget
from coresplit.sweep.cell_state import CellState
from coresplit.sweep.finish import why
from coresplit.sweep.grid import anchors_of
from coresplit.sweep.ledger import Ledger, last_block
from coresplit.sweep.order import Efforts, alike, is_due, to_restart
from coresplit.sweep.peaks import find_peaks
from coresplit.sweep.pool import Key, Pool, key_of, processes_of
from coresplit.sweep.pool import Started as StartedInstances
from coresplit.sweep.preparing import Preparer, entry_of
from coresplit.sweep.progress import Outcome, Progress, Sink
from coresplit.sweep.schedule import Chooser, covers_cheap


class Sweep:
    """Measures the cells of settings in instances and passes every result to a sink at once.

    ``host`` is where they run; with a fake host and its clock a sweep is exact. ``started`` are
    instances that are already alive. ``done`` are earlier measurements of a run to resume,
    ``efforts`` gives the expected time to prepare each instance, and ``begun`` is when the budget
    began on the clock of the host.
    """

    def __init__(
        self,
        settings: Settings,
        host: Host,
        sink: Sink,
        *,
        started: StartedInstances | None = None,
        done: Iterable[Measurement] = (),
        efforts: Efforts = alike,
        begun: float | None = None,
        interrupt: Interrupt | None = None,
        on_progress: Callable[[Progress], None] = lambda progress: None,
    ) -> None:
        self._settings = settings
        self._host = host
        self._sink = sink
        self._interrupt = interrupt
        self._on_progress = on_progress
        self._efforts = efforts
        done = tuple(done)
        self._ledger = Ledger(settings, sink, done)
        begun = host.clock() if begun is None else begun
        self._budget = Budget(settings.budget_s, host.clock, begun)
        self._pool = Pool(host, self._log_ready, started or {}, processes_of(done))
        self._preparer = self._preparer_of(self._ledger.open_cells)
        # steps to take once all cheap cells of ready instances were visited, before later visits
        self._next = ["peaks", "the rest", "compilers"]
        self._chooser = Chooser(settings.seed, settings.budget_s)
        self._forward_s = 0.0
        self._anchor = Anchor((), settings.budget_s)
        self._anchors: list[AnchorVisit] = []
        self._died: Counter[Cell] = Counter()
        self._block = last_block(done)
        self._prepare_s: dict[Key, float] = {}
        self._restarted = False
        self._too_long: set[Cell] = set()
        self._warmed: set[tuple[Key, int]] = set()

    def run(self) -> Outcome:
        """Measure until everything is settled, the budget is spent, or an interrupt arrives."""
        self._sink.log(Started(at=time.time()))
        try:
            self._prepare(self._budget.to_prepare, compilers=False)
            self._choose_anchor()
            reason = self._loop()
            self._ledger.skip_what_would_not_fit(self._host.free_for)
        finally:
            self._pool.close()
        unready = {key_of(cell) for cell in self._preparer.unready}
        self._ledger.finish(lambda cell: why(reason, cell, unready), self._anchors)
        wall = self._budget.elapsed
        self._sink.log(Ended(at=time.time(), reason=reason, wall_s=wall, forward_s=self._forward_s))
        return Outcome(
            reason=reason,
            interrupted=self._interrupted,
            wall_s=wall,
            forward_s=self._forward_s,
            verdicts=self._ledger.verdicts,
        )

    @property
    def _interrupted(self) -> bool:
        return self._interrupt is not None and self._interrupt.requested

    def _prepare(self, seconds: float, *, compilers: bool, most: int | None = None) -> None:
        self._report("preparing instances")
        self._preparer.run(
            seconds, self._prepared, self._ledger.failed, compilers=compilers, most=most
        )

    def _prepared(self, cell: Cell, error: InstanceError | None) -> None:
        if error is None:
            self._report(f"preparing, {cell.optimization} t={cell.threads} is ready")
        elif not self._interrupted:
            self._ledger.fail_instance(cell, error)

    def _choose_anchor(self) -> None:
        unready = {key_of(cell) for cell in self._preparer.unready}
        anchors = [
            cell
            for cell in anchors_of(self._settings)
            if not self._ledger.failed(cell) and key_of(cell) not in unready
        ]
        self._anchor = Anchor(anchors, self._settings.budget_s)

    def _loop(self) -> str:
        while not self._interrupted:
            left = self._budget.left
            if self._forward_s > 0 and left > 0 and self._anchor.due(self._host.clock()):
                self._visit_anchor()
                continue
            self._ledger.refit(self._anchors)
            unready = {key_of(cell) for cell in self._preparer.unready}
            ready = [state for state in self._ledger.states if key_of(state.cell) not in unready]
            if self._next and covers_cheap(ready, self._ledger.expected, self._budget.cheap):
                self._between(self._next.pop(0))
                continue
            block = self._chooser.next(
                [state for state in ready if state.cell not in self._too_long],
                self._ledger.expected,
                left,
                self._pool.is_near,
            )
            if not block and left > 0 and self._preparer.is_worth(left, self._forward_s == 0):
                self._prepare(left, compilers=True, most=1)
                continue
            if not block:
                settled = all(state.settled for state in self._ledger.states)
                return "complete" if settled else "the budget ran out"
            self._restart()
            self._block += 1
            for state in block:
                if self._interrupted or self._budget.left <= 0:
                    break
                self._report(str(state.cell))
                self._visit(state)
        return "interrupted"

    def _between(self, what: str) -> None:
        """Do one step between the first visits and the later ones, if there is time for it."""
        if what == "peaks":
            for peak in find_peaks(self._pool.ready(), self._interrupt, lambda: self._budget.left):
                self._sink.log(peak)
                self._report(f"the peak of t={peak.threads}")
            return
        compilers = what == "compilers"
        seconds = self._budget.to_compile if compilers else self._budget.left / 2
        if self._preparer.next_s <= seconds:
            self._prepare(seconds, compilers=compilers)

    def _visit(self, state: CellState) -> None:
        if self._ledger.skipped(state, self._host.free_for(state.cell)):
            return
        cell, expected = state.cell, self._ledger.expected(state.cell)
        latency = expected or 0.0
        try:
            instance = self._pool.get(cell, self._interrupt, self._budget.until_deadline)
            process = self._pool.process_of(cell)
            calibrating = calibrating_forwards(expected, self._budget.limit)
            warmup = state.warmup_forwards(process, calibrating)
            if (1 + warmup) * latency > self._budget.left:
                # the time left only shrinks, so it will not fit later either
                self._too_long.add(cell)
                return
            if calibrating == 0:
                self._warm(cell, process)
            overhead_s = state.overhead_s + warmup * latency
            count = forwards_wanted(self._ledger.variance, latency, overhead_s)
            seconds, count = self._budget.visit(latency, warmup, count)
            timeout = self._budget.timeout(expected, seconds, warmup)
            begin = self._host.clock()
            timed = instance.time_forward_passes(
                cell.batch, count, seconds, timeout, self._interrupt, warmup=warmup
            )
        except InstanceError as error:
            self._fail(state, error)
            return
        forward_s = sum(timed.durations) + sum(timed.warmup)
        self._forward_s += forward_s
        state.overhead_s = max(0.0, self._host.clock() - begin - forward_s)
        self._warmed.add((key_of(cell), process))
        self._disturbed(cell, state.add(timed, process=process, block=self._block))
        self._ledger.note(state)

    def _warm(self, cell: Cell, process: int) -> None:
        """Run a small batch, which is not kept, in a process that has computed nothing yet.

        A cell whose forwards are too slow for its own warm-up must not run first in a process.
        """
        if (key_of(cell), process) not in self._warmed:
            small = min(self._settings.batches)
            timeout = self._budget.timeout(None, 0.0, 1)
            self._pool.get(cell).time_forward_passes(
                small, 1, 1.0, timeout, self._interrupt, warmup=1
            )

    def _restart(self) -> None:
        """Restart instances once, so that later visits show how much processes differ."""
        elapsed, limit = self._budget.elapsed, self._budget.limit
        crowded = self._pool.crowded
        if self._restarted or crowded or not is_due(self._chooser.rounds, elapsed, limit):
            return
        self._restarted = True
        cells = {key_of(state.cell): state.cell for state in self._ledger.states}
        again = [cells[key] for key in to_restart(self._prepare_s, limit)]
        again = [cell for cell in again if not self._ledger.failed(cell)]
        for cell in again:
            self._report(f"restarting {cell.optimization} t={cell.threads}")
            self._pool.drop(cell)
        # if one fails to restart, the next visit of its cells tries once more
        self._preparer_of(again).run(
            self._budget.until_deadline,
            lambda cell, error: self._report("restarting instances"),
            self._ledger.failed,
        )

    def _preparer_of(self, cells: Iterable[Cell]) -> Preparer:
        return Preparer(
            self._pool,
            cells,
            self._efforts,
            together=self._host.together,
            clock=self._host.clock,
            interrupt=self._interrupt,
        )

    def _fail(self, state: CellState, error: InstanceError) -> None:
        """Decide what a failed visit means for its cell and for those that would fail too."""
        if isinstance(error, LateStart) and not state.given_up:
            state.retries += 1
            return
        self._pool.drop(state.cell)
        if self._interrupted or self._ended_by_budget(error):
            return
        if isinstance(error, InstanceDied) and self._died[state.cell] == 0:
            self._died[state.cell] += 1
            return
        if isinstance(error, PrepareFailed | ReadbackMismatch):
            self._ledger.fail_instance(state.cell, error)
            return
        self._ledger.fail(state, error)
        if isinstance(error, InstanceMemory):
            self._ledger.fail_larger(state.cell)

    def _ended_by_budget(self, error: InstanceError) -> bool:
        return isinstance(error, InstanceTimeout) and self._budget.left <= 0

    def _visit_anchor(self) -> None:
        self._report("the anchor cell")
        visit = self._anchor.visit(
            self._pool.get, self._host.clock, self._budget.until_deadline, self._disturbed
        )
        if visit is not None:
            self._forward_s += sum(visit.samples)
            self._anchors.append(visit)
            self._sink.log(visit)

    def _disturbed(self, cell: Cell, found: Disturbance | None) -> None:
        if found is not None:
            self._sink.log(disturbed_entry(cell, found, self._host))

    def _log_ready(self, key: Key, ready: Ready) -> None:
        self._ledger.largest_tensor = ready.largest_tensor
        self._prepare_s[key] = ready.start_s + ready.prepare_s
        self._sink.log(entry_of(key, ready))

    def _report(self, doing: str) -> None:
        budget = self._budget
        self._on_progress(self._ledger.progress(doing, budget.elapsed, budget.left))
