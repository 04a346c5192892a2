"""How much faster is a forward with each allocator, and how much do its processes differ?

    python benchmarks/allocators.py [--models inception,mobilenet_v3_large]
        [--optimizations onnxruntime,script] [--allocators NAMES] [--batch 1] [--rounds 8]

Every round starts a new process for each allocator, in a random order, on all cores; each is ended
before the next is started. Prints the median over rounds of the median latency of 30 forwards, by
how much the slowest process exceeds the fastest, and the speedup over the default allocator: the
median of the ratios within rounds with its 95 % interval.
"""

import argparse
import random
import statistics

from inputs import started

from coresplit.format import format_duration, percent, times_exact
from coresplit.machine.allocators import usable_allocators
from coresplit.machine.inspection import inspect
from coresplit.machine.kernel_files import huge_pages
from coresplit.stats.summary import median_interval

FORWARDS, WARMUP, FEWEST = 30, 5, 6
LIMIT_S = 600.0


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--models", default="inception,mobilenet_v3_large")
    parser.add_argument("--optimizations", default="onnxruntime,script")
    parser.add_argument("--allocators", default=",".join(usable_allocators()))
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=8)
    given = parser.parse_args()
    if given.rounds < FEWEST:
        parser.error(f"{given.rounds} rounds are too few; give {FEWEST} or more")
    machine = inspect()
    print(
        f"{machine.cpu_model}, {machine.usable} usable cores, transparent huge pages: "
        f"{huge_pages() or 'unknown'}; batch {given.batch}, {given.rounds} rounds"
    )
    for model in given.models.split(","):
        for optimization in given.optimizations.split(","):
            print(f"\n{model}, {optimization}")
            names = given.allocators.split(",")
            rounds = [
                {
                    name: latency(model, optimization, name, given.batch)
                    for name in random.sample(names, len(names))
                }
                for _ in range(given.rounds)
            ]
            show(names, rounds)


def latency(model: str, optimization: str, allocator: str, batch: int) -> float:
    """Return the median latency of a new process, in seconds."""
    machine = inspect()
    process = started(machine, model, optimization, machine.usable, allocator=allocator)
    try:
        timed = process.time_forward_passes(batch, FORWARDS, LIMIT_S, LIMIT_S, warmup=WARMUP)
    finally:
        process.close()
    return statistics.median(timed.durations)


def show(names: list[str], rounds: list[dict[str, float]]) -> None:
    print(f"{'':<14}{'latency':>10}{'processes':>12}{'times as fast':>16}{'95 % interval':>20}")
    for name in names:
        own = [each[name] for each in rounds]
        ratios = [each[names[0]] / each[name] for each in rounds]
        low, high = median_interval(ratios)
        line = (
            f"{name:<14}{format_duration(statistics.median(own)):>10}"
            f"{'+' + percent(max(own) / min(own) - 1):>12}"
        )
        if name != names[0]:
            line += (
                f"{times_exact(statistics.median(ratios)):>16}"
                f"{f'{times_exact(low)} to {times_exact(high)}':>20}"
            )
        print(line, flush=True)


if __name__ == "__main__":
    main()
