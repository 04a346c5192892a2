"""How often 95 % intervals contain the true latency, simulated with the real sweep.

    python benchmarks/coverage.py [SWEEPS]

Two optimizations on one and two threads over eight batches within ten minutes, for every
distribution, size and correlation of the noise. The true value is the median latency over the run.
Prints, for every setting, the share of the intervals that contain it and the mean error; then the
same for cells with few visits, pooled.
"""

import math
import multiprocessing
import sys
from collections import defaultdict
from itertools import product
from pathlib import Path
from statistics import fmean

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests" / "sweep"))

import msgspec
from simulation import DRIFTING, LAWS, Machine, Noise, grid, spec_of

from coresplit.instance import InstanceSpec
from coresplit.stats.fitting import variance_of
from coresplit.stats.summary import point_of

SWEEPS = 40
SIZES = (0.01, 0.03, 0.10)
CORRELATIONS = (0.0, 0.3, 0.5, 0.7)
BATCHES = (1, 2, 8, 32, 64, 128, 256, 512)
BUDGET_S = 600.0


class Held(msgspec.Struct, frozen=True):
    visits: int
    forwards: int
    holds: bool
    error: float
    width: float


def main() -> None:
    sweeps = int(sys.argv[1]) if len(sys.argv) > 1 else SWEEPS
    settings = [
        Noise(law=law, size=size, correlation=correlation)
        for law, size, correlation in product(LAWS, SIZES, CORRELATIONS)
    ]
    jobs = [(noise, seed) for noise in settings for seed in range(sweeps)]
    with multiprocessing.Pool() as pool:
        found = pool.starmap(simulate, jobs, chunksize=sweeps)
    by_setting: dict[Noise, list[Held]] = defaultdict(list)
    for (noise, _), held in zip(jobs, found, strict=True):
        by_setting[noise] += held
    print(f"{sweeps} sweeps a setting\n")
    print(
        f"{'law':<11}{'noise':>6}{'corr.':>7}{'cells':>7}{'holds':>8}{'bias':>8}{'width':>8}"
        f"{'visits':>8}{'forwards':>9}"
    )
    for noise, cells in by_setting.items():
        print(
            f"{noise.law:<11}{noise.size:>6.0%}{noise.correlation:>7.1f}{len(cells):>7}"
            f"{share(cells):>8.1%}{fmean(each.error for each in cells):>+8.2%}"
            f"{fmean(each.width for each in cells):>8.1%}"
            f"{fmean(each.visits for each in cells):>8.1f}"
            f"{fmean(each.forwards for each in cells):>9.1f}"
        )
    print()
    for drifting in (False, True):
        kinds = {n: c for n, c in by_setting.items() if (n.law in DRIFTING) == drifting}
        lowest = min(kinds, key=lambda noise: share(kinds[noise]))
        bias = fmean(abs(fmean(each.error for each in cells)) for cells in kinds.values())
        pooled = [each for cells in kinds.values() for each in cells]
        print(
            f"{'with' if drifting else 'without'} drift: {share(pooled):.1%} hold, "
            f"at least {share(kinds[lowest]):.1%} ({lowest.law}, {lowest.size:.0%}, "
            f"{lowest.correlation}); mean absolute bias {bias:.2%}"
        )
    print()
    every = [(noise, each) for noise, cells in by_setting.items() for each in cells]
    for law in LAWS:
        strata = []
        for name, low, high in (("1", 1, 1), ("2", 2, 2), ("3 to 5", 3, 5), ("more", 6, 10**6)):
            cells = [c for n, c in every if n.law == law and low <= c.visits <= high]
            strata.append(f"{name}: {share(cells):.1%} of {len(cells)}" if cells else f"{name}: -")
        print(f"{law:<11}by visits  " + ";  ".join(strata))


def share(cells: list[Held]) -> float:
    return sum(each.holds for each in cells) / len(cells)


def simulate(noise: Noise, seed: int) -> list[Held]:
    machine = Machine(noise, latency, seed, BUDGET_S)
    run = machine.run(grid(2, BATCHES, BUDGET_S, seed))
    variance = variance_of(run)
    found = []
    for each in run.measurements:
        point = point_of(each, variance)
        if point is None or point.interval != "95 %":
            continue
        truth = machine.truth(spec_of(each.cell), each.cell.batch)
        found.append(
            Held(
                visits=point.visits,
                forwards=point.samples,
                holds=point.low <= truth <= point.high,
                error=point.latency / truth - 1,
                width=(point.high - point.low) / 2 / point.latency,
            )
        )
    return found


def latency(spec: InstanceSpec, batch: int) -> float:
    """Return the seconds of a forward, about those of Inception on two cores."""
    speed = 1.7 if spec.threads == 2 else 1.0
    return 0.12 * math.pow(batch, 1.05) / speed / (1.3 if spec.optimization == "o1" else 1.0)


if __name__ == "__main__":
    main()
