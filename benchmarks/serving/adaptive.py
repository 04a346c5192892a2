"""Compare a server that follows its load with the fixed splits that it chooses from.

    python benchmarks/serving/adaptive.py [--model NAME] [--optimization NAME] [--steps N]
        [--seconds S] [--rounds N] [--parts load,warm,cold,rates] [--loads day,spikes,low,high]

Measures a run of the model, and serves from this run: with --adapt, and with each of the two fixed
splits, fat and thin. Two questions:

Steps. A server has one client, then 32, and one again, N times; each client waits for its answer
before it sends again. Either the load decides which split serves, or at each step the other split
is requested at once: fat for one client and thin for many. Splits that do not serve wait warm, or
there is no memory for any of them. When does the other split serve, is a request lost, and what are
the latencies during the change?

Rates. All servers get the same Poisson arrivals, with a rate that changes like a day, in spikes, or
not at all. In each round every server is started anew, since two starts of one server differ, and
is alone on the machine; servers and loads have a random order. Ratios are within rounds.

The client shares the cores with the servers if there are no others.
"""

import argparse
import functools
import http.client
import json
import math
import os
import random
import statistics
import struct
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from about import machine_line

from coresplit.stats.summary import median_interval

FEW, MANY = 1, 32
PHASE_S = 6.0
ENOUGH = 6
LOADS = {
    "day": "like a day",
    "spikes": "spikes",
    "low": "constant, low",
    "high": "constant, high",
}
SETTLED_S = 1.0
"""For this long after a switch, latencies still count as those of the switch."""


class Server:
    """A process that runs ``coresplit serve``."""

    def __init__(self, folder: Path, name: str, optimization: str, *words: str) -> None:
        self._optimization = optimization
        self._log = folder / f"{name}.log"
        with self._log.open("w") as log:
            self._process = subprocess.Popen(
                [
                    *(sys.executable, "-m", "coresplit", "serve", *words, "--wait"),
                    *("--port", "0", "--manage", "0"),
                ],
                cwd=folder,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        said = self._log.read_text()
        if not line.startswith("ready"):
            sys.exit(f"the server did not start:\n{said}")
        self.url = line.split()[-1]
        self.port = int(self.url.rsplit(":", 1)[1].split("/")[0])
        self.path = "/" + self.url.split("/", 3)[3]
        (self._manage,) = [
            each.split()[1] for each in said.splitlines() if each.startswith("manage")
        ]

    def state(self) -> dict[str, Any]:
        with urllib.request.urlopen(self._manage, timeout=60) as answer:
            found: dict[str, Any] = json.load(answer)
            return found

    def change(self, split: str) -> None:
        """Request another split and wait until it serves; do nothing if ``split`` is empty."""
        if split:
            self.ask({"split": split, "optimization": self._optimization})

    def ask(self, wanted: dict[str, object]) -> None:
        body = json.dumps(wanted).encode()
        with urllib.request.urlopen(self._manage, body, timeout=300) as answer:
            answer.read()

    def warmed(self) -> None:
        """Wait until every set that there is memory for waits warm, at most half a minute."""
        end = time.monotonic() + 30
        while time.monotonic() < end and not all(each["resident"] for each in self.state()["sets"]):
            time.sleep(0.5)

    def row(self) -> bytes:
        """Return an input of one row."""
        with urllib.request.urlopen(self.url, timeout=60) as answer:
            (tensor,) = json.load(answer)["inputs"]
        assert tensor["datatype"] == "FP32"
        count: int = math.prod(tensor["shape"][1:])
        return struct.pack("<f", 0.5) * count

    def __enter__(self) -> "Server":
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait(60)


class Clients:
    """As many clients as ``wanted``; each sends its next request when it has its answer."""

    def __init__(self, server: Server, most: int) -> None:
        self.answers: list[tuple[float, float, bool]] = []
        """For each request: when it was sent, when it was answered, and if it succeeded."""
        self.wanted = 0
        self._body = server.row()
        self._server = server
        self._ended = threading.Event()
        self._threads = [threading.Thread(target=self._work, args=(n,)) for n in range(most)]
        for each in self._threads:
            each.start()

    def end(self) -> None:
        self._ended.set()
        for each in self._threads:
            each.join()

    def _work(self, number: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self._server.port, timeout=120)
        headers = {"Inference-Header-Content-Length": "0"}
        while not self._ended.is_set():
            if number >= self.wanted:
                time.sleep(0.005)
                continue
            begun = time.time()
            connection.request("POST", f"{self._server.path}/infer", self._body, headers)
            answer = connection.getresponse()
            answer.read()
            self.answers.append((begun, time.time(), answer.status == 200))
        connection.close()


def steps(server: Server, count: int, phase_s: float, splits: dict[int, str]) -> None:
    """Print how changes go while the load alternates between one client and many.

    ``splits`` are requested at each step; it is empty if the load decides.
    """
    clients = Clients(server, MANY)
    clients.wanted = FEW
    time.sleep(3 * phase_s)
    taken: dict[int, list[float]] = {FEW: [], MANY: []}
    windows: list[tuple[float, float]] = []
    asked_at: list[tuple[float, int]] = []
    for wanted in [MANY, FEW] * count:
        before = server.state()["active"]
        begun = time.time()
        asked_at.append((begun, wanted))
        clients.wanted = wanted
        asking = threading.Thread(target=server.change, args=(splits.get(wanted, ""),))
        asking.start()
        time.sleep(phase_s)
        asking.join()
        made = [
            each
            for each in server.state()["events"]
            if each["event"] == "switch made" and each["at"] > begun and each["set"] != before
        ]
        if made:
            taken[wanted].append(made[0]["at"] - begun)
            windows.append((made[0]["at"] - made[0]["seconds"], made[0]["at"] + SETTLED_S))
    clients.end()
    failed = sum(not right for _, _, right in clients.answers)
    print(f"{len(clients.answers)} requests, {failed} of them failed")
    for wanted, found in taken.items():
        line = (
            f"to {wanted} client{'s' if wanted > 1 else ''}: the other split served in "
            f"{len(found)} of {count} steps"
        )
        if found:
            line += f", after {statistics.median(found):.2f} s in the median"
            line += f", {max(found):.2f} s at most"
        print(line)
    steady = {wanted: _steady(clients.answers, asked_at, wanted, phase_s) for wanted in (FEW, MANY)}
    during = [
        ended - begun
        for begun, ended, _ in clients.answers
        if any(begun < last and ended > first for first, last in windows)
    ]
    worst = max(map(p99, steady.values()))
    line = f"p99 with one client {p99(steady[FEW]) * 1e3:.0f} ms, with {MANY} {worst * 1e3:.0f} ms"
    if during:
        times = p99(during) / worst
        line += f", during switches {p99(during) * 1e3:.0f} ms: {times:.2f} times the worse"
    print(line, flush=True)


def _steady(
    answers: Sequence[tuple[float, float, bool]],
    asked_at: Sequence[tuple[float, int]],
    wanted: int,
    phase_s: float,
) -> list[float]:
    """Latencies of requests in the second half of the phases with ``wanted`` clients."""
    halves = [(at + phase_s / 2, at + phase_s) for at, clients in asked_at if clients == wanted]
    return [
        ended - begun
        for begun, ended, _ in answers
        if any(first <= begun and ended <= last for first, last in halves)
    ]


def p99(latencies: Sequence[float]) -> float:
    ordered = sorted(latencies)
    return ordered[math.ceil(0.99 * len(ordered)) - 1] if ordered else math.nan


def saturated(server: Server) -> float:
    """Return the requests per second with many clients."""
    clients = Clients(server, MANY)
    clients.wanted = MANY
    time.sleep(4.0)
    begun, before = time.time(), len(clients.answers)
    time.sleep(10.0)
    found = (len(clients.answers) - before) / (time.time() - begun)
    clients.end()
    return found


def loaded(server: Server, shape: str, seconds: float, seed: int) -> dict[str, float]:
    """Load a server with these arrivals; return its latencies."""
    ended = subprocess.run(
        [
            *(sys.executable, "-m", "coresplit", "load", server.url, "--shape", shape),
            *("--duration", f"{seconds:g}s", "--seed", str(seed), "--json"),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    if not ended.stdout:
        sys.exit(ended.stderr)
    (run,) = json.loads(ended.stdout)["runs"]
    return {
        "failed": run["failed"] + run["unfinished"],
        "mean": run["latency"]["mean"],
        "p50": run["latency"]["p50"],
        "p99": run["latency"]["p99"] or run["latency"]["max"],
    }


def rates(
    starts: Mapping[str, Callable[[], Server]],
    most: float,
    seconds: float,
    rounds: int,
    wanted: Sequence[str],
) -> None:
    """Print latencies of all servers under changing rates, and ratios within rounds.

    Ratios are to the first of the servers. From six rounds on, they have intervals of 95 %.
    """
    low, high = 0.15 * most, 0.8 * most
    shapes = {
        "day": f"diurnal:{low:.2f}..{high:.2f}@{seconds:g}s",
        "spikes": f"spike:{low:.2f}..{high:.2f}@{seconds / 12:g}s/{seconds / 4:g}s",
        "low": f"step:{low:.2f}@{seconds:g}s",
        "high": f"step:{high:.2f}@{seconds:g}s",
    }
    drawn = random.Random(1)
    found: dict[str, dict[str, list[dict[str, float]]]] = {
        title: {name: [] for name in starts} for title in wanted
    }
    for number in range(rounds):
        for name in drawn.sample(list(starts), len(starts)):
            with starts[name]() as server:
                server.warmed()
                for title in drawn.sample(list(wanted), len(wanted)):
                    found[title][name].append(loaded(server, shapes[title], seconds, number))
    for title, of_servers in found.items():
        print(f"\n{LOADS[title]}: {shapes[title]}")
        width = 25 if rounds >= ENOUGH else 7
        heads = "".join(f"{what + ' ms':>10}{'x':>{width}}" for what in ("mean", "p50", "p99"))
        print(f"{'':<12}{heads}")
        base = of_servers[next(iter(starts))]
        for name, results in of_servers.items():
            cells = "".join(
                f"{statistics.median(each[what] for each in results) * 1e3:>10.1f}"
                f"{_ratio(results, base, what):>{width}}"
                for what in ("mean", "p50", "p99")
            )
            print(f"{name:<12}{cells}")
        if failed := sum(each["failed"] for results in of_servers.values() for each in results):
            print(f"{failed:.0f} requests failed")


def _ratio(results: Sequence[dict[str, float]], base: Sequence[dict[str, float]], what: str) -> str:
    found = [a[what] / b[what] for a, b in zip(results, base, strict=True)]
    text = f"{statistics.median(found):.2f}"
    if len(found) < ENOUGH:
        return text
    low, high = median_interval(found)
    return f"{text} [{low:.2f} to {high:.2f}]"


def main() -> None:
    asked = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    asked.add_argument("--model", default="mobilenet_v3_large")
    asked.add_argument("--optimization", default="script")
    asked.add_argument("--parts", default="load,warm,cold,rates")
    asked.add_argument("--loads", default=",".join(LOADS))
    asked.add_argument("--steps", type=int, default=20)
    asked.add_argument("--seconds", type=float, default=120.0)
    asked.add_argument("--rounds", type=int, default=2)
    given = asked.parse_args()
    cores = len(os.sched_getaffinity(0))
    print(machine_line())
    print(
        f"{given.model}, {given.optimization}, load average {os.getloadavg()[0]:.2f} at the start"
    )
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        threads = ",".join(str(each) for each in range(1, cores + 1) if cores % each == 0)
        subprocess.run(
            [
                *(sys.executable, "-m", "coresplit", "bench", given.model, "--wait"),
                *("--optimizations", given.optimization, "--threads", threads),
                *("--batches", "1,2,4..16", "--setting", "isolated,packed"),
                *("--budget", "90s", "--no-report", "--out", "run"),
            ],
            cwd=folder,
            capture_output=True,
            check=True,
        )

        fat, thin = f"1x{cores}", f"{cores}x1"
        words = {
            "adapting": ["--adapt"],
            "fat": ["--split", fat],
            "thin": ["--split", thin],
            "cold": ["--split", fat, "--resident-memory", "1MiB"],
        }

        def start(name: str) -> Server:
            return Server(folder, name, given.optimization, "run", *words[name])

        parts = given.parts.split(",")
        with start("adapting") as server:
            names = [each["name"] for each in server.state()["sets"]]
            print(f"candidates: {', '.join(names)}", flush=True)
            if "load" in parts:
                server.warmed()
                print("\nsteps, the load decides, all sets wait warm")
                steps(server, given.steps, PHASE_S, {})
            if "warm" in parts:
                server.change(thin)
                server.change(fat)
                print("\nsteps, the other split is requested and waits warm")
                steps(server, given.steps, PHASE_S, {FEW: fat, MANY: thin})
        if "cold" in parts:
            with start("cold") as server:
                print("\nsteps, the other split is requested and must be started first")
                steps(server, max(1, given.steps // 4), 3 * PHASE_S, {FEW: fat, MANY: thin})
        if "rates" in parts:
            most = 0.0
            for name in ("fat", "thin"):
                with start(name) as server:
                    most = max(most, saturated(server))
            print(f"\na fixed split answers at most {most:.1f} requests/s", flush=True)
            starts = {name: functools.partial(start, name) for name in ("adapting", "fat", "thin")}
            rates(starts, most, given.seconds, given.rounds, given.loads.split(","))


if __name__ == "__main__":
    main()
