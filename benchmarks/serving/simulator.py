"""Is what ``coresplit simulate`` says of a load what ``coresplit serve`` makes of it?

    python benchmarks/serving/simulator.py DIR [--seconds N] [--model NAME] [--optimization NAME]

Measures a run of the model into DIR, serves it with one instance of two threads and with two of one
thread, and loads each with closed loops of 1, 4 and 16 clients, and with Poisson arrivals at 30, 60
and 80 % of what the simulation says it can do with 16 clients. The same arrivals are simulated.

The speed of a machine drifts between the run and the load, by more than is to be shown. So one
client asks for a few seconds before and after each load; how many times as long it takes as it was
simulated to is the speed of that moment. Errors are told as simulated from the run, and beside that
for a machine of that speed: arrivals that come so many times faster, and latencies that are so many
times longer. The load is on the cores of the server too, if there are only two: what it took of
them for a request is simulated then as well. Both servers run; the one that is not loaded stands
still.
"""

import argparse
import json
import math
import os
import platform
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
from processes import Program

from coresplit import store
from coresplit.loading.arrivals import Arrival, poisson_arrivals, write_trace
from coresplit.loading.shapes import constant
from coresplit.machine.inspection import inspect
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
GLANCE_S, READY_S, ROUNDS = 3.0, 180.0, 5
COMMAND = (sys.executable, "-m", "coresplit")


class Point(msgspec.Struct, frozen=True, kw_only=True):
    """A load: of so many clients, or at a rate."""

    clients: int | None = None
    share: float | None = None
    rate: float = 0.0

    @property
    def name(self) -> str:
        if self.clients is not None:
            return f"{self.clients} client{'s' if self.clients > 1 else ''}"
        return f"{self.share or 0.0:.0%}, {self.rate:.1f}/s"

    def sending(self, work: Path, seconds: float, faster: float = 1.0) -> LoadRequest:
        """When requests come; ``faster`` compresses the time."""
        duration = seconds / faster
        if self.clients is not None:
            return LoadRequest(urls=(), concurrency=self.clients, duration=duration, rounds=ROUNDS)
        path = work / f"{self.rate:.3f}-{faster:.6f}.trace"
        times = poisson_arrivals(constant(self.rate), seconds, seed=1)
        write_trace(path, (Arrival(at / faster) for at in times))
        return LoadRequest(urls=(), trace=str(path), duration=duration, rounds=ROUNDS)


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    p50: float
    p99: float
    throughput: float


class Measured(msgspec.Struct, frozen=True, kw_only=True):
    """A load of a real server, the speed of its moment, and what was taken of a core for a request.

    ``client`` is what the load took, ``front`` the server beside its instances.
    """

    split: str
    point: Point
    real: Figures
    client: float
    front: float
    slower: float


def main() -> None:
    asked = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    asked.add_argument("dir", type=Path)
    asked.add_argument("--seconds", type=float, default=25.0, help="of a load")
    asked.add_argument("--model", default="mobilenet_v3_large")
    asked.add_argument("--optimization", default="script")
    asked.add_argument("--budget", default="100s", help="of the run")
    given = asked.parse_args()
    machine = inspect()
    print(f"{machine.cpu_model}, {len(machine.usable_cores)} cores, Linux {platform.release()}")
    print(f"load average {os.getloadavg()[0]:.2f} at the start")
    run = measured_run(given)
    with ExitStack() as stack:
        work = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        compare(given, run, work, stack)


def measured_run(given: argparse.Namespace) -> Path:
    """The run; measured where it is not there."""
    run: Path = given.dir / f"{given.model}-{given.optimization}"
    if not (run / "run.json").exists():
        given.dir.mkdir(parents=True, exist_ok=True)
        words = ("bench", given.model, "--optimizations", given.optimization, "--setting",
                 "isolated,packed", "--threads", "1,2", "--batches", "1,2,4,8,16", "--budget",
                 given.budget, "--out", str(run))  # fmt: skip
        subprocess.run([*COMMAND, *words], check=True, stdout=subprocess.DEVNULL)
    print(f"{given.model}, {given.optimization}, a run of {given.budget}")
    return run


def compare(given: argparse.Namespace, path: Path, work: Path, stack: ExitStack) -> None:
    run = judged(store.load(path))
    servers = {split: served(path, split, work, stack) for split in SPLITS}
    glance = {
        split: simulated(run, split, Point(clients=1), work, seconds=GLANCE_S).p50
        for split in SPLITS
    }
    points = {split: list(points_of(run, split, work, given.seconds)) for split in SPLITS}
    found = []
    for place in range(len(points[SPLITS[0]])):
        for split in SPLITS:
            program, url = servers[split]
            program.resume()
            point = points[split][place]
            before = loaded(url, Point(clients=1), work, GLANCE_S)["latency"]["p50"]
            spent = own_cpu_s(program)
            run_of = loaded(url, point, work, given.seconds)
            spent = own_cpu_s(program) - spent
            after = loaded(url, Point(clients=1), work, GLANCE_S)["latency"]["p50"]
            program.pause()
            found.append(
                Measured(
                    split=split,
                    point=point,
                    real=Figures(
                        p50=run_of["latency"]["p50"],
                        p99=run_of["latency"]["p99"] or math.nan,
                        throughput=run_of["throughput"],
                    ),
                    client=run_of["generator"]["cpu"] / run_of["throughput"],
                    front=spent / run_of["answered"],
                    slower=math.sqrt(before * after) / glance[split],
                )
            )
            print(f"{split} {point.name}", file=sys.stderr, flush=True)
    show(given, run, found, work)


def served(run: Path, split: str, work: Path, stack: ExitStack) -> tuple[Program, str]:
    """A server, standing still, and its address."""
    log = work / f"{split}.log"
    words = (*COMMAND, "serve", str(run), "--split", split, "--port", "0")
    program = Program(words, log, env={SHARED: "1"})
    stack.callback(program.end)
    end = time.monotonic() + READY_S
    while time.monotonic() < end and not program.ended:
        if ready := re.search(r"^ready +(\S+)", log.read_text(), re.MULTILINE):
            loaded(ready[1], Point(clients=4), work, GLANCE_S)
            program.pause()
            return program, ready[1]
        time.sleep(0.1)
    sys.exit(f"the server of {split} was not ready:\n{log.read_text()}")


def own_cpu_s(program: Program) -> float:
    """What the process of the server itself has used; those of its instances are others."""
    return time.clock_gettime(~program.process.pid << 3 | 2)


def points_of(run: Run, split: str, work: Path, seconds: float) -> Sequence[Point]:
    most = simulated(run, split, Point(clients=16), work, seconds=seconds).throughput
    return [
        *(Point(clients=each) for each in CLIENTS),
        *(Point(share=each, rate=each * most) for each in SHARES),
    ]


def loaded(url: str, point: Point, work: Path, seconds: float) -> dict[str, Any]:
    """One load of a real server."""
    sending = point.sending(work, seconds)
    given = {"concurrency": sending.concurrency, "trace": sending.trace, "duration": f"{seconds}s"}
    options = [f"--{name}={value}" for name, value in given.items() if value is not None]
    words = (*COMMAND, "load", url, *options, "--json")
    done = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False)
    found: dict[str, Any] = json.loads(done.stdout)["runs"][0]
    if found["failed"]:
        print(f"{found['failed']} of {found['due']} failed: {found['errors']}", flush=True)
    return found


SPENT: list[tuple[float, float]] = []
"""Seconds that were simulated, and how long that took."""


def simulated(
    run: Run, split: str, point: Point, work: Path, *, seconds: float, at: Measured | None = None
) -> Figures:
    """The same, simulated: as the run has it, or at the speed and beside the client of a moment."""
    slower, client = (1.0, 0.0) if at is None else (at.slower, at.client)
    request = SimulateRequest(
        sending=point.sending(work, seconds, slower), splits=(split,), client=client / slower
    )
    found = simulate_load(run, request, lambda doing: None)
    SPENT.append((found.simulated_s * slower, found.took_s))
    row = found.rows[0]
    return Figures(
        p50=row.p50 * slower,
        p99=(row.p99 or math.nan) * slower,
        throughput=row.throughput / slower,
    )


def show(given: argparse.Namespace, run: Run, found: Sequence[Measured], work: Path) -> None:
    print(f"{given.seconds:g} s a load; milliseconds, requests per second\n")
    heads = "".join(f"{what:^24}" for what in MOST)
    print(f"{'':<20}{heads}{'slower':>8}{'client':>8}{'server':>8}{'errors at that speed,':>27}")
    parts = f"{'real':>8}{'sim.':>8}{'error':>8}" * len(MOST)
    print(f"{'':<20}{parts}{'':>8}{'CPU ms':>8}{'CPU ms':>8}{'beside that client':>27}")
    print(f"{'':<116}{'p50':>9}{'p99':>9}{'through.':>9}")
    plain: list[dict[str, float]] = []
    level: list[dict[str, float]] = []
    for each in found:
        first = simulated(run, each.split, each.point, work, seconds=given.seconds)
        then = simulated(run, each.split, each.point, work, seconds=given.seconds, at=each)
        plain.append(errors(first, each.real))
        level.append(errors(then, each.real))
        cells = "".join(
            f"{getattr(each.real, what) * scale:>8.1f}{getattr(first, what) * scale:>8.1f}"
            f"{plain[-1][what]:>+8.1%}"
            for what, scale in (("p50", 1e3), ("p99", 1e3), ("throughput", 1.0))
        )
        rest = "".join(f"{level[-1][what]:>+9.1%}" for what in MOST)
        about = f"{each.slower:>7.2f}x{each.client * 1e3:>8.2f}{each.front * 1e3:>8.2f}"
        print(f"{each.split} {each.point.name:<16}{cells}{about}{rest}")
    print()
    for said, errors_of in (("from the run", plain), ("at that speed, beside that client", level)):
        told: list[str] = []
        for what, most in MOST.items():
            sizes = [abs(each[what]) for each in errors_of]
            good = sum(size <= most for size in sizes)
            middle = statistics.median(sizes)
            told.append(f"{what} {good} of {len(sizes)} within {most:.0%} (median {middle:.1%})")
        print(f"{said}: {'; '.join(told)}")
    length, took = (sum(each) for each in zip(*SPENT, strict=True))
    print(
        f"{length:,.0f} s of load were simulated in {took:.1f} s: {length / took:,.0f} times as "
        "fast as real time"
    )


def errors(one: Figures, real: Figures) -> dict[str, float]:
    return {what: getattr(one, what) / getattr(real, what) - 1 for what in MOST}


if __name__ == "__main__":
    main()
