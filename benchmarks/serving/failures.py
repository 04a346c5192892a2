"""Is every request answered correctly while instances are killed and changed under load?

    python benchmarks/serving/failures.py [SECONDS] [--kill-every S] [--switch-every S]

Serves a model on two cores with two instances of one thread, measures their maximum rate, and
sends 70 % of that as Poisson arrivals, for 10 minutes by default. Every 10 s one of the instances,
chosen at random, is killed with SIGKILL; with --switch-every S the server also switches between one
instance of two threads and two of one every S seconds. Requests have 1 to 3 rows, as JSON, binary
or raw; the model returns the first numbers of each row, so a lost, mixed-up or duplicated row
is detected. Latency counts from when a request was due. The exit code is 1 if an answer is wrong
or missing, if no change is made or one fails other than by a kill, if the memory of the front grows
by more than 5 % after the first fifth of the time, or if a process or a file is left behind.
"""

import argparse
import contextlib
import http.client
import itertools
import json
import math
import os
import queue
import random
import signal
import statistics
import struct
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

SECONDS, SHORTEST = 600.0, 20.0
KILL_EVERY_S, LOAD, CLIENTS, SATURATE_S = 10.0, 0.7, 24, 6.0
SPLITS = "1x2", "2x1"
FEATURES, ANSWERED, GROWTH = 256, 16, 0.05
PATH = "/v2/models/tagged/infer"
MODULE = f"""
import torch
from torch import nn

class Tagged(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear({FEATURES}, {FEATURES})

    def forward(self, x):
        hidden = x
        for _ in range(100):
            hidden = torch.tanh(self.layer(hidden))
        return x[:, :{ANSWERED}] + 0 * hidden[:, :{ANSWERED}]
"""


class Client:
    """One connection; sends tagged requests and checks their answers."""

    def __init__(self, port: int, seed: int) -> None:
        self._port = port
        self._random = random.Random(seed)
        self._connection: http.client.HTTPConnection | None = None

    def call(self) -> str:
        """Send one request; return ``right``, a status, or another error."""
        rows = [
            [float(self._random.randrange(1 << 20)) for _ in range(FEATURES)]
            for _ in range(self._random.randint(1, 3))
        ]
        kind = self._random.choice(["json", "binary", "raw"])
        body, headers = _request(rows, kind)
        if self._connection is None:
            self._connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=60)
        try:
            self._connection.request("POST", PATH, body, headers)
            answer = self._connection.getresponse()
            found = answer.read()
        except (OSError, http.client.HTTPException) as error:
            self._connection.close()
            self._connection = None
            return type(error).__name__
        if answer.status != 200:
            return str(answer.status)
        length = answer.getheader("Inference-Header-Content-Length")
        expected = [row[:ANSWERED] for row in rows]
        return "right" if _rows(found, length, len(rows)) == expected else "wrong"


def _request(rows: list[list[float]], kind: str) -> tuple[bytes, dict[str, str]]:
    data = b"".join(struct.pack(f"<{FEATURES}f", *row) for row in rows)
    if kind == "raw":
        return data, {"Inference-Header-Content-Length": "0"}
    tensor: dict[str, object] = {"name": "x", "shape": [len(rows), FEATURES], "datatype": "FP32"}
    if kind == "json":
        return json.dumps({"inputs": [tensor | {"data": rows}]}).encode(), {}
    tensor["parameters"] = {"binary_data_size": len(data)}
    asked = {"inputs": [tensor], "parameters": {"binary_data_output": True}}
    head = json.dumps(asked).encode()
    return head + data, {"Inference-Header-Content-Length": str(len(head))}


def _rows(body: bytes, length: str | None, count: int) -> list[list[float]]:
    if length is None:
        flat = json.loads(body)["outputs"][0]["data"]
    else:
        flat = list(struct.unpack(f"<{count * ANSWERED}f", body[int(length) :]))
    return [flat[at : at + ANSWERED] for at in range(0, len(flat), ANSWERED)]


@contextlib.contextmanager
def server(folder: Path) -> Iterator[tuple[subprocess.Popen[str], int, str]]:
    """Start a server of the model; yield it, its port, and the URL of its management."""
    (folder / "tagged.py").write_text(MODULE)
    (folder / "tmp").mkdir()
    paths = [str(folder), *filter(None, [os.environ.get("PYTHONPATH")])]
    own = {"PYTHONPATH": os.pathsep.join(paths), "TMPDIR": str(folder / "tmp")}
    environment = os.environ | own
    words = ["serve", "tagged:Tagged", "--trust", "--input", f"x={FEATURES}:float32"]
    words += ["--name", "tagged", "--split", "2x1", "--optimization", "none", "--port", "0"]
    words += ["--manage", "0"]
    log = folder / "log"
    with log.open("w") as errors:
        process = subprocess.Popen(
            [sys.executable, "-m", "coresplit", *words],
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            env=environment,
        )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line.startswith("ready"):
            sys.exit(f"the server did not start:\n{log.read_text()}")
        (manage,) = [
            each.split()[1] for each in log.read_text().splitlines() if each.startswith("manage")
        ]
        yield process, int(line.rsplit(":", 1)[1].split("/")[0]), manage
    finally:
        process.kill()
        process.wait()


def saturated(port: int) -> float:
    """Return the requests per second with enough clients to keep the server busy."""
    end, counts = time.monotonic() + SATURATE_S, [0] * 8

    def work(number: int) -> None:
        client = Client(port, number)
        while time.monotonic() < end:
            client.call()
            counts[number] += 1

    threads = [threading.Thread(target=work, args=(number,)) for number in range(len(counts))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(counts) / SATURATE_S


class Load:
    """Poisson arrivals, each sent by the next free client."""

    def __init__(self, port: int, rate: float, seconds: float) -> None:
        self.outcomes: Counter[str] = Counter()
        self.latencies: list[float] = []
        self._due: queue.SimpleQueue[float | None] = queue.SimpleQueue()
        self._clients = [
            threading.Thread(target=self._work, args=(Client(port, 100 + number),))
            for number in range(CLIENTS)
        ]
        self._arrivals = threading.Thread(target=self._arrive, args=(rate, seconds))
        for thread in [*self._clients, self._arrivals]:
            thread.start()

    def join(self) -> None:
        """Wait for the last answer."""
        for thread in [self._arrivals, *self._clients]:
            thread.join()

    def _arrive(self, rate: float, seconds: float) -> None:
        chance, due = random.Random(7), time.monotonic()
        end = due + seconds
        while due < end:
            time.sleep(max(0.0, due - time.monotonic()))
            self._due.put(due)
            due += chance.expovariate(rate)
        for _ in self._clients:
            self._due.put(None)

    def _work(self, client: Client) -> None:
        while (due := self._due.get()) is not None:
            self.outcomes[client.call()] += 1
            self.latencies.append(time.monotonic() - due)


class Switches:
    """Changes of the split, one after the other, until ``end`` is called."""

    def __init__(self, manage: str, every_s: float) -> None:
        self.outcomes: Counter[str] = Counter()
        self._manage = manage
        self._every_s = every_s
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._work)
        self._thread.start()

    def end(self) -> None:
        """Stop making changes."""
        self._ended.set()
        self._thread.join()

    def _work(self) -> None:
        for split in itertools.cycle(SPLITS):
            if self._ended.wait(self._every_s):
                return
            body = json.dumps({"split": split, "optimization": "none"}).encode()
            try:
                with urllib.request.urlopen(self._manage, body, timeout=300) as answer:
                    self.outcomes[json.load(answer)["result"]] += 1
            except urllib.error.HTTPError as error:
                with error:
                    self.outcomes[f"answered {error.code}"] += 1


def children(pid: int) -> list[int]:
    """Return the child processes of a process."""
    found = [path.read_text().split() for path in Path(f"/proc/{pid}/task").glob("*/children")]
    return [int(child) for each in found for child in each]


def resident(pid: int) -> int:
    """Return the resident bytes of a process."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def main() -> None:
    asked = argparse.ArgumentParser()
    asked.add_argument("seconds", type=float, nargs="?", default=SECONDS)
    asked.add_argument("--kill-every", type=float, default=KILL_EVERY_S, metavar="S")
    asked.add_argument("--switch-every", type=float, default=math.inf, metavar="S")
    given = asked.parse_args()
    if given.seconds < SHORTEST:
        sys.exit(f"{given.seconds:g} s are too few; give {SHORTEST:g} or more")
    chance, killed, memory, seconds = random.Random(3), 0, [], given.seconds
    with tempfile.TemporaryDirectory() as name, server(Path(name)) as (process, port, manage):
        most = saturated(port)
        begun = time.monotonic()
        load = Load(port, LOAD * most, seconds)
        switches = None if math.isinf(given.switch_every) else Switches(manage, given.switch_every)
        next_kill = begun + given.kill_every
        while (now := time.monotonic()) < begun + seconds:
            if now >= next_kill:
                next_kill += given.kill_every
                if instances := children(process.pid):
                    os.kill(chance.choice(instances), signal.SIGKILL)
                    killed += 1
            if now - begun > seconds / 5:
                memory.append(resident(process.pid))
            time.sleep(0.5)
        load.join()
        if switches is not None:
            switches.end()
        left = children(process.pid)
        process.send_signal(signal.SIGTERM)
        code = process.wait(timeout=60)
        time.sleep(1.0)
        orphans = [pid for pid in left if Path(f"/proc/{pid}").exists()]
        # PyTorch keeps a folder there for all processes of a user
        files = [
            each.name
            for each in Path(name, "tmp").iterdir()
            if not each.name.startswith("torchinductor_")
        ]
    quarter = max(1, len(memory) // 4)
    growth = statistics.median(memory[-quarter:]) / statistics.median(memory[:quarter]) - 1
    latencies = sorted(load.latencies)
    print(f"{most:.0f} requests/s at most; {LOAD * most:.0f}/s sent for {seconds:g} s")
    print(f"{killed} instances killed, one every {given.kill_every:g} s")
    if switches is not None:
        print(f"changes of the split: {told(switches.outcomes)}")
    print(told(load.outcomes))
    print(
        f"latency from when a request was due: median {statistics.median(latencies) * 1e3:.1f} ms, "
        f"99 % {latencies[int(0.99 * len(latencies))] * 1e3:.0f} ms, "
        f"longest {latencies[-1] * 1e3:.0f} ms"
    )
    print(
        f"memory of the front: {memory[-1] / 2**20:.1f} MiB at the end, {growth:+.1%} over the run"
    )
    print(f"exit code {code} after SIGTERM, {len(orphans)} instances and {len(files)} files left")
    if files:
        print(f"left behind: {', '.join(files)}")
    failed = set(load.outcomes) != {"right"} or not killed or code or orphans or files
    # a change fails if an instance is killed while it is prepared
    unchanged = switches is not None and not (
        {"made"} <= set(switches.outcomes) <= {"made", "answered 500"}
    )
    sys.exit(1 if failed or unchanged or growth > GROWTH else 0)


def told(outcomes: Counter[str]) -> str:
    return ", ".join(f"{count} {what}" for what, count in sorted(outcomes.items()))


if __name__ == "__main__":
    main()
