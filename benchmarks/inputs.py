"""How much slower are forwards whose input is not in a cache?

Two pinned instances of every cell are alive at the same time, and only one runs at a time: one gets
the same input at every forward (``hot``), the other different ones in turn (``rotate``). Visits
alternate between them and the order is reversed from pair to pair, so that a drift of the
machine cancels. A visit is a few forwards after one that is not counted; its value is their
median, and that of a pair the ratio of the second kind over the first. Prints the median of
the ratios with its 95 % interval by order statistics. ``--kinds hot,hot`` shows how much two equal
processes differ.

    python benchmarks/inputs.py [--models inception,mobilenet_v3_large]
        [--optimizations none,script] [--threads 1,2] [--batches 1,8] [--visits 24] [--forwards 3]
        [--kinds hot,rotate]

Without ``--batches`` MobileNet is also measured at 32. An interval needs 6 visits or more.
"""

import argparse
import statistics
import time

import msgspec

from coresplit.errors import UsageError
from coresplit.format import format_size
from coresplit.instance import InstanceSpec, Process
from coresplit.machine.inspection import inspect
from coresplit.machine.placement import place
from coresplit.machine.topology import last_level_cache
from coresplit.models import ModelSpec
from coresplit.records import Inputs, Machine
from coresplit.stats.summary import median_interval
from coresplit.units import parse_numbers

BATCHES = {"mobilenet_v3_large": "1,8,32"}
FEWEST = 6
"""Visits needed for a 95 % interval."""
LIMIT_S = 3600.0
REST_S = 0.05
"""Pause between visits: threads of the other instance keep spinning for some milliseconds."""


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--models", default="inception,mobilenet_v3_large")
    parser.add_argument("--optimizations", default="none,script")
    parser.add_argument("--threads", default="1,2")
    parser.add_argument("--batches")
    parser.add_argument("--visits", type=int, default=24)
    parser.add_argument("--forwards", type=int, default=3)
    parser.add_argument("--kinds", default="hot,rotate")
    arguments = parser.parse_args()
    try:
        first, second = msgspec.convert(arguments.kinds.split(","), tuple[Inputs, Inputs])
    except msgspec.ValidationError as error:
        raise UsageError(f"--kinds '{arguments.kinds}': give two of hot and rotate") from error
    machine, begin = inspect(), time.monotonic()
    print(
        f"{machine.cpu_model}, {machine.usable} usable cores, "
        f"last-level cache {format_size(last_level_cache())}; {arguments.visits} pairs of visits "
        f"with {arguments.forwards} forwards each, {second} over {first}"
    )
    print(f"{'cell':<36}{first:>12}{second:>12}{'ratio':>9}{'95 % interval':>19}")
    for model in arguments.models.split(","):
        batches = parse_numbers(arguments.batches or BATCHES.get(model, "1,8"), "batches")
        for optimization in arguments.optimizations.split(","):
            for threads in parse_numbers(arguments.threads, "threads"):
                pair = [
                    started(machine, model, optimization, threads, kind=kind)
                    for kind in (first, second)
                ]
                try:
                    for batch in batches:
                        rows = visits(pair, batch, arguments.visits, arguments.forwards)
                        show(f"{model} {optimization} t={threads} b={batch}", rows)
                finally:
                    for process in pair:
                        process.close()
    print(f"took {time.monotonic() - begin:.0f} s")


def started(
    machine: Machine, model: str, optimization: str, threads: int, *,
    kind: Inputs = "hot", allocator: str = "default",
) -> Process:  # fmt: skip
    """Return a ready instance on the first cores."""
    process = Process(
        InstanceSpec(
            model=ModelSpec(name=model),
            optimization=optimization,
            cpus=place(machine.cores, threads, "sequential"),
            home=machine.usable_cores,
            inputs=kind,
            allocator=allocator,
        )
    )
    process.wait_ready()
    return process


def visits(pair: list[Process], batch: int, count: int, forwards: int) -> list[tuple[float, float]]:
    """Return the median latencies of each instance in seconds, visit by visit."""
    rows = []
    for process in pair:
        # makes the inputs, and sets up the kernels of the batch
        process.time_forward_passes(batch, 1, LIMIT_S, LIMIT_S, warmup=2)
    for number in range(count):
        row = [0.0, 0.0]
        for which in (0, 1) if number % 2 == 0 else (1, 0):
            time.sleep(REST_S)
            timed = pair[which].time_forward_passes(batch, forwards, LIMIT_S, LIMIT_S, warmup=1)
            row[which] = statistics.median(timed.durations)
        rows.append((row[0], row[1]))
    return rows


def show(cell: str, rows: list[tuple[float, float]]) -> None:
    first, second = (statistics.median(side) for side in zip(*rows, strict=True))
    ratios = [after / before for before, after in rows]
    low, high = median_interval(ratios)
    note = "" if len(rows) >= FEWEST else "  (range: too few visits)"
    print(
        f"{cell:<36}{first * 1e3:>9.2f} ms{second * 1e3:>9.2f} ms{statistics.median(ratios):>9.4f}"
        f"{low:>10.4f} to {high:.4f}{note}",
        flush=True,
    )


if __name__ == "__main__":
    main()
