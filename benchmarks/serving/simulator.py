"""Does ``coresplit simulate`` predict what ``coresplit serve`` achieves under a load?

    python benchmarks/serving/simulator.py [--rounds N] [--seconds N] [--model NAME]
        [--optimization NAME] [--allocator NAME]

Serves a model with one instance of two threads and with two of one thread, and loads each with
closed loops of 1, 4 and 16 clients, and with Poisson arrivals at 30, 60 and 80 % of the throughput
that the simulation gives for 16 clients. The same arrivals are simulated.

The speed of a machine drifts within minutes by more than the errors to be shown, and two processes
of one server differ as much. So every round measures a run just before its loads, simulates them
from this run alone, and starts the servers from it, one after the other; an error is the median
over rounds of simulated over real. If the client shares the cores with the server, its CPU time per
request is simulated too, because users run it elsewhere. Errors without that are printed as well.
"""

import argparse
import json
import math
import os
import random
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import msgspec
from about import machine_line
from processes import Program

from coresplit import store
from coresplit.loading.arrivals import Arrival, poisson_arrivals, write_trace
from coresplit.loading.shapes import constant
from coresplit.machine.reservation import SHARED
from coresplit.records import Run
from coresplit.stats.sampling import judged
from coresplit.workflows.loading.request import LoadRequest
from coresplit.workflows.simulating.request import SimulateRequest
from coresplit.workflows.simulating.run import simulate_load

SPLITS = ("1x2", "2x1")
CLIENTS = (1, 4, 16)
SHARES = (0.3, 0.6, 0.8)
MOST = {"p50": 0.10, "p99": 0.20, "throughput": 0.05}
WARM_UP_S, READY_S, REPLAYS = 2.0, 180.0, 5
COMMAND = (sys.executable, "-m", "coresplit")


class Point(msgspec.Struct, frozen=True, kw_only=True):
    """A load of a split: a number of clients, or a share of its throughput."""

    split: str
    clients: int | None = None
    share: float | None = None

    @property
    def name(self) -> str:
        if self.clients is not None:
            return f"{self.split} {self.clients} client{'s' if self.clients > 1 else ''}"
        return f"{self.split} {self.share or 0.0:.0%}"


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    p50: float
    p99: float
    throughput: float


class Measured(msgspec.Struct, frozen=True, kw_only=True):
    """A load of a real server, simulated with and without the CPU time of the client.

    ``client`` is that time in seconds per request, and ``front`` the same for the server without
    its instances.
    """

    real: Figures
    beside: Figures
    without: Figures
    client: float
    front: float


class Spent:
    """Simulated seconds, and how long the simulation took."""

    simulated_s = took_s = 0.0


def main() -> None:
    asked = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    asked.add_argument("--rounds", type=int, default=5)
    asked.add_argument("--seconds", type=float, default=6.0, help="length of a load")
    asked.add_argument("--model", default="mobilenet_v3_large")
    asked.add_argument("--optimization", default="script")
    asked.add_argument("--allocator", default="default")
    asked.add_argument("--budget", default="30s", help="budget of a run")
    given = asked.parse_args()
    print(machine_line())
    print(f"load average {os.getloadavg()[0]:.2f} at the start")
    print(
        f"{given.model}, {given.optimization}, allocator {given.allocator}, {given.rounds} rounds: "
        f"a run of {given.budget}, {given.seconds:g} s a load"
    )
    found: dict[Point, list[Measured]] = {}
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        for number in range(given.rounds):
            run, drawn = measured_run(given, work, number), random.Random(number)
            for split in drawn.sample(SPLITS, len(SPLITS)):
                with ExitStack() as stack:
                    server = served(work / f"{number}", split, work, stack)
                    own = [each for each in points() if each.split == split]
                    for point in drawn.sample(own, len(own)):
                        each = compared(point, run, server, work, given.seconds)
                        found.setdefault(point, []).append(each)
            print(f"round {number + 1} of {given.rounds}", file=sys.stderr, flush=True)
    show(found)


def points() -> list[Point]:
    return [
        *(Point(split=split, clients=each) for each in CLIENTS for split in SPLITS),
        *(Point(split=split, share=each) for each in SHARES for split in SPLITS),
    ]


def measured_run(given: argparse.Namespace, work: Path, number: int) -> Run:
    words = ("bench", given.model, "--optimizations", given.optimization, "--allocator",
             given.allocator, "--setting", "isolated,packed", "--threads", "1,2",
             "--batches", "1,2,4,8,16", "--budget", given.budget, "--no-report",
             "--out", str(work / f"{number}"))  # fmt: skip
    subprocess.run([*COMMAND, *words], check=True, capture_output=True)
    return judged(store.load(work / f"{number}"))


def served(run: Path, split: str, work: Path, stack: ExitStack) -> tuple[Program, str]:
    """Start a server, wait until it is ready, and return it with its address."""
    log = work / f"{split}.log"
    words = (*COMMAND, "serve", str(run), "--split", split, "--port", "0")
    program = Program(words, log, env={SHARED: "1"})
    stack.callback(program.end)
    end = time.monotonic() + READY_S
    while time.monotonic() < end and not program.ended:
        if ready := re.search(r"^ready +(\S+)", log.read_text(), re.MULTILINE):
            loaded(ready[1], f"--concurrency=4 --duration={WARM_UP_S}s".split())
            return program, ready[1]
        time.sleep(0.1)
    sys.exit(f"the server of {split} was not ready:\n{log.read_text()}")


def compared(
    point: Point, run: Run, server: tuple[Program, str], work: Path, seconds: float
) -> Measured:
    """Run a load on the server and in the simulation."""
    program, url = server
    rate = 0.0
    if point.share is not None:
        full = LoadRequest(urls=(), concurrency=max(CLIENTS), duration=seconds, rounds=REPLAYS)
        rate = point.share * simulated(run, point.split, full).throughput
    sending = sending_of(point, rate, seconds, work)
    given = {"concurrency": sending.concurrency, "trace": sending.trace, "duration": f"{seconds}s"}
    options = [f"--{name}={value}" for name, value in given.items() if value is not None]
    spent = own_cpu_s(program)
    load = loaded(url, options)
    spent = own_cpu_s(program) - spent
    client = load["generator"]["cpu"] / load["throughput"]
    return Measured(
        real=Figures(
            p50=load["latency"]["p50"],
            p99=load["latency"]["p99"] or math.nan,
            throughput=load["throughput"],
        ),
        beside=simulated(run, point.split, sending, client=client),
        without=simulated(run, point.split, sending),
        client=client,
        front=spent / load["answered"],
    )


def sending_of(point: Point, rate: float, seconds: float, work: Path) -> LoadRequest:
    """Return the arrivals of a load."""
    common = LoadRequest(urls=(), duration=seconds, rounds=REPLAYS)
    if point.clients is not None:
        return msgspec.structs.replace(common, concurrency=point.clients)
    path = work / f"{rate:.6f}.trace"
    times = poisson_arrivals(constant(rate), seconds, seed=1)
    write_trace(path, map(Arrival, times))
    return msgspec.structs.replace(common, trace=str(path))


def own_cpu_s(program: Program) -> float:
    """Return the CPU seconds of the server process itself, without its instances."""
    return time.clock_gettime(~program.process.pid << 3 | 2)


def loaded(url: str, options: Sequence[str]) -> dict[str, Any]:
    """Run one load on a real server."""
    words = (*COMMAND, "load", url, *options, "--json")
    done = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False)
    found: dict[str, Any] = json.loads(done.stdout)["runs"][0]
    if found["failed"]:
        print(f"{found['failed']} of {found['due']} failed: {found['errors']}", flush=True)
    return found


def simulated(run: Run, split: str, sending: LoadRequest, client: float = 0.0) -> Figures:
    """Run one load in the simulation."""
    request = SimulateRequest(sending=sending, splits=(split,), client=client)
    found = simulate_load(run, request, lambda doing: None)
    Spent.simulated_s += found.simulated_s
    Spent.took_s += found.took_s
    row = found.rows[0]
    return Figures(p50=row.p50, p99=row.p99 or math.nan, throughput=row.throughput)


def show(found: dict[Point, list[Measured]]) -> None:
    print("milliseconds, requests per second; medians over rounds\n")
    heads = "".join(f"{what:^24}" for what in MOST)
    print(f"{'':<15}{heads}{'client':>8}{'server':>8}{'errors without the':>27}")
    parts = f"{'real':>8}{'sim.':>8}{'error':>8}" * len(MOST)
    print(f"{'':<15}{parts}{'CPU ms':>8}{'CPU ms':>8}{'client on these cores':>27}")
    print(f"{'':<103}{'p50':>9}{'p99':>9}{'through.':>9}")
    errors: dict[str, list[dict[str, float]]] = {"beside": [], "without": []}
    for point in points():
        rounds = found[point]
        for how, own in errors.items():
            own.append({what: error(rounds, how, what) for what in MOST})
        cells = "".join(
            f"{middle(rounds, 'real', what) * scale:>8.1f}"
            f"{middle(rounds, 'beside', what) * scale:>8.1f}{errors['beside'][-1][what]:>+8.1%}"
            for what, scale in (("p50", 1e3), ("p99", 1e3), ("throughput", 1.0))
        )
        client, front = (
            statistics.median(getattr(each, name) for each in rounds) * 1e3
            for name in ("client", "front")
        )
        rest = "".join(f"{errors['without'][-1][what]:>+9.1%}" for what in MOST)
        print(f"{point.name:<15}{cells}{client:>8.2f}{front:>8.2f}{rest}")
    print()
    for said, how in (("with the client", "beside"), ("without it", "without")):
        told: list[str] = []
        for what, most in MOST.items():
            sizes = [abs(each[what]) for each in errors[how]]
            good = sum(size <= most for size in sizes)
            median = statistics.median(sizes)
            told.append(f"{what} {good} of {len(sizes)} within {most:.0%} (median {median:.1%})")
        print(f"{said}: {'; '.join(told)}")
    print(
        f"{Spent.simulated_s:,.0f} s of load were simulated in {Spent.took_s:.1f} s: "
        f"{Spent.simulated_s / Spent.took_s:,.0f} times as fast as real time"
    )


def error(rounds: Sequence[Measured], how: str, what: str) -> float:
    """Return the median over rounds of simulated over real, minus one."""
    ratios: list[float] = [
        getattr(getattr(each, how), what) / getattr(each.real, what) for each in rounds
    ]
    return statistics.median(ratios) - 1


def middle(rounds: Sequence[Measured], whose: str, what: str) -> float:
    values: list[float] = [getattr(getattr(each, whose), what) for each in rounds]
    return statistics.median(values)


if __name__ == "__main__":
    main()
