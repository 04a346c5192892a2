"""Synthetic runs of ten optimizations, allocators and mappings, with peaks and what was stated."""

import math
import random
from collections.abc import Sequence

import msgspec
from report_runs import BATCHES, evidence, machine, parted, replaced

from coresplit.records import (
    AnchorVisit,
    Cell,
    Ended,
    Interval,
    Mapping,
    Measurement,
    ModelInfo,
    ModelInput,
    Peak,
    Prepared,
    Run,
    Settings,
    Started,
)

TEN = (
    "none", "script", "trace", "channels_last", "compile", "compile_freeze", "onnxruntime",
    "openvino", "bf16", "int8",
)  # fmt: skip
COST = {
    "none": 0.212, "script": 0.1540, "trace": 0.1525, "channels_last": 0.1520, "compile": 0.1590,
    "compile_freeze": 0.1320, "onnxruntime": 0.1085, "openvino": 0.1100, "bf16": 0.0560,
    "int8": 0.0298,
}  # fmt: skip
"""Seconds an image at batch 8 on one thread, of Inception on a server core."""
SERIAL = {"openvino": 0.02, "onnxruntime": 0.05, "bf16": 0.03, "int8": 0.05}
FACTS = {
    "onnxruntime": {"library": "onnxruntime 1.23.0", "precision": "float32", "spinning": "on"},
    "openvino": {"library": "openvino 2026.1.0", "precision": "f32"},
    "bf16": {"library": "openvino 2026.1.0", "precision": "bf16", "lossy": "yes"},
    "int8": {
        "library": "openvino 2026.1.0, nncf 3.0.0",
        "precision": "int8",
        "quantized": "94",
        "lossy": "yes",
    },
}
LOSS: dict[str, tuple[float, float | None, int]] = {
    "none": (0.0, 1.0, 32),
    "bf16": (0.021, 0.891, 256),
    "int8": (0.34, 0.254, 256),
}
FLOPS = 11_420_000_000


def latency(cell: Cell) -> float:
    """Seconds of a forward: cost, its growth with batch, Amdahl, allocator and mapping."""
    name, threads, batch = cell.optimization, cell.threads, cell.batch
    cost = COST.get(name, 0.2)
    serial = SERIAL.get(name, 0.08) * (0.4 + 1.2 / math.sqrt(batch))
    spread = serial + (1 - serial) / threads
    overhead = {"none": 0.012, "compile": 0.004, "openvino": 0.0012}.get(name, 0.003)
    pages = 0.25 / (1 + math.exp(-(math.log2(batch) - 5)))
    pages *= {
        "default": 1.0,
        "glibc_tuned": 0.15,
        "glibc_huge": 0.1,
        "tcmalloc": 0.12,
        "jemalloc": 1.7,
    }[cell.allocator] * (
        1.0 if name in ("none", "script", "trace", "channels_last", "compile") else 0.25
    )
    far = 1.0
    if cell.mapping == "interleave" and threads > 1:
        far = 1.09 - 0.028 * math.log2(batch)
    return (cost * batch * spread * (1 + pages) * far + overhead) * (
        1 + 0.004 * math.sin(batch + sum(map(ord, name)))
    )


def many_run(
    threads: Sequence[int] = (1, 2),
    batches: Sequence[int] = BATCHES[:8],
    optimizations: Sequence[str] = TEN,
    *,
    allocators: Sequence[str] = ("default",),
    mappings: Sequence[Mapping] = ("sequential",),
    light_from: int = 64,
    estimated_from: int = 512,
    failing: Sequence[str] = (),
) -> Run:
    """A whole sweep; ``failing`` optimizations could not be prepared."""
    rng = random.Random(11)
    cells = [
        Cell(optimization=o, threads=t, batch=b, allocator=a, mapping=m)
        for m in mappings
        for a in allocators
        for o in optimizations
        for t in threads
        for b in batches
    ]
    anchor = cells[0]
    reason = "'batch_norm' has no such kernel (RuntimeError in prepare)"
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
            flops=FLOPS,
        ),
        settings=Settings(
            optimizations=tuple(optimizations),
            threads=tuple(threads),
            batches=tuple(batches),
            allocators=tuple(allocators),
            mappings=tuple(mappings),
            budget_s=3600.0,
            anchor=anchor,
        ),
        machine=machine(max(threads)),
        software={"python": "3.12.3", "torch": "2.13.0", "openvino": "2026.1.0"},
        measurements=tuple(
            Measurement(cell=cell, verdict="failed", reason=reason)
            if cell.optimization in failing
            else _measurement(cell, rng, light_from, estimated_from)
            for cell in cells
        ),
        journal=_journal(
            [c for c in cells if c.batch == batches[0] and c.optimization not in failing], anchor
        ),
    )


def imported(run: Run) -> Run:
    """The run as a table would tell it: without journal, machine, inputs and operations."""
    return msgspec.structs.replace(
        run, journal=(), machine=None, model=ModelInfo(name="inception", title="Inception")
    )


def mostly_doubtful() -> Run:
    """Ten optimizations of which few cells are firm: light, estimated, unstable or failed."""
    run = many_run(light_from=2, estimated_from=16, failing=("compile", "trace"))
    middle = latency(Cell(optimization="openvino", threads=2, batch=1))
    unstable = Measurement(
        cell=Cell(optimization="openvino", threads=2, batch=1),
        verdict="unstable",
        reason="interval 22 % wide, 2 % asked",
        samples=tuple(middle * f for f in (0.8, 0.85, 0.9, 1.0, 1.15, 1.2, 1.3)),
    )
    return replaced(run, unstable)


def _measurement(
    cell: Cell, rng: random.Random, light_from: int, estimated_from: int
) -> Measurement:
    middle = latency(cell)
    if cell.batch >= estimated_from:
        return Measurement(
            cell=cell,
            verdict="estimated",
            reason="out of reach of the budget; from batches 64 to 256",
            estimate=Interval(low=middle * 0.88, value=middle, high=middle * 1.15),
        )
    light = cell.batch >= light_from
    samples = tuple(middle * rng.uniform(0.99, 1.01) for _ in range(3 if light else 12))
    faults = {
        "default": 3300, "glibc_tuned": 66, "glibc_huge": 5, "tcmalloc": 40, "jemalloc": 5200
    }  # fmt: skip
    seen = evidence(cell, samples)
    return Measurement(
        cell=cell,
        verdict="light" if light else "measured",
        reason="1 visit before the budget ended" if light else "",
        samples=samples,
        visits=parted(cell, samples),
        evidence=msgspec.structs.replace(
            seen, minor_faults=len(samples) * cell.batch * faults[cell.allocator]
        ),
    )


def _journal(
    cells: Sequence[Cell], anchor: Cell
) -> tuple[Started | Prepared | Peak | AnchorVisit | Ended, ...]:
    base = latency(anchor)
    visits = [
        AnchorVisit(at=1_767_268_900.0 + 100 * i, samples=(base * factor,) * 3)
        for i, factor in enumerate((1.0, 1.006, 1.02, 1.011, 1.003))
    ]
    peaks = [
        Peak(
            at=1_767_268_805.0,
            threads=threads,
            mapping=mapping,
            matmul_flops={
                "float32": 118e9 * threads,
                "bfloat16": 236e9 * threads,
                "int8": 455e9 * threads,
            },
            memory_bandwidth=min(11e9 * threads, 90e9),
        )
        for threads, mapping in dict.fromkeys((c.threads, c.mapping) for c in cells)
    ]
    ended = Ended(at=1_767_272_400.0, reason="budget spent", wall_s=3598.0, forward_s=3011.0)
    prepared = tuple(_prepared(cell) for cell in cells)
    return (Started(at=1_767_268_800.0), *prepared, *peaks, *visits, ended)


def _prepared(cell: Cell) -> Prepared:
    name = cell.optimization
    error, agreement, compared = LOSS.get(name, (3.1e-6, None, 4))
    seconds = {"compile": 94.0, "compile_freeze": 51.0, "int8": 21.0}.get(name, 2.4)
    return Prepared(
        at=1_767_268_810.0,
        optimization=name,
        threads=cell.threads,
        mapping=cell.mapping,
        allocator=cell.allocator,
        start_s=1.6,
        prepare_s=seconds,
        error=error,
        agreement=agreement,
        compared=compared,
        largest_tensor=2_765_952,
        facts=FACTS.get(name, {"library": "torch 2.13.0", "precision": "float32"}),
    )
