"""How often a difference is reported that does not exist, and how often one that does.

    python benchmarks/same.py [SWEEPS]

Five equal optimizations over two thread counts and eight batches within ten minutes, simulated
with the real sweep. Every pair of optimizations at one <threads, batch> is a possible claim. A
sweep counts as wrong if one of its 160 pairs is called different. Then two equal optimizations and
three clearly slower ones: in how many sweeps one of the two is called the best somewhere. Then
one optimization 1.10 times as fast as the others: how many of its true differences are reported.
The previous rule is shown too: beyond the noise floor, with separate order-statistics intervals.
"""

import multiprocessing
import statistics
import sys
from collections.abc import Sequence
from itertools import combinations, permutations
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests" / "sweep"))

import msgspec
from simulation import LAWS, Law, Machine, Noise, grid

from coresplit.instance import InstanceSpec
from coresplit.records import Cell, Measurement
from coresplit.stats.claims import Claims
from coresplit.stats.noise import noise_floor
from coresplit.stats.summary import median_interval

SWEEPS = 200
BATCHES = (1, 2, 4, 8, 16, 32, 64, 128)
BUDGET_S = 600.0
GAIN = 1.10
ASSUMED_FLOOR = 0.05


class Named(msgspec.Struct, frozen=True):
    """The number of pairs, and how many each rule called different."""

    pairs: int
    now: int
    before: int


def main() -> None:
    sweeps = int(sys.argv[1]) if len(sys.argv) > 1 else SWEEPS
    settings = [(law, 0.03, 0.5) for law in LAWS]
    settings += [("normal", size, corr) for size in (0.01, 0.10) for corr in (0.0, 0.7)]
    with multiprocessing.Pool() as pool:
        print(f"five optimizations of one law, {sweeps} sweeps\n")
        print(f"{'law':<11}{'noise':>6}{'corr.':>7}{'':>4}sweeps with a named difference, pairs")
        for setting in settings:
            show(setting, pool.starmap(simulate, [(*setting, 1.0, n) for n in range(sweeps)]))
        print("\ntwo of five alike, three plainly slower: sweeps that call one of the two best\n")
        for setting in settings[:3]:
            lead = pool.starmap(leading, [(*setting, n) for n in range(sweeps)])
            law, size, correlation = setting
            share = sum(lead) / len(lead)
            print(f"{law:<11}{size:>6.0%}{correlation:>7.1f}    {share:>6.1%}", flush=True)
        print(f"\none of five {GAIN} times as fast: true differences named\n")
        for setting in settings:
            few = range(max(1, sweeps // 5))
            power(setting, pool.starmap(simulate, [(*setting, GAIN, n) for n in few]))


def show(setting: tuple[Law, float, float], found: Sequence[Named]) -> None:
    pairs = sum(each.pairs for each in found)
    law, size, correlation = setting
    now = sum(each.now > 0 for each in found), sum(each.now for each in found)
    before = sum(each.before > 0 for each in found), sum(each.before for each in found)
    print(
        f"{law:<11}{size:>6.0%}{correlation:>7.1f}    now {now[0] / len(found):>6.1%} "
        f"{now[1] / pairs:>7.3%}   before {before[0] / len(found):>6.1%} {before[1] / pairs:>6.1%}",
        flush=True,
    )


def power(setting: tuple[Law, float, float], found: Sequence[Named]) -> None:
    pairs = sum(each.pairs for each in found)
    law, size, correlation = setting
    now, before = sum(each.now for each in found), sum(each.before for each in found)
    print(
        f"{law:<11}{size:>6.0%}{correlation:>7.1f}    now {now / pairs:>6.1%}   "
        f"before {before / pairs:>6.1%}",
        flush=True,
    )


def simulate(law: Law, size: float, correlation: float, gain: float, seed: int) -> Named:
    """Simulate a sweep; with ``gain`` above 1 count only pairs with the faster optimization."""

    def latency(spec: InstanceSpec, batch: int) -> float:
        speed = 1.7 if spec.threads == 2 else 1.0
        return 0.05 * batch / speed / (gain if spec.optimization == "o0" else 1.0)

    noise = Noise(law=law, size=size, correlation=correlation)
    run = Machine(noise, latency, seed, BUDGET_S).run(grid(5, BATCHES, BUDGET_S, seed))
    claims = Claims(run)
    floor = noise_floor(run.journal) or ASSUMED_FLOOR
    of_cell = {each.cell: each for each in run.measurements if each.samples}
    pairs = [
        pair
        for pair in combinations(of_cell, 2)
        if _place(pair[0]) == _place(pair[1])
        if gain == 1.0 or "o0" in (pair[0].optimization, pair[1].optimization)
    ]
    now = sum(claims.relation(*pair) in ("faster", "slower") for pair in pairs)
    before = sum(differed(of_cell[one], of_cell[other], floor) for one, other in pairs)
    return Named(pairs=len(pairs), now=now, before=before)


def leading(law: Law, size: float, correlation: float, seed: int) -> bool:
    """Return True if one of two equal optimizations is called the best anywhere."""
    speeds = {"o0": 1.0, "o1": 1.0, "o2": 0.5, "o3": 0.6, "o4": 0.7}

    def latency(spec: InstanceSpec, batch: int) -> float:
        return 0.05 * batch / (1.7 if spec.threads == 2 else 1.0) / speeds[spec.optimization]

    noise = Noise(law=law, size=size, correlation=correlation)
    run = Machine(noise, latency, seed, BUDGET_S).run(grid(5, BATCHES, BUDGET_S, seed))
    claims = Claims(run)
    pairs = [
        (one, other)
        for one, other in permutations(claims.points, 2)
        if (one.optimization, other.optimization) in (("o0", "o1"), ("o1", "o0"))
        if _place(one) == _place(other)
    ]
    return any(claims.leads(one, other) for one, other in pairs)


def differed(one: Measurement, other: Measurement, floor: float) -> bool:
    """Apply the previous rule."""
    low, high = (statistics.median(each.samples) for each in (one, other))
    if max(low, high) / min(low, high) <= 1 + floor:
        return False
    first, second = median_interval(one.samples), median_interval(other.samples)
    return first[0] > second[1] or second[0] > first[1]


def _place(cell: Cell) -> tuple[int, int]:
    return cell.threads, cell.batch


if __name__ == "__main__":
    main()
