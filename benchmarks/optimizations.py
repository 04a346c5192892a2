"""Compare all optimizations in one run: forwards in turn, in a random order.

One pinned instance for each optimization is alive at the same time, and only one runs at a time.
Each round times one forward of every optimization, so that a drift of the machine affects all of
them alike. The speedups are over eager (``none``) and over ``script``, from medians.

    python benchmarks/optimizations.py [--optimizations none,script,...] [--allocator default]
        [--threads 1,2] [--batches 1,8,32] [--rounds 8]

Small batches get more rounds: at least 24 inputs per cell.
"""

import argparse
import math
import random
import statistics

from coresplit.errors import InstanceError
from coresplit.instance import InstanceSpec, Process
from coresplit.machine.inspection import inspect
from coresplit.machine.placement import place
from coresplit.models import ModelSpec
from coresplit.optimizations import OPTIMIZATIONS, optimization_named, usable
from coresplit.units import parse_numbers

LEAST_INPUTS = 24
GOALS = {"none": (1.9, 1.7), "script": (1.5, 1.35)}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", default="inception")
    parser.add_argument("--optimizations", default=",".join(OPTIMIZATIONS))
    parser.add_argument("--allocator", default="default")
    parser.add_argument("--threads", default="1,2")
    parser.add_argument("--batches", default="1,8,32")
    parser.add_argument("--rounds", type=int, default=8)
    arguments = parser.parse_args()
    machine = inspect()
    batches = parse_numbers(arguments.batches, "batches")
    print(f"{machine.cpu_model}, {machine.usable} usable cores, {arguments.allocator} allocator")
    table: dict[tuple[int, int], dict[str, float]] = {}
    for threads in parse_numbers(arguments.threads, "threads"):
        cpus = place(machine.cores, threads, "sequential")
        instances = started(arguments, cpus)
        for batch in batches:
            rounds = max(arguments.rounds, LEAST_INPUTS // batch)
            table[threads, batch] = medians(instances, batch, rounds)
            show(threads, batch, rounds, table[threads, batch])
        for instance in instances.values():
            instance.close()
    summary(table)


def started(arguments: argparse.Namespace, cpus: tuple[int, ...]) -> dict[str, Process]:
    """Return ready instances by optimization; print and leave out those that fail."""
    found: dict[str, Process] = {}
    for name in arguments.optimizations.split(","):
        if (missing := usable(name)) is not None:
            print(f"  left out: {missing}")
            continue
        process = Process(
            InstanceSpec(
                model=ModelSpec(name=arguments.model),
                optimization=name,
                cpus=cpus,
                home=inspect().usable_cores,
                allocator=arguments.allocator,
            )
        )
        try:
            ready = process.wait_ready()
        except InstanceError as error:
            print(f"  failed: {error}")
            process.close()
            continue
        agreement = "" if ready.agreement is None else f", top-1 agreement {ready.agreement:.1%}"
        print(
            f"  {process.spec}: ready in {ready.prepare_s:.1f} s, relative error "
            f"{ready.error:.1e} over {ready.compared} inputs{agreement}",
            flush=True,
        )
        found[name] = process
    return found


def medians(instances: dict[str, Process], batch: int, rounds: int) -> dict[str, float]:
    """Return the median latency of every instance in seconds, after two forwards of warm-up."""
    samples: dict[str, list[float]] = {name: [] for name in instances}
    for process in instances.values():
        process.time_forward_passes(batch, 2, 3600, 3600)
    order = list(instances)
    for _ in range(rounds):
        random.shuffle(order)
        for name in order:
            samples[name].extend(
                instances[name].time_forward_passes(batch, 1, 3600, 3600).durations
            )
    return {name: statistics.median(values) for name, values in samples.items()}


def show(threads: int, batch: int, rounds: int, cell: dict[str, float]) -> None:
    print(f"\nt={threads} b={batch}, {rounds} rounds")
    for name, seconds in sorted(cell.items(), key=lambda item: item[1]):
        ratios = "".join(f"{cell[base] / seconds:>8.2f}x {base}" for base in GOALS if base in cell)
        lossy = " (lossy)" if optimization_named(name).lossy else ""
        print(f"  {name + lossy:<18}{seconds * 1e3:>10.1f} ms{ratios}", flush=True)


def summary(table: dict[tuple[int, int], dict[str, float]]) -> None:
    """Print speedups over all cells: the best lossless over each base, and the lossy ones."""
    print()
    for base, (mean_goal, least_goal) in GOALS.items():
        ratios = []
        for cell in table.values():
            lossless = [cell[name] for name in cell if not optimization_named(name).lossy]
            if base in cell:
                ratios.append(cell[base] / min(lossless))
        if ratios:
            print(
                f"best lossless over {base}: geometric mean {geometric(ratios):.2f} "
                f"(goal {mean_goal}), least {min(ratios):.2f} (goal {least_goal})"
            )
    for name in (name for name in OPTIMIZATIONS if optimization_named(name).lossy):
        ratios = [
            min(cell[o] for o in cell if not optimization_named(o).lossy) / cell[name]
            for cell in table.values()
            if name in cell
        ]
        if ratios:
            print(
                f"{name} over the best lossless: geometric mean {geometric(ratios):.2f}, "
                f"least {min(ratios):.2f}"
            )


def geometric(ratios: list[float]) -> float:
    return math.exp(statistics.fmean(map(math.log, ratios)))


if __name__ == "__main__":
    main()
