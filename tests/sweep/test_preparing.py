"""Wide grids: what is prepared first, what waits, and what is said of what was not ready."""

from collections.abc import Callable

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from coresplit.errors import PrepareFailed
from coresplit.instance import FakeClock, FakeHost, FakeInstance, InstanceSpec, Interrupt, Ready
from coresplit.models import ModelSpec
from coresplit.records import Cell, JournalEntry, Measurement, Prepared, Settings
from coresplit.sweep import (
    Effort,
    Efforts,
    Key,
    Outcome,
    Sweep,
    anchor_of,
    cells_of,
    forecast,
    in_order,
    key_of,
)

COMPILERS = ("compile", "compile_freeze")
GIB = 2**30


def efforts(compile_s: float = 100.0) -> Efforts:
    """A compiler makes code for each thread count, openvino one export; the rest takes 2 s."""

    def effort(key: Key) -> Effort:
        if key.optimization in COMPILERS:
            name = f"{key.optimization}-{key.threads}"
            return Effort(first_s=compile_s, again_s=5.0, artefact=name, compiles=True)
        if key.optimization == "openvino":
            return Effort(first_s=10.0, again_s=2.0, artefact="export")
        return Effort(first_s=2.0, again_s=2.0)

    return effort


def wide(**changes: object) -> Settings:
    base = Settings(
        optimizations=("none", "compile", "compile_freeze", "openvino"),
        threads=(1, 2),
        batches=(1, 8, 32),
        allocators=("default", "glibc_tuned"),
        budget_s=300.0,
    )
    return msgspec.structs.replace(base, **changes)


class Bench:
    """Fake instances that take to prepare what ``takes`` says, and all that was seen of them."""

    def __init__(
        self, takes: Callable[[Key], float] = lambda key: 2.0, *, each_takes: int = 0
    ) -> None:
        self.clock = FakeClock()
        self.takes = takes
        self.opened: list[tuple[Key, FakeInstance]] = []
        self.forwards: list[tuple[Key, int, float]] = []
        self.final: dict[Cell, Measurement] = {}
        self.journal: list[JournalEntry] = []
        self.each_takes = each_takes

    def append(self, measurement: Measurement) -> None:
        self.final[measurement.cell] = measurement

    def log(self, entry: JournalEntry) -> None:
        self.journal.append(entry)

    def open(self, cell: Cell) -> FakeInstance:
        key = key_of(cell)

        def formula(spec: InstanceSpec, batch: int, done: int) -> float:
            for other, instance in self.opened:
                busy = not (instance.answered(0.0) if not instance.paused else True)
                assert not busy, f"{other} prepares while {key} is measured"
            self.forwards.append((key, batch, self.clock.now))
            return 0.01 * batch / spec.threads

        spec = InstanceSpec(
            model=ModelSpec(name="fake"),
            optimization=cell.optimization,
            cpus=tuple(range(cell.threads)),
            home=(0, 1),
            allocator=cell.allocator,
        )
        instance = FakeInstance(spec, formula, self.clock, prepare_s=self.takes(key))
        self.opened.append((key, instance))
        return instance

    def run(
        self, chosen: Settings, found: Efforts, together: int = 1, **options: object
    ) -> Outcome:
        return Sweep(
            chosen,
            FakeHost(
                self.clock,
                self.open,
                available_memory=lambda: (
                    64 * GIB - sum(self.each_takes for _, each in self.opened if not each.closed)
                ),
                together=together,
            ),
            self,
            efforts=found,
            **options,  # type: ignore[arg-type]
        ).run()

    @property
    def ready(self) -> list[tuple[str, int, str]]:
        entries = [entry for entry in self.journal if isinstance(entry, Prepared)]
        return [(entry.optimization, entry.threads, entry.allocator) for entry in entries]


def slow_compilers(key: Key) -> float:
    return 100.0 if key.optimization in COMPILERS else 2.0


def test_compilers_of_one_allocator_do_not_keep_another_from_being_measured() -> None:
    bench = Bench(slow_compilers)
    bench.run(wide(), efforts())
    for cell, measurement in bench.final.items():
        if cell.optimization not in COMPILERS:
            assert measurement.samples, cell


def test_what_was_not_ready_in_time_is_skipped_and_says_so() -> None:
    bench = Bench(lambda key: 1e4 if key.optimization == "compile" else 2.0)
    chosen = wide(optimizations=("none", "compile"))
    outcome = bench.run(chosen, efforts())
    unready = [each for cell, each in bench.final.items() if cell.optimization == "compile"]
    assert {each.verdict for each in unready} == {"skipped"}
    assert all("was not ready in time" in each.reason for each in unready)
    assert outcome.reason == "the budget ran out"
    assert bench.clock.now <= 300.0


def test_every_named_value_is_measured_before_any_compiler_runs_a_second_time() -> None:
    bench = Bench(lambda key: 20.0 if key.optimization in COMPILERS else 2.0)
    bench.run(wide(), efforts(20.0))
    compiled = [each for each in bench.ready if each[0] in COMPILERS]
    assert [each[0] for each in compiled[:2]] == ["compile", "compile_freeze"]
    first = next(at for key, _, at in bench.forwards if key.optimization in COMPILERS)
    seen = {(key.optimization, key.threads, key.allocator) for key, _, at in bench.forwards
            if at < first}  # fmt: skip
    assert len(seen) == 8


def test_compilers_take_their_share_and_are_paused_while_the_rest_is_measured() -> None:
    bench = Bench(lambda key: 1e4 if key.optimization in COMPILERS else 2.0)
    bench.run(wide(batches=(1, 8, 32, 128, 512)), efforts(50.0), together=2)
    gaps = sorted(
        (b[2] - a[2] for a, b in zip(bench.forwards, bench.forwards[1:], strict=False)),
        reverse=True,
    )
    assert gaps[0] == pytest.approx(75.0, abs=5.5)
    # the next longest is that instances are started anew
    assert gaps[1] < 20.0


def test_a_compiler_that_would_not_be_done_in_its_share_takes_nothing_from_the_rest() -> None:
    bench = Bench(slow_compilers)
    bench.run(wide(batches=(1, 8, 32, 128, 512), budget_s=120.0), efforts())
    before = {key.optimization for key, _, at in bench.forwards if at < 100.0}
    gaps = [b[2] - a[2] for a, b in zip(bench.forwards, bench.forwards[1:], strict=False)]
    assert before == {"none", "openvino"}
    assert max(gaps) < 20.0


def test_no_visit_and_no_instance_is_begun_once_the_budget_is_spent() -> None:
    bench = Bench(lambda key: 5.0, each_takes=12 * GIB)
    chosen = wide(batches=(1, 8, 32, 128, 512), budget_s=120.0)
    chosen = msgspec.structs.replace(chosen, anchor=anchor_of(chosen))
    bench.run(chosen, efforts(5.0))
    assert bench.clock.now < 120.0 + 5.0
    assert max(at for _, _, at in bench.forwards) <= 120.0


def test_a_value_that_was_not_ready_in_the_first_share_goes_on_before_the_rest_is_deep() -> None:
    bench = Bench(lambda key: 80.0 if key.optimization == "openvino" else 2.0)
    noisy = wide(
        optimizations=("none", "openvino"), allocators=("default",), threads=(1,), budget_s=120.0,
        precision=1e-9,
    )  # fmt: skip
    bench.run(noisy, efforts())
    assert {key.optimization for key, _, _ in bench.forwards} == {"none", "openvino"}


def test_what_was_given_up_for_want_of_time_goes_on_while_time_is_left() -> None:
    bench = Bench(lambda key: 40.0 if key.optimization == "compile" else 2.0)
    chosen = wide(optimizations=("none", "compile"), allocators=("default",), budget_s=120.0)
    outcome = bench.run(chosen, efforts(40.0))
    assert outcome.reason == "complete"
    assert outcome.verdicts == {"measured": 12}
    assert bench.clock.now <= 120.0


def test_a_budget_too_short_for_its_only_instance_is_spent_on_it_all() -> None:
    bench = Bench(lambda key: 11.0)
    chosen = wide(
        optimizations=("none",), allocators=("default",), threads=(1,), budget_s=12.0
    )  # fmt: skip
    outcome = bench.run(chosen, efforts())
    assert outcome.verdicts.get("skipped", 0) < 3
    assert bench.clock.now <= 12.0
    never = Bench(lambda key: 1e4)
    assert never.run(chosen, efforts()).verdicts == {"skipped": 3}
    assert never.clock.now <= 12.0


def test_a_sweep_that_gave_something_up_is_not_called_complete() -> None:
    bench = Bench(lambda key: 1e4 if key.optimization == "openvino" else 2.0)
    chosen = wide(optimizations=("none", "openvino"), allocators=("default",), budget_s=120.0)
    outcome = bench.run(chosen, efforts())
    assert outcome.reason == "the budget ran out"
    assert outcome.verdicts == {"measured": 6, "skipped": 6}


def test_an_artefact_is_made_by_one_instance_while_the_others_wait_for_it() -> None:
    bench = Bench(lambda key: 30.0 if key.optimization == "compile" else 2.0)
    opened: list[tuple[float, Key]] = []
    opener = bench.open

    def noting(cell: Cell) -> FakeInstance:
        opened.append((bench.clock.now, key_of(cell)))
        return opener(cell)

    bench.open = noting  # type: ignore[method-assign]
    bench.run(wide(optimizations=("none", "compile"), budget_s=None), efforts(30.0), together=4)
    begun = {key: at for at, key in reversed(opened) if key.optimization == "compile"}
    for threads in (1, 2):
        first, second = sorted(at for key, at in begun.items() if key.threads == threads)
        assert second >= first + 30.0


def test_an_interrupt_while_preparing_keeps_what_was_measured() -> None:
    with Interrupt() as interrupt:

        class Stopping(Bench):
            def log(self, entry: JournalEntry) -> None:
                super().log(entry)
                if isinstance(entry, Prepared) and entry.optimization == "openvino":
                    interrupt.request()

        bench = Stopping(slow_compilers)
        outcome = bench.run(wide(), efforts(), interrupt=interrupt)
    assert outcome.interrupted
    assert {each.verdict for each in bench.final.values()} == {"skipped"}
    assert all("interrupted" in each.reason for each in bench.final.values())


def test_instances_that_memory_cannot_hold_together_are_all_measured() -> None:
    bench = Bench(slow_compilers, each_takes=12 * GIB)
    outcome = bench.run(wide(budget_s=None, batches=(1, 8)), efforts())
    assert outcome.verdicts == {"measured": 32}


def test_a_failed_compiler_ends_its_own_cells_alone() -> None:
    class Refusing(FakeInstance):
        def wait_ready(self, interrupt: Interrupt | None = None, timeout: float = 0.0) -> Ready:
            raise PrepareFailed("no compiler here")

    bench = Bench()
    opener = bench.open

    def refusing(cell: Cell) -> FakeInstance:
        instance = opener(cell)
        if cell.optimization == "compile":
            instance.__class__ = Refusing
        return instance

    bench.open = refusing  # type: ignore[method-assign]
    outcome = bench.run(wide(budget_s=None), efforts())
    assert outcome.verdicts == {"measured": 36, "failed": 12}
    assert outcome.reason == "complete"


def test_the_anchor_is_never_an_instance_that_is_not_ready() -> None:
    bench = Bench(lambda key: 1e4 if key.optimization == "compile" else 2.0)
    chosen = wide(optimizations=("none", "compile"))
    chosen = msgspec.structs.replace(chosen, anchor=anchor_of(chosen))
    bench.run(chosen, efforts())
    assert chosen.anchor is not None and chosen.anchor.optimization == "compile"
    assert {key.optimization for key, _, _ in bench.forwards} == {"none"}


keys = st.lists(
    st.builds(
        Key,
        optimization=st.sampled_from(["none", "openvino", *COMPILERS]),
        threads=st.integers(1, 4),
        mapping=st.sampled_from(["sequential", "interleave"]),
        allocator=st.sampled_from(["default", "tcmalloc"]),
        setting=st.sampled_from(["isolated", "packed"]),
    ),
    max_size=20,
)


@given(keys)
def test_the_order_has_every_instance_once_and_compilers_last(found: list[Key]) -> None:
    ordered = [key for key, _ in in_order(found, efforts())]
    assert sorted(ordered) == sorted(set(found))
    compiles = [efforts()(key).compiles for key in ordered]
    assert compiles == sorted(compiles)


@given(keys)
def test_new_values_come_before_repetitions_of_the_same_kind(found: list[Key]) -> None:
    ordered = [key for key, _ in in_order(found, efforts())]
    seen: set[tuple[str, object]] = set()
    before: tuple[bool, bool] | None = None
    stale = False
    for key in ordered:
        kind = efforts()(key).compiles, key.setting == "packed"
        stale = stale and kind == before
        values = set(msgspec.structs.asdict(key).items())
        assert not (stale and values - seen)
        stale = stale or values <= seen
        before = kind
        seen |= values


def test_only_the_first_of_an_artefact_is_expected_to_take_long() -> None:
    cells = cells_of(wide(batches=(1,)))
    costs = dict(in_order(map(key_of, cells), efforts()))
    assert sorted(cost for key, cost in costs.items() if key.optimization == "openvino") == [
        2.0, 2.0, 2.0, 10.0,
    ]  # fmt: skip
    assert sorted(cost for key, cost in costs.items() if key.optimization == "compile") == [
        5.0, 5.0, 100.0, 100.0,
    ]  # fmt: skip


def test_the_forecast_counts_what_the_budget_reaches_and_what_all_would_take() -> None:
    cells = cells_of(wide())
    found = forecast(cells, efforts(), lambda cell: 0.01 * cell.batch, 1, 300.0)
    assert found.cells == 48
    assert found.reached == 24
    assert found.whole_s == pytest.approx(4 * (4 * 100 + 4 * 5))
    enough = forecast(cells, efforts(), lambda cell: 0.01 * cell.batch, 1, found.whole_s)
    assert enough.reached == 48
    assert forecast(cells, efforts(), lambda cell: 1.0, 1, None).reached == 48


@given(st.floats(20.0, 1e5), st.floats(1e-4, 1.0), st.integers(1, 8))
def test_a_larger_budget_is_never_foretold_to_reach_less(
    budget_s: float, each_s: float, together: int
) -> None:
    def reached(seconds: float) -> int:
        return forecast(
            cells_of(wide()), efforts(), lambda cell: each_s * cell.batch, together, seconds
        ).reached

    assert reached(budget_s) <= reached(2 * budget_s)
