"""What spinning idle threads of ONNX Runtime cost, alone and next to a busy process.

    python benchmarks/serving/spinning.py MODEL.onnx [ROUNDS]

Three sessions with the same file, on the same two cores. In one, idle threads spin, which is the
default; in one, they spin while a forward runs and stop with it (``session.force_spinning_stop``);
in one, they sleep (``session.intra_op.allow_spinning`` is 0). Each round runs all in a random order
in each of three situations: alone, next to a process that is always busy on the same cores, and
with a pause of 5 ms before each forward, like a server between requests, in which a neighbour could
use the cores. Latency is the median over forwards; ratios are medians of the ratios within rounds.
"""

import os
import random
import statistics
import subprocess
import sys
import time
from pathlib import Path

ROUNDS, FEWEST, FORWARDS, WARMUP, PAUSE_S = 30, 5, 20, 5, 0.005
CORES = 2
SESSIONS = {
    "spinning": (),
    "stopping": ("session.force_spinning_stop=1",),
    "asleep": ("session.intra_op.allow_spinning=0",),
}
CHILD = """
import os, statistics, sys, time
import numpy, onnxruntime

path, *entries = sys.argv[1:]
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = 2
options.inter_op_num_threads = 1
options.log_severity_level = 3
for entry in entries:
    options.add_session_config_entry(*entry.split("="))
session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
feed = {
    each.name: numpy.random.rand(1, *each.shape[1:]).astype("float32")
    for each in session.get_inputs()
}
for line in sys.stdin:
    forwards, pause = line.split()
    found, cpu = [], time.process_time()
    for _ in range(int(forwards)):
        time.sleep(float(pause))
        begun = time.perf_counter()
        session.run(None, feed)
        found.append(time.perf_counter() - begun)
    cpu = (time.process_time() - cpu) / int(forwards)
    print(statistics.median(found), cpu, flush=True)
"""
BUSY = "while True: pass"


class Session:
    """A process with one session."""

    def __init__(self, path: str, *entries: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", CHILD, path, *entries],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.run(WARMUP, 0.0)

    def run(self, forwards: int, pause_s: float) -> tuple[float, float]:
        """Return the seconds of a forward, and its CPU seconds."""
        process = self._process
        assert process.stdin is not None
        assert process.stdout is not None
        print(forwards, pause_s, file=process.stdin, flush=True)
        latency, cpu = map(float, process.stdout.readline().split())
        return latency, cpu

    def close(self) -> None:
        self._process.terminate()
        self._process.wait()


def main() -> None:
    if len(sys.argv) < 2:
        sys.exit("name an ONNX file")
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else ROUNDS
    if rounds < FEWEST:
        sys.exit(f"{rounds} rounds are too few; give {FEWEST} or more")
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:CORES])
    sessions = {name: Session(sys.argv[1], *entries) for name, entries in SESSIONS.items()}
    found: dict[str, dict[str, list[tuple[float, float]]]] = {}
    situations = ["alone", "beside a busy process", "with pauses"]
    for _ in range(rounds):
        for situation in random.sample(situations, len(situations)):
            busy = None
            if situation == "beside a busy process":
                busy = subprocess.Popen([sys.executable, "-c", BUSY])
                time.sleep(0.1)
            pause_s = PAUSE_S if situation == "with pauses" else 0.0
            for name in random.sample(list(sessions), len(sessions)):
                # by then the threads of the other session have stopped spinning
                time.sleep(0.1)
                one = sessions[name].run(FORWARDS, pause_s)
                found.setdefault(situation, {}).setdefault(name, []).append(one)
            if busy is not None:
                busy.kill()
                busy.wait()
    for session in sessions.values():
        session.close()
    print(Path(sys.argv[1]).stem)
    print(f"{'':24}" + "".join(f"{name:>26}" for name in SESSIONS))
    for situation in situations:
        print(
            f"{situation:24}" + "".join(f"{_cell(found[situation], name):>26}" for name in SESSIONS)
        )
    print(
        "Milliseconds of a forward, of CPU for it in brackets, and how many times as long it takes."
    )


def _cell(found: dict[str, list[tuple[float, float]]], name: str) -> str:
    latency = statistics.median(latency for latency, _ in found[name])
    cpu = statistics.median(cpu for _, cpu in found[name])
    ratio = statistics.median(
        one / other for (one, _), (other, _) in zip(found[name], found["spinning"], strict=True)
    )
    return f"{latency * 1e3:.2f} ms ({cpu * 1e3:.1f}) {ratio:.2f}x"


if __name__ == "__main__":
    main()
