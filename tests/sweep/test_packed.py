"""Packed cells: copies that fill the cores, started together, measured beside isolated ones."""

from collections.abc import Callable

import msgspec
import pytest

from coresplit.errors import InstanceMemory, PrepareFailed
from coresplit.instance import FakeClock, FakeHost, FakeInstance, InstanceSpec, Pack
from coresplit.machine.placement import place_together
from coresplit.models import ModelSpec
from coresplit.records import Cell, Core, JournalEntry, Measurement, Prepared, Settings
from coresplit.sweep import Outcome, Sweep, cells_of

GIB = 2**30
CORES = tuple(Core(cpu=cpu) for cpu in range(4))
BOTH = Settings(
    optimizations=("script",),
    threads=(1, 2, 4),
    batches=(1, 2, 4, 8, 16),
    settings=("isolated", "packed"),
    cores=4,
)


def slower_on_the_last_core(spec: InstanceSpec, batch: int, done: int) -> float:
    return 0.1 * batch / spec.threads * (1.5 if 3 in spec.cpus and len(spec.cpus) < 4 else 1.0)


class Bench:
    def __init__(
        self, formula: Callable[[InstanceSpec, int, int], float] = slower_on_the_last_core
    ) -> None:
        self.clock = FakeClock()
        self.formula = formula
        self.throttled: Callable[[InstanceSpec, int], int] = lambda spec, batch: 0
        self.opened: list[tuple[Cell, list[FakeInstance]]] = []
        self.final: dict[Cell, Measurement] = {}
        self.journal: list[JournalEntry] = []
        self.memory = 64 * GIB

    def append(self, measurement: Measurement) -> None:
        self.final[measurement.cell] = measurement

    def log(self, entry: JournalEntry) -> None:
        self.journal.append(entry)

    def open(self, cell: Cell) -> FakeInstance | Pack:
        count = 4 // cell.threads if cell.setting == "packed" else 1
        copies = [
            FakeInstance(
                InstanceSpec(
                    model=ModelSpec(name="inception"),
                    optimization=cell.optimization,
                    cpus=cpus,
                    home=cpus,
                ),
                self.formula,
                self.clock,
                throttled=self.throttled,
            )
            for cpus in place_together(CORES, [cell.threads] * count, "sequential")
        ]
        self.opened.append((cell, copies))
        return Pack(copies, self.clock) if cell.setting == "packed" else copies[0]

    def run(self, settings: Settings = BOTH, **options: object) -> Outcome:
        return Sweep(
            settings,
            FakeHost(self.clock, self.open, available_memory=lambda: self.memory),
            self,
            **options,  # type: ignore[arg-type]
        ).run()

    def packed(self, threads: int, batch: int) -> Measurement:
        cell = Cell(optimization="script", threads=threads, batch=batch, setting="packed")
        return self.final[cell]


def test_packed_cells_have_two_copies_or_more_within_the_largest_batch() -> None:
    packed = [cell for cell in cells_of(BOTH) if cell.setting == "packed"]
    assert [(cell.threads, cell.batch) for cell in packed] == [
        (1, 1), (1, 2), (1, 4), (2, 1), (2, 2), (2, 4), (2, 8),
    ]  # fmt: skip
    assert sum(cell.setting == "isolated" for cell in cells_of(BOTH)) == 15


def test_cores_that_are_no_multiple_of_the_threads_leave_some_idle() -> None:
    five = msgspec.structs.replace(BOTH, cores=5, threads=(2, 3))
    packed = [cell for cell in cells_of(five) if cell.setting == "packed"]
    assert [(cell.threads, cell.batch) for cell in packed] == [(2, 1), (2, 2), (2, 4), (2, 8)]


def test_the_latency_of_a_packed_cell_is_that_of_its_slowest_copy() -> None:
    bench = Bench()
    assert bench.run().reason == "complete"
    found = bench.packed(1, 2)
    assert found.verdict == "measured"
    assert found.samples == pytest.approx([0.3] * len(found.samples))
    assert len(found.copies) == len(found.samples)
    assert all(each == pytest.approx((0.2, 0.2, 0.2, 0.3)) for each in found.copies)
    isolated = bench.final[Cell(optimization="script", threads=1, batch=2)]
    assert isolated.samples == pytest.approx([0.2] * len(isolated.samples))
    assert isolated.copies == ()


def test_copies_have_disjoint_cores_that_fill_the_machine() -> None:
    bench = Bench()
    bench.run()
    cores = {
        cell.threads: [copy.spec.cpus for copy in copies]
        for cell, copies in bench.opened
        if cell.setting == "packed"
    }
    assert cores == {1: [(0,), (1,), (2,), (3,)], 2: [(0, 1), (2, 3)]}
    evidence = bench.packed(1, 1).evidence
    assert evidence is not None
    assert evidence.thread_cores == ("0", "1", "2", "3")


def test_evidence_of_a_packed_cell_is_the_sum_over_its_copies() -> None:
    bench = Bench()
    bench.run()
    found = bench.packed(2, 1)
    evidence = found.evidence
    assert evidence is not None
    rounds = len(found.samples)
    assert evidence.forwards == 2 * rounds
    assert evidence.minor_faults == 2 * 1000 * rounds
    assert evidence.peak_memory == 2 * 101_000_000


def test_the_journal_says_which_instances_were_copies() -> None:
    bench = Bench()
    bench.run()
    prepared = [
        (entry.threads, entry.setting) for entry in bench.journal if isinstance(entry, Prepared)
    ]
    assert list(dict.fromkeys(prepared)) == [
        (1, "isolated"), (2, "isolated"), (4, "isolated"), (1, "packed"), (2, "packed"),
    ]  # fmt: skip


def test_an_optimization_that_cannot_be_prepared_is_not_prepared_again_in_copies() -> None:
    def failing(spec: InstanceSpec, batch: int, done: int) -> float:
        return 0.1

    class Refusing(Bench):
        def open(self, cell: Cell) -> FakeInstance | Pack:
            found = super().open(cell)
            if cell.threads == 1:
                for copy in self.opened[-1][1]:
                    copy.wait_ready = refuse  # type: ignore[method-assign, assignment]
            return found

    def refuse(*arguments: object) -> None:
        raise PrepareFailed("cannot be scripted")

    bench = Refusing(failing)
    bench.run()
    assert bench.packed(1, 1).verdict == "failed"
    assert bench.packed(1, 1).reason == "cannot be scripted"
    assert bench.packed(2, 1).verdict == "measured"
    opened = dict.fromkeys((cell.threads, cell.setting) for cell, _ in bench.opened)
    assert list(opened) == [
        (1, "isolated"), (2, "isolated"), (4, "isolated"), (2, "packed"),
    ]  # fmt: skip


def test_a_packed_cell_whose_copies_would_not_fit_in_memory_is_skipped() -> None:
    bench = Bench()
    bench.memory = 38_500_000
    bench.run(msgspec.structs.replace(BOTH, batches=(1, 2, 4, 8, 16, 32)))
    skipped = bench.packed(1, 8)
    assert skipped.verdict == "skipped"
    assert skipped.reason == "needs about 412 MiB, but 422 MiB is available"
    assert bench.final[Cell(optimization="script", threads=1, batch=32)].verdict == "measured"


def test_copies_that_run_out_of_memory_spare_single_instances_of_as_many_inputs() -> None:
    def hungry(spec: InstanceSpec, batch: int, done: int) -> float:
        if spec.cpus == (3,) and batch == 4:
            raise InstanceMemory("instance script t=1: not enough memory")
        return slower_on_the_last_core(spec, batch, done)

    bench = Bench(hungry)
    bench.run(msgspec.structs.replace(BOTH, batches=(1, 2, 4, 8, 16, 32)))
    assert bench.packed(1, 4).verdict == "failed"
    skipped = [each for each in bench.final.values() if each.verdict == "skipped"]
    assert {each.reason for each in skipped} == {"16 inputs at once already ran out of memory"}
    assert all(each.cell.batch == 32 or each.cell.setting == "packed" for each in skipped)
    assert bench.final[Cell(optimization="script", threads=1, batch=16)].verdict == "measured"


def test_a_throttled_round_leaves_neither_sample_nor_copies() -> None:
    bench = Bench()
    bench.throttled = lambda spec, batch: int(batch == 4)
    bench.run()
    invalid = bench.packed(2, 4)
    assert invalid.verdict == "invalid"
    assert invalid.copies == ()
    assert bench.packed(2, 2).verdict == "measured"


def test_resuming_a_packed_cell_keeps_its_copies_in_step_with_its_samples() -> None:
    def uneven(spec: InstanceSpec, batch: int, done: int) -> float:
        return (0.1 + 0.01 * (done % 3)) * batch / spec.threads

    first = Bench(uneven)
    first.run(msgspec.structs.replace(BOTH, budget_s=20.0))
    before = first.packed(1, 1)
    assert before.verdict != "measured"
    assert before.copies
    second = Bench(uneven)
    second.run(msgspec.structs.replace(BOTH, budget_s=20.0), done=first.final.values())
    after = second.packed(1, 1)
    assert after.samples[: len(before.samples)] == before.samples
    assert after.copies[: len(before.copies)] == before.copies
    assert len(after.copies) == len(after.samples)
