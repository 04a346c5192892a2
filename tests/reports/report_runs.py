"""Synthetic runs for tests and benchmarks of the report: a latency formula, no measuring."""

import math
import random
from collections.abc import Sequence

import msgspec

from coresplit.records import (
    AnchorVisit,
    Cell,
    Core,
    Ended,
    Evidence,
    Interval,
    Machine,
    Mapping,
    Measurement,
    ModelInfo,
    ModelInput,
    Prepared,
    Published,
    Run,
    Settings,
    Started,
    Visit,
)

BATCHES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)
COST = {"none": 0.110, "script": 0.062, "compile": 0.058, "onnxruntime": 0.055}


def latency(optimization: str, threads: int, batch: int) -> float:
    """Seconds: Amdahl per image, a share that only larger batches can spread, and a bend."""
    cost = COST.get(optimization, 0.05 + 0.004 * (sum(map(ord, optimization)) % 9))
    serial = 0.09 / math.pow(batch, 0.6) + 0.02
    spread = serial + (1 - serial) / threads
    bend = 1 + 0.45 / (1 + math.exp(-(math.log2(batch) - 5)))
    return cost * math.pow(batch, 0.97) * bend * spread + 2e-4 * threads


def published_run(threads: int = 16, mappings: Sequence[Mapping] = ("sequential",)) -> Run:
    """Like an imported table of the Inception page: means with ranges, no machine, no journal."""
    rng = random.Random(3)
    listed = []
    for mapping in mappings:
        for optimization in ("none", "script"):
            for count in range(1, threads + 1):
                for batch in BATCHES:
                    mean = latency(optimization, count, batch) * rng.uniform(0.98, 1.02)
                    value = Published(minimum=mean * 0.98, mean=mean, maximum=mean * 1.08)
                    cell = Cell(
                        optimization=optimization, threads=count, batch=batch, mapping=mapping
                    )
                    listed.append(
                        Measurement(cell=cell, verdict="measured", reason="", published=value)
                    )
    return Run(
        name="inception-published",
        created_at=1_767_268_800.0,
        model=ModelInfo(name="inception", title="Inception"),
        settings=Settings(
            optimizations=("none", "script"),
            threads=tuple(range(1, threads + 1)),
            batches=BATCHES,
            mappings=tuple(mappings),
        ),
        machine=None,
        software={},
        measurements=tuple(listed),
    )


def measured_run(
    threads: Sequence[int] = (1, 2),
    batches: Sequence[int] = BATCHES,
    optimizations: Sequence[str] = ("none", "script"),
    *,
    floor: float = 0.03,
) -> Run:
    """A run with samples, evidence and journal; large batches light, then estimated."""
    rng = random.Random(7)
    cells = [
        Cell(optimization=o, threads=t, batch=b)
        for o in optimizations
        for t in threads
        for b in batches
    ]
    anchor = Cell(optimization=optimizations[-1], threads=max(threads), batch=min(batches))
    return Run(
        name="inception-20260101-120000",
        created_at=1_767_268_800.0,
        model=ModelInfo(
            name="inception",
            title="Inception",
            inputs=(ModelInput(name="x", shape=(3, 299, 299)),),
            parameters=23_834_568,
            weights="sha256:0f3a9c",
            largest_tensor=2_765_952,
        ),
        settings=Settings(
            optimizations=tuple(optimizations),
            threads=tuple(threads),
            batches=tuple(batches),
            budget_s=600.0,
            anchor=anchor,
        ),
        machine=machine(max(threads)),
        software={"python": "3.12.3", "torch": "2.13.0", "coresplit": "0.1.0"},
        measurements=tuple(_measurement(cell, rng) for cell in cells),
        journal=journal(anchor, optimizations, threads, floor),
    )


def parted(cell: Cell, samples: Sequence[float], each: int = 3) -> tuple[Visit, ...]:
    """Visits of ``each`` samples, side by side with those of other cells of the place."""
    counts = [len(samples[start : start + each]) for start in range(0, len(samples), each)]
    first = 100 * (4096 * cell.threads + cell.batch) + (50 if cell.setting == "packed" else 0)
    return tuple(
        Visit(samples=count, at=1_767_268_850.0 + number, block=first + number)
        for number, count in enumerate(counts)
    )


def machine(cores: int) -> Machine:
    return Machine(
        cpu_model="Example CPU 6142 @ 2.60GHz",
        cores=tuple(Core(cpu=cpu) for cpu in range(cores)),
        usable=cores,
        quota_cores=None,
        memory=192 * 2**30,
        memory_limit=None,
        kernel="6.1.0-example",
        logical_cpus=2 * cores,
    )


def journal(
    anchor: Cell, optimizations: Sequence[str], threads: Sequence[int], floor: float
) -> tuple[Started | Prepared | AnchorVisit | Ended, ...]:
    """Anchor visits whose medians differ by ``floor`` at most, so that is the noise floor."""
    base = latency(anchor.optimization, anchor.threads, anchor.batch)
    visits = [
        AnchorVisit(at=1_767_268_900.0 + 100 * i, samples=(base * factor,) * 3)
        for i, factor in enumerate((1.0, 1.0 + floor / 3, 1.0 + floor))
    ]
    prepared = [
        Prepared(
            at=1_767_268_810.0,
            optimization=o,
            threads=t,
            start_s=1.6,
            prepare_s=2.4,
            error=0.0 if o == "none" else 3.1e-6,
            largest_tensor=2_765_952,
        )
        for o in optimizations
        for t in threads
    ]
    ended = Ended(at=1_767_269_400.0, reason="budget spent", wall_s=598.0, forward_s=511.0)
    return (Started(at=1_767_268_800.0), *prepared, *visits, ended)


def replaced(run: Run, *items: Measurement) -> Run:
    """The run with the measurements of some cells replaced, or added where it has none."""
    fresh = {str(item.cell): item for item in items}
    kept = tuple(item for item in run.measurements if str(item.cell) not in fresh)
    return msgspec.structs.replace(run, measurements=kept + items)


def all_verdicts() -> Run:
    """A 2-thread run in which every verdict occurs."""
    run = measured_run()
    cells = [item.cell for item in run.measurements]
    big = [cell for cell in cells if cell.batch == 1024]
    return replaced(
        run,
        Measurement(
            cell=big[0],
            verdict="skipped",
            reason="would need 30.1 GiB, 22.9 GiB are free",
        ),
        Measurement(
            cell=big[1],
            verdict="failed",
            reason="the process was killed (signal 9) after 'preparing'",
        ),
        Measurement(
            cell=next(c for c in cells if c.batch == 16 and c.threads == 2),
            verdict="invalid",
            reason="throttled in 4 of 20 periods",
            samples=(9.0, 9.1, 9.2),
        ),
        Measurement(
            cell=next(c for c in cells if c.batch == 4 and c.optimization == "script"),
            verdict="unstable",
            reason="interval 9.1 % wide, 2 % asked",
            samples=tuple(latency("script", 1, 4) * f for f in (0.8, 0.9, 0.95, 1, 1.1, 1.2, 1.3)),
        ),
    )


def _measurement(cell: Cell, rng: random.Random) -> Measurement:
    middle = latency(cell.optimization, cell.threads, cell.batch)
    if cell.batch > 256:
        estimate = Interval(low=middle * 0.85, value=middle, high=middle * 1.2)
        return Measurement(
            cell=cell,
            verdict="estimated",
            reason="out of reach of the budget; from batches 64 to 256",
            estimate=estimate,
        )
    count = 12 if cell.batch <= 32 else 3
    samples = tuple(middle * rng.uniform(0.985, 1.015) for _ in range(count))
    light = count < 9
    return Measurement(
        cell=cell,
        verdict="light" if light else "measured",
        reason="1 visit before the budget ended" if light else "",
        samples=samples,
        evidence=evidence(cell, samples),
        visits=parted(cell, samples),
    )


def evidence(cell: Cell, samples: Sequence[float]) -> Evidence:
    wall = sum(samples)
    return Evidence(
        forwards=len(samples),
        wall_s=wall,
        user_s=wall * cell.threads * 0.8,
        system_s=wall * cell.threads * 0.2,
        minor_faults=len(samples) * cell.batch * 2600,
        major_faults=0,
        voluntary_switches=3,
        involuntary_switches=1,
        throttled_periods=0,
        throttled_s=0.0,
        steal_s=0.0,
        peak_memory=400 * 2**20 + cell.batch * 30 * 2**20,
        started_at=1_767_268_850.0,
        threads=cell.threads,
        thread_cores=tuple(str(core) for core in range(cell.threads)),
    )


def run_of(*items: Measurement, journal_floor: float | None = 0.005) -> Run:
    """A run of exactly these measurements; its noise floor is ``journal_floor``."""
    optimizations = tuple(dict.fromkeys(item.cell.optimization for item in items)) or ("none",)
    threads = tuple(sorted({item.cell.threads for item in items})) or (1,)
    batches = tuple(sorted({item.cell.batch for item in items})) or (1,)
    anchor = Cell(optimization="none", threads=1, batch=1)
    return Run(
        name="small",
        created_at=1_767_268_800.0,
        model=ModelInfo(name="tiny", title="Tiny"),
        settings=Settings(optimizations=optimizations, threads=threads, batches=batches),
        machine=None,
        software={},
        measurements=items,
        journal=()
        if journal_floor is None
        else journal(anchor, optimizations, threads, journal_floor),
    )


SWING = (1.0, -1.0, 0.5, -0.5, 0.0)


def exact(
    optimization: str, threads: int, batch: int, milliseconds: float, *, noise: float = 0.002
) -> Measurement:
    """A measured cell of five visits of this median, which vary by ``noise`` (relative)."""
    cell = Cell(optimization=optimization, threads=threads, batch=batch)
    turn = (threads + batch + len(optimization)) % len(SWING)
    swing = SWING[turn:] + SWING[:turn]
    samples = tuple(milliseconds / 1e3 * (1 + noise * each) for each in swing for _ in range(3))
    return Measurement(
        cell=cell,
        verdict="measured",
        reason="",
        samples=samples,
        visits=parted(cell, samples),
    )


def guessed(optimization: str, threads: int, batch: int, milliseconds: float) -> Measurement:
    """An estimated cell, expected within 20 % of its value."""
    middle = milliseconds / 1e3
    return Measurement(
        cell=Cell(optimization=optimization, threads=threads, batch=batch),
        verdict="estimated",
        reason="out of reach of the budget",
        estimate=Interval(low=middle * 0.8, value=middle, high=middle * 1.2),
    )
