"""Inception v3 behind coresplit and behind its peers, and the same split without a server.

    python benchmarks/serving/inception.py --environments DIR [--rounds N] [--peers NAMES]

``coresplit serve inception`` chooses its instances itself, from a run that it measures first if
there is none. All peers run the ONNX file that coresplit exports, with the library that coresplit
has chosen. See README.md in this folder.
"""

import argparse
import statistics
import sys
import tempfile
from collections.abc import Mapping
from contextlib import ExitStack
from http.client import HTTPConnection
from pathlib import Path

import numpy as np
from about import describe, parser, places
from load import numbers
from numpy.typing import NDArray
from processes import Program
from rounds import Client, Load, Result, hear, in_rounds, median, ratio, say, started
from targets import HERE, IMAGE, OUTPUTS, Target, coresplit, peers, tensors

from coresplit.cache import Cache

CLIENTS = (1, 8, 32)
MOST_ERROR = 1e-3
BATCH = 8


def main() -> None:
    asked = parser(__doc__, rounds=4)
    asked.add_argument("--seconds", type=float, default=3.0, help="length of a turn with 8 clients")
    asked.add_argument("--serve", default="", help="more options for coresplit serve")
    given = asked.parse_args()
    describe(given)
    with ExitStack() as stack:
        compare(given, Path(stack.enter_context(tempfile.TemporaryDirectory())), stack)


def compare(asked: argparse.Namespace, work: Path, stack: ExitStack) -> None:
    kept = asked.environments / "runs"
    kept.mkdir(exist_ok=True)
    servers_cpus, client_cpus = places(asked)
    client = Client(work / "client.log", client_cpus)
    stack.callback(client.program.end)
    options = tuple(asked.serve.split())
    own = coresplit(kept, ("inception", *options), IMAGE, setting="", model="inception", takes="x")
    servers = started([own], client, work, stack, servers_cpus, tagged=False)
    if not servers:
        sys.exit(1)
    loop = Program(
        [sys.executable, str(HERE / "bare.py"), "inception"],
        work / "bare.log", cwd=kept, cpus=servers_cpus, talks=True,
    )  # fmt: skip
    stack.callback(loop.end)
    about = hear(loop)
    loop.pause()
    print("\n".join(["", *about["reasons"]]))
    if about["optimization"] not in ("openvino", "onnxruntime"):
        print(f"peers have no {about['optimization']}: they get openvino")
    backend = "onnxruntime" if about["optimization"] == "onnxruntime" else "openvino"
    model = ("--model", str(exported()), "--backend", backend, *tensors(IMAGE))
    others = peers(
        asked.environments, work, asked.peers, model, IMAGE, cores=len(servers_cpus), batch=BATCH
    )
    servers |= started(others, client, work, stack, servers_cpus, tagged=False)
    check(servers, own)
    loads = [
        Load(clients=each, seconds=asked.seconds * (1.5 if each > 8 else 1), warmup_s=0.5)
        for each in CLIENTS
    ]
    bare: dict[Load, list[float]] = {load: [] for load in loads}
    results: dict[tuple[Target, Load], list[Result]] = {}
    for number in range(asked.rounds):
        loop.resume()
        for load in loads:
            found = say(loop, {"clients": load.clients, "seconds": load.seconds})
            bare[load].append(found["rows"] / found["seconds"])
        loop.pause()
        for place, turn in in_rounds(servers, client, loads, 1, tagged=False, first=number).items():
            results.setdefault(place, []).extend(turn)
    for load in loads:
        show(results, bare[load], own, load)


def exported() -> Path:
    """Return the newest ONNX file of Inception that coresplit has exported."""
    files = Cache().root.glob("onnx-*/model.onnx")
    # the weights next to it identify the model by their size
    fitting = [each for each in files if 90e6 < _size(each.parent) < 100e6]
    return max(fitting, key=lambda each: each.stat().st_mtime)


def _size(folder: Path) -> int:
    return sum(each.stat().st_size for each in folder.iterdir())


def check(servers: Mapping[Target, Program], own: Target) -> None:
    """Print how far the outputs of all servers for the client's image are from coresplit's."""
    found = {}
    for target, program in servers.items():
        program.resume()
        found[target] = asked_once(target)
        program.pause()
    base = found[own]
    spread = float(np.abs(base).max())
    worst = max(float(np.abs(each - base).max()) / spread for each in found.values())
    said = "the same" if worst <= MOST_ERROR else "NOT the same"
    print(f"all servers give {said} outputs for one image: {worst:.1e} apart at most\n", flush=True)


def asked_once(target: Target) -> NDArray[np.float32]:
    """The outputs for one request."""
    job = target.job(1, tagged=False)
    lines = [line.split(": ", 1) for line in job["head"].splitlines()[1:]]
    connection = HTTPConnection(job["host"], job["port"], timeout=60)
    body = job["lead"].encode() + numbers(job["floats"])
    connection.request("POST", target.path, body, dict(lines))
    answer = connection.getresponse().read()
    connection.close()
    return np.frombuffer(answer[-4 * OUTPUTS :], np.float32)


def show(
    results: Mapping[tuple[Target, Load], list[Result]],
    bare: list[float],
    own: Target,
    load: Load,
) -> None:
    clients = "1 client" if load.clients == 1 else f"{load.clients} clients"
    print(f"{clients:<24}{'p50 ms':>9}{'p99 ms':>9}{'/s':>9}  of coresplit's")
    fitting = {target: found for (target, given), found in results.items() if given == load}
    base = fitting[own]
    within = statistics.median(
        rate / each.throughput
        for each in base
        for turn, rate in enumerate(bare)
        if turn == each.turn
    )
    print(f"{'no server':<24}{'':>18}{statistics.median(bare):>9.2f}{within:>8.2f}")
    for target in sorted(fitting, key=lambda each: -median(fitting[each], "throughput")):
        found = fitting[target]
        print(
            f"{target.label:<24}"
            f"{median(found, 'p50') * 1e3:>9.1f}{median(found, 'p99') * 1e3:>9.1f}"
            f"{median(found, 'throughput'):>9.2f}{ratio(found, base, 'throughput'):>8.2f}"
        )
    print(flush=True)


if __name__ == "__main__":
    main()
