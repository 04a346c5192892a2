"""Compare our latencies with torch.utils.benchmark, call by call on the same prepared model.

Both time the same callable in the same pinned process: ours with the worker that a sweep
uses, theirs with ``Timer(...).timeit(1)``. Each round times ours twice and theirs once in a random
order, so that the ratio of our two series shows the noise of the machine alone (A/A): the
noise floor of a cell bounds that ratio in 95 of 100 resamplings of the rounds.

    python benchmarks/fidelity.py [--pairs 24] [--batches 1,4] [--threads 1,2]

Small batches get more pairs: at least 96 inputs per series.
"""

import argparse
import json
import math
import os
import random
import statistics
import subprocess
import sys
from collections.abc import Callable

from coresplit.machine.inspection import inspect
from coresplit.machine.placement import place, thread_environment
from coresplit.units import parse_numbers

OPTIMIZATIONS = ("none", "script")
GOAL = 0.02
LEAST_INPUTS = 96
RESAMPLINGS = 2000


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--pairs", type=int, default=24)
    parser.add_argument("--batches", default="1,4")
    parser.add_argument("--threads", default="1,2")
    parser.add_argument("--child", nargs=2)
    arguments = parser.parse_args()
    batches = parse_numbers(arguments.batches, "batches")
    if arguments.child:
        measure(arguments.child[0], json.loads(arguments.child[1]), batches, arguments.pairs)
        return
    machine = inspect()
    print(f"{machine.cpu_model}, {machine.usable} usable cores")
    print(f"{'cell':<18}{'pairs':>6}{'ours':>11}{'Timer':>11}{'ratio':>8}{'A/A':>8}{'floor':>8}")
    outside = []
    for threads in parse_numbers(arguments.threads, "threads"):
        for optimization in OPTIMIZATIONS:
            cpus = place(machine.cores, threads, "sequential")
            child = ("--child", optimization, json.dumps(cpus))
            output = subprocess.run(
                [sys.executable, __file__, *sys.argv[1:], *child],
                env={**os.environ, **thread_environment(cpus)},
                check=True,
                capture_output=True,
                text=True,
            )
            for row in map(json.loads, output.stdout.splitlines()):
                name = f"{optimization} t={threads} b={row['batch']}"
                ratio = row["ratio"]
                print(
                    f"{name:<18}{row['pairs']:>6}{row['ours']:>9.4f} s{row['theirs']:>9.4f} s"
                    f"{ratio:>8.4f}{row['noise']:>8.4f}{row['floor']:>8.2%}",
                    flush=True,
                )
                if abs(math.log(ratio)) > max(GOAL, row["floor"]):
                    outside.append(name)
    print(f"outside 0.98 to 1.02 and the noise floor: {', '.join(outside) or 'none'}")


def measure(optimization: str, cpus: list[int], batches: tuple[int, ...], pairs: int) -> None:
    os.sched_setaffinity(0, cpus)
    import torch  # noqa: PLC0415 (only in the pinned child)
    from torch.utils.benchmark import Timer  # noqa: PLC0415

    from coresplit.instance.child.worker import Worker  # noqa: PLC0415
    from coresplit.instance.messages import Forwards, InstanceSpec  # noqa: PLC0415
    from coresplit.models import ModelSpec  # noqa: PLC0415

    worker = Worker(
        InstanceSpec(
            model=ModelSpec(name="inception"),
            optimization=optimization,
            cpus=tuple(cpus),
            home=tuple(cpus),
        )
    )
    for batch in batches:
        once = Forwards(batch=batch, count=1, seconds=3600)
        worker.time(Forwards(batch=batch, count=4, seconds=3600))
        timer = Timer(
            "forward()",
            globals={"forward": worker.forward},
            num_threads=len(cpus),
        )

        def ours(once: Forwards = once) -> float:
            return worker.time(once).durations[0]

        def theirs(timer: Timer = timer) -> float:
            with torch.inference_mode():
                return float(timer.timeit(1).times[0])

        rounds = max(pairs, LEAST_INPUTS // batch)
        rows = alternate({"first": ours, "second": ours, "theirs": theirs}, rounds)
        first, second, timed = (statistics.median(rows[name]) for name in rows)
        both = statistics.median(rows["first"] + rows["second"])
        row = {"batch": batch, "pairs": rounds, "ours": both, "theirs": timed}
        row |= {"ratio": both / timed, "noise": first / second}
        print(json.dumps(row | {"floor": floor_of(rows["first"], rows["second"])}), flush=True)


def floor_of(first: list[float], second: list[float]) -> float:
    """95th percentile of |log ratio of medians| over resampled rounds with random sides."""
    gaps = []
    rounds = list(zip(first, second, strict=True))
    for _ in range(RESAMPLINGS):
        drawn = [random.choice(rounds)[:: random.choice((1, -1))] for _ in rounds]
        one, other = (statistics.median(side) for side in zip(*drawn, strict=True))
        gaps.append(abs(math.log(one / other)))
    return sorted(gaps)[round(0.95 * RESAMPLINGS) - 1]


def alternate(kinds: dict[str, Callable[[], float]], rounds: int) -> dict[str, list[float]]:
    rows: dict[str, list[float]] = {name: [] for name in kinds}
    order = list(kinds)
    for _ in range(rounds):
        random.shuffle(order)
        for name in order:
            rows[name].append(kinds[name]())
    return rows


if __name__ == "__main__":
    main()
