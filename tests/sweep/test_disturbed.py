"""Sweeps on a machine where something else runs for a while, played by fake instances."""

from collections.abc import Callable, Collection

import msgspec
import pytest

from coresplit.instance import FakeClock, FakeHost, FakeInstance, InstanceSpec, Timed
from coresplit.models import ModelSpec
from coresplit.records import (
    AnchorVisit,
    Cell,
    Disturbed,
    JournalEntry,
    Measurement,
    ModelInfo,
    Run,
    Settings,
    Signs,
)
from coresplit.stats.claims import Claims
from coresplit.stats.contention import Disturbance
from coresplit.stats.sampling import judged
from coresplit.sweep import Sweep, anchor_of
from coresplit.sweep.anchor import Anchor
from coresplit.sweep.cell_state import CellState

CELL = Cell(optimization="none", threads=2, batch=1)
Busy = Callable[[InstanceSpec, float], float]
"""The share of core 1 that something else holds, for an instance at a moment."""


class Bench:
    """Forwards of 0.1 s an input, slower by what is taken from them."""

    def __init__(self, busy: Busy) -> None:
        self.clock = FakeClock()
        self.busy = busy
        self.lines: dict[Cell, Measurement] = {}
        self.journal: list[JournalEntry] = []
        self.asked: list[tuple[int, ...]] = []

    def append(self, measurement: Measurement) -> None:
        self.lines[measurement.cell] = measurement

    def log(self, entry: JournalEntry) -> None:
        self.journal.append(entry)

    def culprit(self, cpus: Collection[int]) -> str:
        self.asked.append(tuple(cpus))
        return "loop (process 7)"

    def open(self, cell: Cell) -> FakeInstance:
        spec = InstanceSpec(
            model=ModelSpec(name="inception"),
            optimization=cell.optimization,
            cpus=tuple(range(cell.threads)),
            home=(0, 1),
        )

        def latency(spec: InstanceSpec, batch: int, done: int) -> float:
            free = 1 - self.busy(spec, self.clock.now)
            # nothing is ever exactly alike
            return 0.1 * batch / spec.threads / free * (1 + 0.001 * (done % 3))

        def signs(spec: InstanceSpec, at: float, wall_s: float) -> Signs:
            held = max(self.busy(spec, at), self.busy(spec, at + wall_s))
            return Signs(wall_s=wall_s, waited_s=held * wall_s, core=1)

        return FakeInstance(spec, latency, self.clock, signs=signs)

    def run(self, **changes: object) -> None:
        base = Settings(optimizations=("none",), threads=(1, 2), batches=(1, 2), budget_s=60.0)
        chosen = msgspec.structs.replace(base, **changes)
        chosen = msgspec.structs.replace(chosen, anchor=anchor_of(chosen))
        Sweep(
            chosen,
            FakeHost(self.clock, self.open, culprit=self.culprit),
            self,
        ).run()

    @property
    def disturbed(self) -> list[Disturbed]:
        return [entry for entry in self.journal if isinstance(entry, Disturbed)]


def on_two_cores(share: float, until: float = 1e9) -> Busy:
    return lambda spec, at: share if spec.threads == 2 and at < until else 0.0


def test_a_quiet_sweep_has_no_disturbed_visit() -> None:
    bench = Bench(on_two_cores(0.0))
    bench.run()
    assert bench.disturbed == []
    assert {each.verdict for each in bench.lines.values()} == {"measured"}


def test_a_competitor_all_along_leaves_its_cells_unstable_with_their_values() -> None:
    bench = Bench(on_two_cores(0.48))
    bench.run()
    for cell, found in bench.lines.items():
        if cell.threads == 1:
            assert found.verdict == "measured"
        else:
            assert found.verdict == "unstable"
            assert "another process held 48 % of core 1" in found.reason
            assert min(found.samples) > 0.09 * cell.batch
    disturbed = {entry.cell for entry in bench.disturbed}
    assert disturbed == {cell for cell in bench.lines if cell.threads == 2}
    assert all(entry.by == "loop (process 7)" for entry in bench.disturbed)
    assert set(bench.asked) == {(1,)}


def test_a_competitor_for_a_part_of_the_run_is_in_no_value() -> None:
    bench = Bench(on_two_cores(0.48, until=15.0))
    bench.run()
    assert bench.disturbed
    for cell, found in bench.lines.items():
        assert found.verdict == "measured", found.reason
        assert max(found.samples) == pytest.approx(0.1 * cell.batch / cell.threads, rel=0.01)


def test_a_sweep_without_a_budget_ends_on_a_machine_that_stays_busy() -> None:
    bench = Bench(on_two_cores(0.48))
    bench.run(budget_s=None)
    assert bench.lines[CELL].verdict == "unstable"
    assert len(bench.lines[CELL].visits) <= 40


def test_disturbed_visits_of_the_anchor_are_not_kept() -> None:
    bench = Bench(on_two_cores(0.48))
    bench.run(threads=(2,))
    assert not [entry for entry in bench.journal if isinstance(entry, AnchorVisit)]


def test_an_anchor_that_was_disturbed_is_due_again_soon_but_not_for_ever() -> None:
    bench = Bench(on_two_cores(0.48))
    instance = bench.open(CELL)
    anchor = Anchor([CELL], 600.0)
    seen: list[str] = []
    waits: list[float] = []

    def hear(cell: Cell, found: Disturbance) -> None:
        seen.append(found.reason)

    for _ in range(3):
        assert anchor.visit(lambda cell: instance, bench.clock, 600.0, hear) is None
        begin = bench.clock.now
        while not anchor.due(bench.clock.now):
            bench.clock.now += 0.5
        waits.append(bench.clock.now - begin)
    assert len(seen) == 3
    assert waits[0] == pytest.approx(waits[1])
    assert waits[2] > 3 * waits[1]


def visit(state: CellState, bench: Bench) -> object:
    instance = bench.open(CELL)
    timed: Timed = instance.time_forward_passes(1, 3, 9.0, 9.0)
    return state.add(timed)


def test_one_clean_visit_replaces_all_disturbed_ones() -> None:
    state = CellState(CELL, 0.02)
    busy, quiet = Bench(on_two_cores(0.5)), Bench(on_two_cores(0.0))
    assert visit(state, busy) is not None
    assert visit(state, busy) is not None
    assert len(state.values) == 2
    assert (state.clean, state.settled, state.covered) == (False, False, True)
    assert visit(state, quiet) is None
    assert visit(state, busy) is not None
    found = state.measurement()
    assert found is not None
    assert len(found.visits) == 1
    assert max(found.samples) < 0.06
    assert found.evidence is not None
    assert found.evidence.forwards == 3
    assert state.clean


def test_a_resumed_cell_forgets_its_disturbed_visits_once_it_has_a_clean_one() -> None:
    state = CellState(CELL, 0.02)
    visit(state, Bench(on_two_cores(0.5)))
    visit(state, Bench(on_two_cores(0.5)))
    before = state.measurement()
    assert before is not None
    again = CellState.resumed(before, 0.02)
    assert again.measurement() == before
    assert not again.settled
    visit(again, Bench(on_two_cores(0.0)))
    found = again.measurement()
    assert found is not None
    assert len(found.visits) == 1
    assert "process" not in found.reason


def test_a_difference_that_only_a_competitor_made_is_not_named() -> None:
    bench = Bench(lambda spec, now: 0.5 if spec.optimization == "script" else 0.0)
    bench.run(optimizations=("none", "script"), threads=(2,), budget_s=120.0)
    run = Run(
        name="busy",
        created_at=0.0,
        model=ModelInfo(name="busy", title="Busy"),
        settings=Settings(optimizations=("none", "script"), threads=(2,), batches=(1, 2)),
        machine=None,
        software={},
        measurements=tuple(bench.lines.values()),
        journal=tuple(bench.journal),
    )
    claims = Claims(judged(run))
    free, held = CELL, msgspec.structs.replace(CELL, optimization="script")
    assert claims.points[held].latency == pytest.approx(2 * claims.points[free].latency, rel=0.01)
    assert claims.points[held].low < claims.points[free].latency
    assert claims.relation(free, held) == "unclear"
    assert not claims.leads(free, held)


def test_a_cell_that_is_always_disturbed_is_not_visited_for_ever() -> None:
    bench = Bench(lambda spec, now: 0.5)
    bench.run(threads=(2,), batches=(1,), budget_s=600.0)
    assert 3 <= len(bench.lines[CELL].visits) <= 11


def test_warm_up_is_learned_from_a_visit_that_was_not_disturbed() -> None:
    state = CellState(CELL, 0.02)
    counted = Bench(lambda spec, now: 0.0).open(CELL).time_forward_passes(1, 3, 10.0, 10.0)
    slow = msgspec.structs.replace(
        counted, warmup=(0.5, 0.4, 0.3, 0.2, 0.1), signs=Signs(wall_s=1.0, waited_s=0.5, core=1)
    )
    assert state.add(slow) is not None
    assert state.warmup_forwards(0, 5) == 5
    quick = msgspec.structs.replace(
        counted, warmup=(0.1, 0.1, 0.1, 0.1, 0.1), signs=Signs(wall_s=1.0, waited_s=0.0, core=1)
    )
    assert state.add(quick) is None
    assert state.warmup_forwards(0, 5) == 1
