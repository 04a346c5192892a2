"""Whole sweeps over fake instances, on a clock that only they move."""

from collections.abc import Callable

import msgspec
import pytest

from coresplit.errors import (
    InstanceDied,
    InstanceMemory,
    ModelFault,
    PrepareFailed,
    ReadbackMismatch,
    StorageError,
)
from coresplit.instance import FakeClock, FakeHost, FakeInstance, InstanceSpec, Interrupt
from coresplit.models import ModelSpec
from coresplit.records import (
    AnchorVisit,
    Cell,
    Ended,
    JournalEntry,
    Measurement,
    Peak,
    Prepared,
    Settings,
    Started,
)
from coresplit.stats.noise import noise_floor
from coresplit.sweep import Outcome, Sweep, anchor_of, cells_of
from coresplit.sweep.budget import Budget

GIB = 2**30


def settings(**changes: object) -> Settings:
    base = Settings(
        optimizations=("none", "script"), threads=(1, 2), batches=(1, 2, 4, 8), budget_s=None
    )
    return msgspec.structs.replace(base, **changes)


def linear(spec: InstanceSpec, batch: int, done: int) -> float:
    """0.1 s an input on one thread, half as much with script; no noise."""
    return 0.1 * batch / spec.threads / (2 if spec.optimization == "script" else 1)


class Bench:
    """A sink, an opener of fake instances and all they saw."""

    def __init__(self, formula: Callable[[InstanceSpec, int, int], float] = linear) -> None:
        self.clock = FakeClock()
        self.formula = formula
        self.options: dict[str, object] = {}
        self.opened: list[FakeInstance] = []
        self.forwards: list[tuple[str, int, int, float]] = []
        self.lines: list[Measurement] = []
        self.journal: list[JournalEntry] = []
        self.memory = 64 * GIB
        self.each_takes = 0
        self.fail_after: int | None = None

    def append(self, measurement: Measurement) -> None:
        self.lines.append(measurement)
        if self.fail_after is not None and len(self.lines) >= self.fail_after:
            raise StorageError("the disk is full")

    def log(self, entry: JournalEntry) -> None:
        self.journal.append(entry)

    def open(self, cell: Cell) -> FakeInstance:
        spec = InstanceSpec(
            model=ModelSpec(name="inception"),
            optimization=cell.optimization,
            cpus=tuple(range(cell.threads)),
            home=(0, 1),
        )
        instance = FakeInstance(spec, self.watched, self.clock, **self.options)  # type: ignore[arg-type]
        self.opened.append(instance)
        return instance

    def watched(self, spec: InstanceSpec, batch: int, done: int) -> float:
        duration = self.formula(spec, batch, done)
        self.forwards.append((spec.optimization, spec.threads, batch, self.clock.now))
        return duration

    def run(self, chosen: Settings, **options: object) -> Outcome:
        return Sweep(
            chosen,
            FakeHost(self.clock, self.open, available_memory=self.available_memory),
            self,
            **options,  # type: ignore[arg-type]
        ).run()

    def available_memory(self) -> int:
        taken = sum(self.each_takes for instance in self.opened if not instance.closed)
        return self.memory - taken

    @property
    def final(self) -> dict[Cell, Measurement]:
        return {measurement.cell: measurement for measurement in self.lines}


def test_every_cell_is_measured_exactly() -> None:
    bench = Bench()
    outcome = bench.run(settings())
    assert outcome.reason == "complete"
    assert outcome.verdicts == {"measured": 16}
    assert set(bench.final) == set(cells_of(settings()))
    for cell, measurement in bench.final.items():
        expected = 0.1 * cell.batch / cell.threads / (2 if cell.optimization == "script" else 1)
        assert set(measurement.samples) == {expected}
        assert len(measurement.samples) >= 6
        assert measurement.evidence is not None
        assert measurement.evidence.visits >= 2
    assert all(instance.closed for instance in bench.opened)


def test_one_instance_serves_all_batches_of_its_threads() -> None:
    bench = Bench()
    bench.run(settings())
    specs = [(each.spec.optimization, each.spec.threads) for each in bench.opened]
    # every one of them is started anew once
    assert sorted(specs) == sorted(2 * [("none", 1), ("none", 2), ("script", 1), ("script", 2)])
    assert sum(isinstance(entry, Prepared) for entry in bench.journal) == 8


def test_warm_up_is_chosen_once_and_then_left_out_of_every_visit() -> None:
    def slow_start(spec: InstanceSpec, batch: int, done: int) -> float:
        return 0.5 if done < 2 else 0.1 + 0.01 * (done % 4)

    bench = Bench(slow_start)
    bench.run(settings(optimizations=("none",), threads=(1,), batches=(1,)))
    (measurement,) = bench.final.values()
    assert 0.5 in measurement.warmup
    assert 0.5 not in measurement.samples
    first, *later = [visit for visit in measurement.visits if visit.process == 0]
    assert first.warmup == 3
    assert {visit.warmup for visit in later} == {1}


def test_no_forward_is_left_out_by_how_long_it_took() -> None:
    def slow_seventh(spec: InstanceSpec, batch: int, done: int) -> float:
        return 0.4 if done % 7 == 6 else 0.1

    bench = Bench(slow_seventh)
    bench.run(settings(optimizations=("none",), threads=(1,), batches=(1,)))
    (measurement,) = bench.final.values()
    forwards = [each[3] for each in bench.forwards]
    assert len(forwards) == len(measurement.samples) + len(measurement.warmup)
    assert {visit.warmup for visit in measurement.visits[1:] if visit.process == 0} == {1}
    assert 0.4 in measurement.samples


def test_cells_of_one_place_are_visited_side_by_side_in_one_block() -> None:
    bench = Bench()
    bench.run(settings())
    blocks: dict[int | None, list[Cell]] = {}
    for measurement in bench.final.values():
        for visit in measurement.visits:
            blocks.setdefault(visit.block, []).append(measurement.cell)
    assert None not in blocks
    for cells in blocks.values():
        assert {cell.optimization for cell in cells} == {"none", "script"}
        assert len({(cell.threads, cell.batch) for cell in cells}) == 1


def test_instances_are_started_anew_once_and_visits_tell_their_process() -> None:
    bench = Bench()
    bench.run(settings())
    for measurement in bench.final.values():
        assert [visit.process for visit in measurement.visits] == [0, 0, 1]
    assert len(bench.opened) == 8


def test_a_resumed_sweep_counts_blocks_and_processes_on() -> None:
    cell = Cell(optimization="none", threads=1, batch=8)
    chosen = settings(optimizations=("none",), threads=(1,), batches=(8,))
    first = Bench()
    first.run(chosen)
    second = Bench()
    second.run(chosen, done=[first.lines[0]])
    visits = second.final[cell].visits
    assert visits[0] == first.lines[0].visits[0]
    assert [visit.block for visit in visits] == sorted({visit.block or 0 for visit in visits})
    assert visits[1].process == 1


def test_what_the_budget_does_not_reach_is_estimated_and_the_budget_is_kept() -> None:
    bench = Bench()
    batches = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)
    chosen = settings(batches=batches, budget_s=120.0)
    outcome = bench.run(chosen)
    assert outcome.reason == "the budget ran out"
    assert bench.clock.now <= 120.0
    last = bench.final[Cell(optimization="none", threads=1, batch=1024)]
    assert last.verdict == "estimated"
    assert last.estimate is not None
    assert last.estimate.value == pytest.approx(102.4)
    assert last.estimate.low < 102.4 < last.estimate.high
    assert last.reason.startswith("the budget ran out; from batch ")
    assert len(bench.final) == 44
    assert outcome.verdicts["measured"] >= 12


def test_the_fastest_curve_scouts_further_than_the_others() -> None:
    bench = Bench()
    bench.run(settings(batches=(1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024), budget_s=300.0))
    reached: dict[tuple[str, int], int] = {}
    for optimization, threads, batch, _ in bench.forwards:
        key = optimization, threads
        reached[key] = max(batch, reached.get(key, 0))
    assert reached["script", 2] == max(reached.values())
    assert reached["script", 2] > reached["none", 1]


def test_no_forward_starts_that_would_end_after_the_budget() -> None:
    bench = Bench()
    bench.run(settings(batches=(1, 2, 4, 8, 16, 32, 64, 128), budget_s=60.0))
    ends = [
        begin
        + linear(
            InstanceSpec(
                model=ModelSpec(name="inception"),
                optimization=name,
                cpus=tuple(range(threads)),
                home=(),
            ),
            batch,
            0,
        )
        for name, threads, batch, begin in bench.forwards
    ]
    assert max(ends) <= 60.0


def test_an_overrunning_forward_is_cut_off_at_the_deadline() -> None:
    def stuck(spec: InstanceSpec, batch: int, done: int) -> float:
        return float("inf") if batch == 8 else 0.1 * batch

    bench = Bench(stuck)
    chosen = settings(optimizations=("none",), threads=(1,), batches=(1, 2, 4, 8), budget_s=20.0)
    bench.run(chosen)
    assert bench.clock.now <= 20.0 * 1.08 + 1e-9
    assert bench.final[Cell(optimization="none", threads=1, batch=4)].samples


def test_the_anchor_is_repeated_and_gives_the_noise_floor() -> None:
    chosen = settings(budget_s=120.0, batches=(1, 2, 4, 8, 16, 32))
    chosen = msgspec.structs.replace(chosen, anchor=anchor_of(chosen))
    assert chosen.anchor == Cell(optimization="script", threads=2, batch=4)

    def drifting(spec: InstanceSpec, batch: int, done: int) -> float:
        noisy = 1.0 + 0.05 * (int(bench.clock.now) // 40)
        return linear(spec, batch, done) * noisy

    bench = Bench(drifting)
    bench.run(chosen)
    visits = [entry for entry in bench.journal if isinstance(entry, AnchorVisit)]
    assert len(visits) >= 5
    assert 0.02 < (noise_floor(bench.journal) or 0.0) < 0.15


def test_the_journal_begins_and_ends_with_the_sweep() -> None:
    bench = Bench()
    outcome = bench.run(settings())
    assert isinstance(bench.journal[0], Started)
    end = bench.journal[-1]
    assert isinstance(end, Ended)
    assert end.reason == "complete"
    assert end.wall_s == pytest.approx(end.forward_s) == pytest.approx(outcome.wall_s)


def test_the_order_is_shuffled_by_the_seed() -> None:
    orders = []
    for seed in (1, 1, 2):
        bench = Bench()
        bench.run(settings(seed=seed))
        orders.append([forward[:3] for forward in bench.forwards])
    assert orders[0] == orders[1]
    assert orders[0] != orders[2]


def test_a_cell_is_visited_again_only_after_others() -> None:
    bench = Bench()
    bench.run(settings(batches=(1, 2)))
    visits = [
        key
        for index, key in enumerate(f[:3] for f in bench.forwards)
        if index == 0 or bench.forwards[index - 1][:3] != key
    ]
    assert len(visits) >= 16
    assert set(visits[:8]) == set(visits)


def test_an_optimization_that_cannot_be_prepared_fails_alone() -> None:
    bench = Bench()
    opener = bench.open

    def failing(cell: Cell) -> FakeInstance:
        instance = opener(cell)
        if cell.optimization == "script":

            def refuse(interrupt: Interrupt | None = None, timeout: float = 0.0) -> None:
                raise PrepareFailed("instance script: outputs differ from eager by 3.0 %")

            instance.wait_ready = refuse  # type: ignore[method-assign, assignment]
        return instance

    bench.open = failing  # type: ignore[method-assign]
    outcome = bench.run(settings())
    assert outcome.verdicts == {"measured": 8, "failed": 8}
    failed = [each for each in bench.final.values() if each.verdict == "failed"]
    assert {each.cell.optimization for each in failed} == {"script"}
    assert {each.reason for each in failed} == {
        "instance script: outputs differ from eager by 3.0 %"
    }
    assert len(bench.opened) == 6


def test_a_model_that_a_later_instance_cannot_load_ends_that_instance_alone() -> None:
    bench = Bench()
    opener = bench.open

    def failing(cell: Cell) -> FakeInstance:
        instance = opener(cell)
        if cell.optimization == "script" and cell.threads == 2:

            def refuse(interrupt: Interrupt | None = None, timeout: float = 0.0) -> None:
                raise ModelFault("the hub is out of reach")

            instance.wait_ready = refuse  # type: ignore[method-assign, assignment]
        return instance

    bench.open = failing  # type: ignore[method-assign]
    assert bench.run(settings()).verdicts == {"measured": 12, "failed": 4}


def test_a_killed_instance_is_replaced_once_and_its_cell_measured() -> None:
    deaths = iter([True])

    def mortal(spec: InstanceSpec, batch: int, done: int) -> float:
        if batch == 4 and next(deaths, False):
            raise InstanceDied("instance none t=1 was ended by SIGKILL")
        return linear(spec, batch, done)

    bench = Bench(mortal)
    outcome = bench.run(settings(optimizations=("none",), threads=(1,)))
    assert outcome.verdicts == {"measured": 4}
    assert len(bench.opened) == 3


def test_a_cell_that_kills_its_instance_twice_has_failed() -> None:
    def deadly(spec: InstanceSpec, batch: int, done: int) -> float:
        if batch == 4:
            raise InstanceDied("instance none t=1 was ended by SIGSEGV: Fatal Python error")
        return linear(spec, batch, done)

    bench = Bench(deadly)
    outcome = bench.run(settings(optimizations=("none",), threads=(1,)))
    assert outcome.verdicts == {"measured": 3, "failed": 1}
    assert bench.final[Cell(optimization="none", threads=1, batch=4)].reason == (
        "instance none t=1 was ended by SIGSEGV: Fatal Python error"
    )


def test_a_cell_that_fails_later_keeps_the_samples_it_has() -> None:
    def mismatched(spec: InstanceSpec, batch: int, done: int) -> float:
        if batch == 4 and done >= 40:
            raise ReadbackMismatch("instance none t=1: its busy threads were allowed on cores 0-1")
        return linear(spec, batch, done)

    bench = Bench(mismatched)
    outcome = bench.run(settings(optimizations=("none",), threads=(1,)))
    assert outcome.reason == "complete"
    assert all(each.samples for each in bench.final.values())


def test_a_batch_that_would_not_fit_is_skipped_with_both_figures() -> None:
    bench = Bench()
    bench.options["memory"] = lambda batch: GIB // 2 + batch * GIB // 8
    bench.memory = 8 * GIB - (GIB // 2 + GIB // 8)
    outcome = bench.run(
        settings(optimizations=("none",), threads=(1,), batches=(1, 2, 4, 8, 16, 32, 64, 128))
    )
    skipped = bench.final[Cell(optimization="none", threads=1, batch=64)]
    assert skipped.verdict == "skipped"
    assert skipped.reason == "needs about 8.50 GiB, but 8.00 GiB is available"
    assert outcome.verdicts == {"measured": 6, "skipped": 2}
    assert max(batch for _, _, batch, _ in bench.forwards) == 32


def test_what_would_not_fit_is_skipped_even_where_the_budget_never_reached_it() -> None:
    bench = Bench()
    bench.options["memory"] = lambda batch: GIB // 2 + batch * GIB // 8
    bench.memory = 20 * GIB
    bench.run(
        settings(
            optimizations=("none",), threads=(1,), batches=(1, 2, 4, 8, 128, 1024), budget_s=20.0
        )
    )
    reached = Cell(optimization="none", threads=1, batch=128)
    beyond = Cell(optimization="none", threads=1, batch=1024)
    assert bench.final[reached].verdict == "estimated"
    assert bench.final[beyond].verdict == "skipped"
    assert bench.final[beyond].reason == "needs about 128 GiB, but 20.6 GiB is available"


def test_running_out_of_memory_spares_the_larger_batches() -> None:
    def hungry(spec: InstanceSpec, batch: int, done: int) -> float:
        if batch >= 4:
            raise InstanceMemory("instance none t=1: not enough memory")
        return linear(spec, batch, done)

    bench = Bench(hungry)
    outcome = bench.run(settings(optimizations=("none",), threads=(1,)))
    assert outcome.verdicts == {"measured": 2, "failed": 1, "skipped": 1}
    larger = bench.final[Cell(optimization="none", threads=1, batch=8)]
    assert larger.reason == "4 inputs at once already ran out of memory"


def test_throttled_visits_are_tried_again_and_then_invalid() -> None:
    bench = Bench()
    bench.options["throttled"] = lambda spec, batch: 1 if batch == 8 else 0
    outcome = bench.run(settings(optimizations=("none",), threads=(1,)))
    assert outcome.verdicts == {"measured": 3, "invalid": 1}
    invalid = bench.final[Cell(optimization="none", threads=1, batch=8)]
    assert invalid.reason.startswith("the CPU quota throttled ")
    assert invalid.reason.endswith("use fewer threads or raise the quota")


def test_resume_measures_only_missing_cells() -> None:
    first = Bench()
    first.run(settings())
    kept = [each for each in first.final.values() if each.cell.batch != 4]
    second = Bench()
    outcome = second.run(settings(), done=kept)
    assert {batch for _, _, batch, _ in second.forwards} == {4}
    assert outcome.verdicts == {"measured": 16}
    assert {each.cell.batch for each in second.lines} == {4}


def test_a_resumed_cell_keeps_the_samples_it_had() -> None:
    cell = Cell(optimization="none", threads=1, batch=8)
    chosen = settings(optimizations=("none",), threads=(1,), batches=(8,))
    first = Bench()
    first.run(chosen)
    light = first.lines[0]
    assert (light.cell, light.verdict) == (cell, "unstable" if len(light.samples) > 5 else "light")
    second = Bench()
    second.run(chosen, done=[light])
    assert second.final[cell].samples[: len(light.samples)] == light.samples
    assert len(second.final[cell].samples) > len(light.samples)


def test_nothing_is_opened_to_resume_a_finished_run() -> None:
    first = Bench()
    first.run(settings())
    second = Bench()
    outcome = second.run(settings(), done=first.final.values())
    assert second.opened == []
    assert outcome.reason == "complete"


def test_an_interrupt_ends_the_sweep_and_estimates_the_rest() -> None:
    with Interrupt() as interrupt:

        def asked_to_end(spec: InstanceSpec, batch: int, done: int) -> float:
            if bench.clock.now > 3:
                interrupt.request()
            return linear(spec, batch, done)

        bench = Bench(asked_to_end)
        outcome = bench.run(settings(batches=(1, 2, 4, 8, 16, 32)), interrupt=interrupt)
    assert outcome.interrupted
    assert outcome.reason == "interrupted"
    assert len(bench.final) == 24
    assert outcome.verdicts["estimated"] > 0
    assert all(instance.closed for instance in bench.opened)
    end = bench.journal[-1]
    assert isinstance(end, Ended)
    assert end.reason == "interrupted"


def test_a_full_disk_ends_the_sweep_with_its_instances_closed() -> None:
    bench = Bench()
    bench.fail_after = 3
    with pytest.raises(StorageError, match="the disk is full"):
        bench.run(settings())
    assert len(bench.lines) == 3
    assert all(instance.closed for instance in bench.opened)


def test_instances_beyond_the_memory_take_turns_without_changing_at_every_cell() -> None:
    bench = Bench()
    bench.each_takes = GIB
    bench.memory = 4 * GIB
    outcome = bench.run(settings(batches=(1, 2, 4, 8)))
    assert outcome.verdicts == {"measured": 16}
    visits = sum(each.evidence.visits for each in bench.final.values() if each.evidence)
    assert 4 < len(bench.opened) <= 4 * 4 < visits


def test_the_peak_is_found_once_for_every_thread_count() -> None:
    bench = Bench()
    bench.run(settings())
    peaks = [entry for entry in bench.journal if isinstance(entry, Peak)]
    assert [peak.threads for peak in peaks] == [1, 2]
    assert peaks[1].matmul_flops == {"float32": 2e11, "bfloat16": 4e11}
    assert peaks[1].memory_bandwidth == 2e10


def test_every_allocator_has_instances_of_its_own() -> None:
    bench = Bench()
    chosen = settings(optimizations=("none",), allocators=("default", "glibc_tuned"), batches=(1,))
    assert bench.run(chosen).verdicts == {"measured": 4}
    ready = [entry for entry in bench.journal if isinstance(entry, Prepared)]
    assert sorted({(entry.threads, entry.allocator) for entry in ready}) == [
        (1, "default"),
        (1, "glibc_tuned"),
        (2, "default"),
        (2, "glibc_tuned"),
    ]


def test_another_cell_stands_in_for_an_anchor_that_cannot_be_prepared() -> None:
    bench = Bench()
    opener = bench.open

    def failing(cell: Cell) -> FakeInstance:
        bench.options["prepare_s"] = 500.0 if cell.optimization == "script" else 0.0
        return opener(cell)

    bench.open = failing  # type: ignore[method-assign]
    chosen = settings(budget_s=100.0, batches=(1, 2, 4, 8, 16, 32, 64))
    chosen = msgspec.structs.replace(chosen, anchor=anchor_of(chosen))
    bench.run(chosen)
    visits = [entry for entry in bench.journal if isinstance(entry, AnchorVisit)]
    assert len(visits) >= 2
    assert {visit.cell for visit in visits} == {Cell(optimization="none", threads=2, batch=4)}


def test_a_cell_that_is_throttled_after_a_clean_visit_does_not_go_on_for_ever() -> None:
    bench = Bench()
    seen: list[int] = []

    def later(spec: InstanceSpec, batch: int) -> int:
        seen.append(batch)
        return int(batch == 8 and seen.count(8) > 1)

    bench.options["throttled"] = later
    outcome = bench.run(settings(optimizations=("none",), threads=(1,)))
    assert outcome.reason == "complete"
    left = bench.final[Cell(optimization="none", threads=1, batch=8)]
    assert left.verdict == "light"
    assert len(left.visits) == 1


def test_a_dear_cell_is_never_the_first_that_a_process_computes() -> None:
    firsts: dict[int, int] = {}

    def noted(spec: InstanceSpec, batch: int, done: int) -> float:
        firsts.setdefault(len(bench.opened), batch)
        return linear(spec, batch, done)

    bench = Bench(noted)
    chosen = settings(optimizations=("none",), threads=(1,), batches=(1, 64), budget_s=200.0)
    first = Bench()
    first.run(chosen)
    done = [each for each in first.final.values() if each.cell.batch == 1]
    bench.run(chosen, done=done)
    assert firsts[1] == 1
    dear = bench.final[Cell(optimization="none", threads=1, batch=64)]
    assert dear.samples
    assert dear.visits[0].warmup == 0


def test_how_many_forwards_a_visit_has_is_fixed_before_it_begins() -> None:
    clock = FakeClock()
    budget = Budget(600.0, clock, 0.0)
    assert budget.visit(1.2, 1, 21) == (15.0, 3)
    assert budget.visit(0.01, 1, 5) == (15.0, 5)
    assert budget.visit(40.0, 0, 3) == (15.0, 1)
    clock.now = 597.0
    seconds, _ = budget.visit(1.0, 1, 3)
    assert seconds == 1.0
