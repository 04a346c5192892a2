"""Runs of known splits for the report, verifications of them, and all of it written by hand."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence

import msgspec
from report_runs import BATCHES, exact, journal, machine, parted

from coresplit.planner import Plan, cores_of, plan, profiles_of
from coresplit.records import (
    Cell,
    Configuration,
    Interval,
    Measurement,
    ModelInfo,
    Run,
    Setting,
    Settings,
    Trial,
    Verification,
)

ROUNDS = 12
"""An even number, so that what swings has its middle as median."""


def server_latency(threads: int, batch: int) -> float:
    """Seconds like those of Inception on a server: Amdahl, worse for small batches."""
    serial = 0.03 + 0.09 / math.sqrt(batch)
    return 0.0605 * math.pow(batch, 0.98) * (serial + (1 - serial) / threads) + 3e-4 * math.pow(
        threads, 1.2
    )


def formula_run(
    cores: int = 16,
    batches: Sequence[int] = BATCHES,
    *,
    estimated_from: int = 512,
    packed: Callable[[int, int], float] | None = None,
) -> Run:
    """``script`` on every thread count up to 16 and powers of two beyond; ``none`` is slower.

    ``packed`` maps <threads, batch> to how many times slower packed cells are, which the smallest
    batches then have.
    """
    threads = sorted({*range(1, min(cores, 16) + 1), *(2**n for n in range(9) if 2**n <= cores)})
    cells = [(name, t, b) for name in ("none", "script") for t in threads for b in batches]
    items = [_cell(name, t, b, estimated_from) for name, t, b in cells]
    if packed is not None:
        small = [place for place in cells if place[1] * 2 <= cores and place[2] <= 8]
        items += [_cell(name, t, b, 2**20, packed(t, b)) for name, t, b in small]
    settings: tuple[Setting, ...] = ("isolated", "packed") if packed else ("isolated",)
    anchor = Cell(optimization="script", threads=cores, batch=batches[0])
    return Run(
        name="inception-20260101-120000",
        created_at=1_767_268_800.0,
        model=ModelInfo(name="inception", title="Inception"),
        settings=Settings(
            optimizations=("none", "script"),
            threads=tuple(threads),
            batches=tuple(batches),
            settings=settings,
        ),
        machine=machine(cores),
        software={},
        measurements=tuple(items),
        journal=journal(anchor, ("none", "script"), threads, 0.01),
    )


def _cell(
    name: str, threads: int, batch: int, estimated_from: int, packed: float | None = None
) -> Measurement:
    middle = server_latency(threads, batch) * (1.7 if name == "none" else 1.0) * (packed or 1.0)
    setting: Setting = "isolated" if packed is None else "packed"
    cell = Cell(optimization=name, threads=threads, batch=batch, setting=setting)
    if batch >= estimated_from:
        estimate = Interval(low=middle * 0.9, value=middle, high=middle * 1.15)
        return Measurement(cell=cell, verdict="estimated", reason="budget", estimate=estimate)
    samples = tuple(middle * factor for factor in (0.99, 0.995, 1, 1, 1, 1.005, 1.01, 1.01))
    return Measurement(
        cell=cell, verdict="measured", reason="", samples=samples, visits=parted(cell, samples, 1)
    )


def plan_of(run: Run, batch: int, optimization: str = "script") -> Plan:
    """The plan of one optimization and batch on all cores."""
    (profile,) = [p for p in profiles_of(run) if p.variant.optimization == optimization]
    found = plan(profile, cores_of(run), batch)
    assert found is not None
    return found


def verified(
    made: Plan, slower: Mapping[Configuration, float], at: float = 1.0, spread: float = 0.004
) -> tuple[Verification, ...]:
    """Rounds in which each configuration takes so many times what was predicted of it.

    It swings by ``spread`` about that from round to round, fat against the others.
    """
    rounds = []
    for index in range(ROUNDS):
        trials = tuple(
            Trial(
                name=name,
                split=option.split,
                predicted=option.predicted,
                samples=(option.predicted.value * slower[name] * _swing(index + place, spread),),
            )
            for place, (name, option) in enumerate(made.configurations)
        )
        rounds.append(
            Verification(
                at=at,
                optimization=made.variant.optimization,
                mapping=made.variant.mapping,
                allocator=made.variant.allocator,
                setting=made.setting,
                cores=made.cores,
                batch=made.batch,
                trials=trials,
            )
        )
    return tuple(rounds)


def _swing(index: int, spread: float) -> float:
    return 1 + spread if index % 2 else 1 - spread


def with_proofs(run: Run, *proofs: Iterable[Verification]) -> Run:
    """The run with verifications in its journal."""
    entries = tuple(entry for proof in proofs for entry in proof)
    return msgspec.structs.replace(run, journal=run.journal + entries)


def server_run(cores: int = 16) -> Run:
    """A run with four verifications: confirmed, confirmed, tied and refuted."""
    run = formula_run(cores)
    slower: dict[int, dict[Configuration, float]] = {
        8: {"split": 1.06, "fat": 1.01, "thin": 1.03},
        16: {"split": 1.09, "fat": 1.0, "thin": 1.04},
        64: {"split": 1.7, "fat": 1.02, "thin": 1.12},
        128: {"split": 1.1, "fat": 0.98, "thin": 1.1},
    }
    proofs = [
        verified(
            plan_of(run, batch), factors, at=float(batch), spread=0.3 if batch == 128 else 0.01
        )
        for batch, factors in slower.items()
    ]
    return with_proofs(run, *proofs)


HAND = {
    (1, 1): 20.0, (1, 2): 36.0, (1, 4): 72.0, (1, 8): 150.0,
    (2, 1): 12.0, (2, 2): 20.0, (2, 4): 40.0, (2, 8): 84.0,
    (4, 1): 9.0, (4, 2): 14.0, (4, 4): 26.0, (4, 8): 60.0,
}  # fmt: skip
"""Milliseconds by <threads, batch> of four cores."""


def hand_run(missing: Sequence[tuple[int, int]] = (), *, noise: float = 0.002) -> Run:
    """Four cores, one optimization, latencies of visits that vary by ``noise`` (relative)."""
    items = tuple(
        exact("script", *place, milliseconds, noise=noise)
        for place, milliseconds in HAND.items()
        if place not in missing
    )
    return Run(
        name="hand",
        created_at=0.0,
        model=ModelInfo(name="tiny", title="Tiny"),
        settings=Settings(optimizations=("script",), threads=(1, 2, 4), batches=(1, 2, 4, 8)),
        machine=machine(4),
        software={},
        measurements=items,
        journal=journal(Cell(optimization="script", threads=4, batch=1), ("script",), (1,), 0.0),
    )
