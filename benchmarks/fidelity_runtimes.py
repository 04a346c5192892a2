"""Compare our latencies of ONNX Runtime and OpenVINO with the public way to measure each of them.

ONNX Runtime: a bare loop around ``InferenceSession.run`` with ``intra_op_num_threads``, in a
separate process. OpenVINO: its ``benchmark_app``, synchronous, with one stream, the same threads
and f32. All run on the same pinned cores and on the same exported file, one at a time: each round
takes a few forwards of ours, of theirs and of ours again, so that the ratio of our two series
shows the noise of the machine alone (A/A, as in fidelity.py).

    python benchmarks/fidelity_runtimes.py [--rounds 12] [--batches 1,8] [--threads 1,2]
"""

import argparse
import json
import math
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from fidelity import floor_of

from coresplit.cache import Cache
from coresplit.instance import InstanceSpec, Process
from coresplit.machine.inspection import inspect
from coresplit.machine.placement import place
from coresplit.models import ModelSpec
from coresplit.units import parse_numbers

GOAL = 0.03
SETTLE_S = 0.2
SIZE = 299


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--batches", default="1,8")
    parser.add_argument("--threads", default="1,2")
    parser.add_argument("--bare", nargs=3, metavar=("FILE", "THREADS", "BATCH"))
    arguments = parser.parse_args()
    if arguments.bare:
        bare(arguments.bare[0], int(arguments.bare[1]), int(arguments.bare[2]))
        return
    machine = inspect()
    print(f"{machine.cpu_model}, {machine.usable} usable cores")
    print(f"{'cell':<26}{'ours':>11}{'theirs':>11}{'ratio':>8}{'A/A':>8}{'floor':>8}")
    outside = []
    for optimization, theirs in (("onnxruntime", BareLoop), ("openvino", BenchmarkApp)):
        for threads in parse_numbers(arguments.threads, "threads"):
            cpus = place(machine.cores, threads, "sequential")
            spec = InstanceSpec(
                model=ModelSpec(name="inception"), optimization=optimization, cpus=cpus, home=cpus
            )
            process = Process(spec)
            process.wait_ready()
            for batch in parse_numbers(arguments.batches, "batches"):
                other = theirs(exported_file(), cpus, batch)
                count = max(3, 10 // batch)

                def ours(
                    process: Process = process, batch: int = batch, count: int = count
                ) -> float:
                    return statistics.median(
                        process.time_forward_passes(batch, count, 3600, 3600).durations
                    )

                def its(other: BareLoop | BenchmarkApp = other, count: int = count) -> float:
                    return other.median(count)

                name = f"{optimization} t={threads} b={batch}"
                if not compare(name, ours, its, arguments.rounds):
                    outside.append(name)
                other.close()
            process.close()
    print(f"outside 0.97 to 1.03 and the noise floor: {', '.join(outside) or 'none'}")


def exported_file() -> Path:
    """Return the ONNX file that the instance has just used."""
    entry = next(entry for entry in Cache().entries() if entry.kind == "onnx")
    return next(entry.path.glob("*.onnx"))


def compare(name: str, ours: Callable[[], float], its: Callable[[], float], rounds: int) -> bool:
    """Print one line; return True if the ratio is within the goal or the noise floor."""
    kinds = (ours, its, ours)
    series: tuple[list[float], ...] = ([], [], [])
    for kind in kinds:
        kind()
    for _ in range(rounds):
        for kind, values in zip(kinds, series, strict=True):
            time.sleep(SETTLE_S)
            values.append(kind())
    first, theirs, second = series
    both, timed = statistics.median(first + second), statistics.median(theirs)
    ratio, floor = both / timed, floor_of(first, second)
    noise = statistics.median(first) / statistics.median(second)
    print(
        f"{name:<26}{both:>9.4f} s{timed:>9.4f} s{ratio:>8.4f}{noise:>8.4f}{floor:>8.2%}",
        flush=True,
    )
    return abs(math.log(ratio)) <= max(math.log1p(GOAL), floor)


def pinned(cpus: tuple[int, ...]) -> tuple[str, ...]:
    return ("taskset", "--cpu-list", ",".join(map(str, cpus)))


class BareLoop:
    """A process that runs a session in a loop and times each call."""

    def __init__(self, file: Path, cpus: tuple[int, ...], batch: int) -> None:
        self._process = subprocess.Popen(
            [
                *pinned(cpus),
                *(sys.executable, __file__, "--bare", str(file), str(len(cpus)), str(batch)),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def median(self, count: int) -> float:
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(f"{count}\n")
        self._process.stdin.flush()
        durations: list[float] = json.loads(self._process.stdout.readline())
        return statistics.median(durations)

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()


def bare(file: str, threads: int, batch: int) -> None:
    import numpy  # noqa: PLC0415 (only in the process that runs the loop)
    import onnxruntime  # noqa: PLC0415

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
    shape = (batch, 3, SIZE, SIZE)
    images = numpy.random.default_rng(0).standard_normal(shape, dtype=numpy.float32)
    feed = {session.get_inputs()[0].name: images}
    for line in sys.stdin:
        durations = []
        for _ in range(int(line)):
            start = time.perf_counter()
            session.run(None, feed)
            durations.append(time.perf_counter() - start)
        print(json.dumps(durations), flush=True)


class BenchmarkApp:
    """OpenVINO's own benchmark, started for each series."""

    def __init__(self, file: Path, cpus: tuple[int, ...], batch: int) -> None:
        self._command = [
            *pinned(cpus),
            *(str(Path(sys.executable).with_name("benchmark_app")), "-m", str(file), "-d", "CPU"),
            *("-hint", "none", "-nstreams", "1", "-nthreads", str(len(cpus)), "-api", "sync"),
            *("-infer_precision", "f32", "-shape", f"[{batch},3,{SIZE},{SIZE}]"),
        ]

    def median(self, count: int) -> float:
        output = subprocess.run(
            [*self._command, "-niter", str(count)],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        found = re.search(r"Median:\s+([0-9.]+) ms", output)
        assert found is not None, output
        return float(found[1]) / 1e3

    def close(self) -> None:
        """Do nothing: no process stays between series."""


if __name__ == "__main__":
    main()
