"""How many requests per second the load generator can send on one core, compared with wrk.

    python benchmarks/serving/load_cost.py [ROUNDS]

The server is coresplit's own HTTP front on one core, which answers at once and computes nothing;
the generator has another core. Eight clients send one request after another, with bodies of 100
bytes and of 1 MB. If the server's core is the limit, the rate for a full generator core is
extrapolated: the measured rate over the share of the core that was used. Each round runs the
generator on uvloop, on asyncio, and wrk if it is installed, in a random order. CPU shares are those
of the processes.
"""

import asyncio
import os
import random
import re
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from coresplit.loading.asked import Load, Requests
from coresplit.loading.process.generator import Generator
from coresplit.machine.inspection import inspect
from coresplit.serving.http.exchange import Exchange
from coresplit.serving.http.limits import Limits
from coresplit.serving.http.server import HttpServer
from coresplit.serving.run import new_event_loop

ROUNDS, FEWEST, SECONDS, CLIENTS = 9, 3, 3.0, 8
SIZES = {"100 bytes": 100, "1 MB": 1_000_000}
MOST = 4 << 20
SCRIPT = """
local file = io.open("{path}", "rb")
wrk.method = "POST"
wrk.body = file:read("*a")
wrk.headers["Content-Type"] = "application/octet-stream"
"""


class Bare:
    """Answers every request at once; all bodies are received into the same memory."""

    def __init__(self) -> None:
        self._memory = memoryview(bytearray(MOST))

    def begin(self, exchange: Exchange) -> memoryview | None:
        length = exchange.head.length
        return self._memory[:length] if length else None

    def complete(self, exchange: Exchange, body: memoryview) -> None:
        exchange.respond(200, [("Content-Type", "text/plain")], [b"ok"])

    def gone(self, exchange: Exchange) -> None:
        """Do nothing: no memory is held."""


def serve(core: int) -> None:
    os.sched_setaffinity(0, {core})

    async def run() -> None:
        server = HttpServer(Bare(), Limits())
        await server.start("127.0.0.1", 0)
        print(server.port, flush=True)
        await asyncio.to_thread(sys.stdin.read)
        server.close()

    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        runner.run(run())


def generated(url: str, body: Path, core: int) -> tuple[float, float]:
    """Return the requests per second, and the share of the core that was used."""
    generator = Generator(Requests(url=url, protocol="raw", body=str(body)), (core,), lambda: False)
    try:
        load = Load(asked="", concurrency=CLIENTS, duration=SECONDS + 0.5, warmup=0.5)
        run = generator.load(load, lambda progress: None)
    finally:
        generator.close()
    assert run.failed == 0, run.errors
    return run.throughput, run.generator.cpu


def by_wrk(wrk: str, url: str, script: Path, core: int) -> tuple[float, float]:
    before, begun = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    ran = subprocess.run(
        ["taskset", "-c", str(core), wrk, "-t1", f"-c{CLIENTS}", f"-d{SECONDS:.0f}s", "-s",
         str(script), url],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    after, wall = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic() - begun
    assert "Non-2xx" not in ran.stdout, ran.stdout
    found = re.search(r"Requests/sec:\s+([\d.]+)", ran.stdout)
    assert found is not None, ran.stdout
    spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return float(found[1]), spent / wall


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS
    if rounds < FEWEST:
        sys.exit(f"{rounds} rounds are too few; give {FEWEST} or more")
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        sys.exit("two cores are needed")
    first, last = cores[0], cores[-1]
    wrk = shutil.which("wrk") if shutil.which("taskset") else None
    ways = ["uvloop", "asyncio", *(["wrk"] if wrk else [])]
    paths = os.environ.get("PYTHONPATH", "")
    server = subprocess.Popen(
        [sys.executable, __file__, "--serve", str(first)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert server.stdout is not None
    assert server.stdin is not None
    url = f"http://127.0.0.1:{server.stdout.readline().strip()}/x"
    took: dict[tuple[str, str], list[tuple[float, float]]] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "none").mkdir()
        (folder / "none" / "uvloop.py").write_text("raise ImportError\n")
        for size, count in SIZES.items():
            (folder / size).write_bytes(os.urandom(count))
            (folder / f"{size}.lua").write_text(SCRIPT.format(path=folder / size))
        for _ in range(rounds):
            for size in SIZES:
                for way in random.sample(ways, len(ways)):
                    without = f"{folder / 'none'}{os.pathsep}{paths}"
                    os.environ["PYTHONPATH"] = without if way == "asyncio" else paths
                    if way == "wrk":
                        one = by_wrk(str(wrk), url, folder / f"{size}.lua", last)
                    else:
                        one = generated(url, folder / size, last)
                    took.setdefault((size, way), []).append(one)
    server.stdin.close()
    server.wait(10)
    print(f"{inspect().cpu_model}, server on core {first}, generator on core {last}")
    print(
        f"{rounds} rounds of {SECONDS:g} s, {CLIENTS} clients; medians, quartiles of requests/s\n"
    )
    print(f"{'body':<12}{'generator':<12}{'requests/s':>28}{'of its core':>14}{'one core':>12}")
    for (size, way), found in sorted(took.items()):
        low, middle, high = statistics.quantiles([rate for rate, _ in found], n=4)
        share = statistics.median(cpu for _, cpu in found)
        could = statistics.median(rate / cpu for rate, cpu in found)
        shown = f"{middle:,.0f} [{low:,.0f} to {high:,.0f}]"
        print(f"{size:<12}{way:<12}{shown:>28}{share:>13.0%} {could:>11,.0f}")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--serve"]:
        serve(int(sys.argv[2]))
    else:
        main()
