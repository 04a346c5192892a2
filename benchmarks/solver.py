"""How long the exact solver takes, and how that grows with cores and batch.

    python benchmarks/solver.py [PICTURE.png]

Profiles come from a formula: latency grows with the batch to the power 0.95 and falls with the
threads to the power 0.8, times seeded noise of up to 10 %. For comparison, the exhaustive dynamic
program over cores x batch x cells from the literature runs on the same profile in the same run, and
the optima are compared. Last come whole plans from packed cells, which are solved for every number
of busy cores, with rivals and front.
"""

import random
import statistics
import sys
import time
import tracemalloc
from collections.abc import Callable
from functools import partial
from pathlib import Path

import vl_convert

from coresplit.planner import Profile, ProfilePoint, plan
from coresplit.planner.solver import Latencies, slowest, solve
from coresplit.records import Variant

REPEATS = 7


def main() -> None:
    print("asked: 176 cells, T=16, B=1024 in 5 ms; 3,328 cells, T=256, B=4096 in 1 s, 200 MB\n")
    print(f"{'T':>5}{'B':>7}{'cells':>7}{'solver':>12}{'memory':>10}{'exhaustive':>13}{'ratio':>9}")
    points = [measure(16, 2**power, 11, exhaustive=power <= 10) for power in range(3, 13)]
    points += [measure(2**power, 4096, 13, exhaustive=False) for power in range(1, 9)]
    print("\nplans from packed cells")
    for cores, batch, batches in ((16, 1024, 11), (64, 1024, 11), (256, 4096, 13)):
        packed = packed_profile(cores, batches)
        seconds = timed(partial(plan, packed, cores, batch), 3)
        print(f"{cores:>5}{batch:>7}{len(packed.cells):>7}{seconds * 1e3:>9.0f} ms")
    if len(sys.argv) > 1:
        draw(points, Path(sys.argv[1]))


def profile(cores: int, batches: int) -> Latencies:
    drawn = random.Random(0)
    return {
        (threads, 2**power): 0.05 * 2 ** (0.95 * power) / threads**0.8 * drawn.uniform(1, 1.1)
        for threads in range(1, cores + 1)
        for power in range(batches)
    }


def packed_profile(cores: int, batches: int) -> Profile:
    """Return the same cells measured alone, and up to half slower with all cores busy."""
    alone = profile(cores, batches)
    busy = {cell: 1.5 ** ((cores - cell[0]) / cores) * value for cell, value in alone.items()}
    return Profile(
        variant=Variant("script"),
        setting="packed",
        cells=known(busy),
        alone=known(alone),
        cores=cores,
    )


def known(latencies: Latencies) -> dict[tuple[int, int], ProfilePoint]:
    return {cell: ProfilePoint(latency=value) for cell, value in latencies.items()}


def measure(cores: int, batch: int, batches: int, *, exhaustive: bool) -> dict[str, float]:
    latencies = profile(cores, batches)
    split = solve(latencies, cores, batch)
    assert split is not None
    seconds = timed(lambda: solve(latencies, cores, batch), REPEATS)
    tracemalloc.start()
    solve(latencies, cores, batch)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    line = f"{cores:>5}{batch:>7}{len(latencies):>7}{seconds * 1e3:>9.2f} ms{peak / 1e6:>7.2f} MB"
    if exhaustive:
        begin = time.perf_counter()
        optimum = table(latencies, cores, batch)
        long = time.perf_counter() - begin
        assert optimum == slowest(latencies, split)
        line += f"{long:>11.3f} s{long / seconds:>8.0f}x"
    print(line)
    return {"T": cores, "B": batch, "ms": seconds * 1e3}


def timed(call: Callable[[], object], repeats: int) -> float:
    found = []
    for _ in range(repeats):
        begin = time.perf_counter()
        call()
        found.append(time.perf_counter() - begin)
    return statistics.median(found)


def table(latencies: Latencies, cores: int, batch: int) -> float:
    """Return the optimum, found by filling best[cores][batch] from every cell."""
    best = [[float("inf")] * (batch + 1) for _ in range(cores + 1)]
    for row in best:
        row[0] = 0.0
    for used in range(1, cores + 1):
        for total in range(1, batch + 1):
            found = best[used - 1][total]
            for (threads, size), latency in latencies.items():
                if threads <= used and size <= total:
                    found = min(found, max(latency, best[used - threads][total - size]))
            best[used][total] = found
    return best[cores][batch]


def draw(points: list[dict[str, float]], file: Path) -> None:
    series = [{**point, "of": "T = 16, growing B"} for point in points if point["T"] == 16]
    series += [{**point, "of": "B = 4096, growing T"} for point in points if point["B"] == 4096]
    for point in series:
        point["size"] = point["B"] if point["of"] == "T = 16, growing B" else point["T"]
    scale = {"type": "log", "base": 2}
    spec = {
        "$schema": "https://vega.github.io/schema/vega-lite/v5.json",
        "title": "Time to find the exact split",
        "data": {"values": series},
        "mark": {"type": "line", "point": True},
        "width": 520,
        "height": 260,
        "encoding": {
            "x": {"field": "size", "type": "quantitative", "scale": scale, "title": "B or T"},
            "y": {"field": "ms", "type": "quantitative", "scale": {"type": "log"}, "title": "ms"},
            "color": {"field": "of", "type": "nominal", "title": None},
        },
    }
    file.write_bytes(vl_convert.vegalite_to_png(spec, scale=2))


if __name__ == "__main__":
    main()
