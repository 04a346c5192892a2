"""How does a real server stand damaged requests?

    python tests/serving/fuzz.py [COUNT [SEED]]
    python tests/serving/fuzz.py --only NUMBER SEED

A server in a process of its own, with a token, serves a model of the user in an instance of its
own. ``COUNT`` cases come over loopback, 32 at a time; each is followed by a right request on the
same connection, and every twentieth by one on a connection of its own. A case that goes wrong is
told with its number, its seed and its bytes, and can be sent alone. In the end no memory of
requests may be taken, and the processes may hold no more memory and descriptors than after the
first tenth, but for some slack.
"""

import asyncio
import contextlib
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from fuzz_cases import KINDS, MODEL, TOKEN, Case, case
from fuzz_client import Fuzzer, Wrong, slow_heads

from coresplit.machine.inspection import inspect

COUNT, SEED = 100_000, 1
AT_ONCE, WITNESS_EVERY, SLOW = 32, 20, 8
SLACK_MIB, SLACK_FILES = 48, 8
FAKE = "fake:0.2ms*b"


class Held(NamedTuple):
    """What a process holds."""

    mib: float
    files: int


class Found(NamedTuple):
    """What came of all cases; ``wrong`` tells what should not have happened."""

    cases: int
    seconds: float
    statuses: dict[int, int]
    kinds: dict[str, int]
    before: dict[str, Held]
    after: dict[str, Held]
    wrong: list[str]


class Server:
    """A server that runs; its model gives ``factor`` times its input."""

    def __init__(self, process: subprocess.Popen[str], port: int, factor: float, log: Path) -> None:
        self.process = process
        self.port = port
        self.factor = factor
        self.log = log
        # what it says until it is ready is for people
        self._began = len(log.read_text())

    def held(self) -> dict[str, Held]:
        """What its processes hold."""
        return {
            name: Held(_resident_mib(pid), len(list(Path(f"/proc/{pid}/fd").iterdir())))
            for name, pid in self.pids().items()
        }

    def pids(self) -> dict[str, int]:
        """The front, and instances where they are processes."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
        found = {"front": self.process.pid}
        return found | {f"instance {n}": int(pid) for n, pid in enumerate(children.split())}

    def arena_bytes(self) -> float:
        """Memory of requests that is taken."""
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}/metrics", headers={"Authorization": f"Bearer {TOKEN}"}
        )
        with urllib.request.urlopen(request, timeout=30) as answer:
            found = re.search(r"^coresplit_arena_bytes (\S+)$", answer.read().decode(), re.M)
        assert found is not None
        return float(found[1])

    def faults(self) -> list[str]:
        """Lines of its log that are no events, and instances that were lost."""
        lines = self.log.read_text()[self._began :].splitlines()
        return [line for line in lines if line[:1] != "{" or '"instance lost"' in line]


@contextlib.contextmanager
def served(folder: Path, *, real: bool) -> Iterator[Server]:
    """A server of a model of the user in ``folder``, or of one that computes nothing."""
    (folder / "token").write_text(TOKEN)
    target, factor = (_onnx(folder), 2.0) if real else (FAKE, 1.0)
    words = ["--optimization", "onnxruntime"] if real else []
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "coresplit", "serve", target, "--split", "1x1", *words),
                *("--name", MODEL, "--port", "0", "--memory", "192"),
                *("--token-file", str(folder / "token")),
            ],
            cwd=folder,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        assert line.startswith("ready"), (folder / "log").read_text()
        port = int(re.findall(r":(\d+)/", line)[0])
        yield Server(process, port, factor, folder / "log")
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        process.wait(timeout=60)
        process.stdout.close()


def fuzz(server: Server, count: int, seed: int) -> Found:
    """Send so many cases."""
    return asyncio.run(_fuzz(server, count, seed))


async def _fuzz(server: Server, count: int, seed: int) -> Found:
    fuzzer = Fuzzer(server.port, server.factor)
    wrong: list[str] = []
    kinds: dict[str, int] = {}
    numbers = iter(range(count))
    begin = time.monotonic()
    slow = asyncio.create_task(slow_heads(server.port, SLOW))

    async def work(last: int) -> None:
        for number in numbers:
            each = case(seed, number)
            kinds[each.kind] = kinds.get(each.kind, 0) + 1
            try:
                await fuzzer.run(each, number)
                if not number % WITNESS_EVERY:
                    await fuzzer.witness(number)
            except Exception as error:
                wrong.append(_told(each, number, seed, error))
            if server.process.poll() is not None:
                wrong.append(f"the server ended with {server.process.returncode}")
            if number >= last or len(wrong) > 9:
                return

    async def work_to(last: int) -> None:
        await asyncio.gather(*(work(last) for _ in range(AT_ONCE)))

    await work_to(count // 10)
    before = server.held()
    await work_to(count)
    seconds = time.monotonic() - begin
    for answer in await slow:
        if not answer.startswith(b"HTTP/1.1 408 "):
            wrong.append(f"a slow head is told {answer[:100]!r}")
    wrong += await asyncio.to_thread(_left, server, before)
    after = server.held() if server.process.poll() is None else {}
    return Found(count, seconds, fuzzer.statuses, kinds, before, after, wrong)


def _left(server: Server, before: dict[str, Held]) -> list[str]:
    """What is held that should not be."""
    deadline = time.monotonic() + 20
    while server.arena_bytes() and time.monotonic() < deadline:
        time.sleep(0.1)
    wrong = server.faults()
    if server.arena_bytes():
        wrong.append(f"{server.arena_bytes():.0f} bytes of requests are taken in the end")
    while time.monotonic() < deadline:
        after = server.held()
        grown = [
            f"{name} grew from {was} to {after.get(name)}"
            for name, was in before.items()
            if name not in after
            or after[name].mib > was.mib + SLACK_MIB
            or after[name].files > was.files + SLACK_FILES
        ]
        if not grown:
            return wrong
        time.sleep(0.5)
    return wrong + grown


def _told(each: Case, number: int, seed: int, error: Exception) -> str:
    wire = b"|".join(each.pieces)
    shown = (
        repr(wire) if len(wire) < 2000 else f"{wire[:2000]!r} and more, {len(wire)} bytes in all"
    )
    what = str(error) if isinstance(error, Wrong) else repr(error)
    return f"seed {seed} case {number} ({each.kind}, {each.end}): {what}\n    {shown}"


def _resident_mib(pid: int) -> float:
    found = re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())
    return int(found[1]) / 1024 if found else 0.0


def _onnx(folder: Path) -> str:
    """A model that doubles four numbers."""
    import numpy as np
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    shape: list[int | str | None] = ["batch", 4]
    graph = helper.make_graph(
        [helper.make_node("Mul", ["x", "two"], ["output"])],
        "double",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("output", TensorProto.FLOAT, shape)],
        [numpy_helper.from_array(np.array(2, np.float32), "two")],
    )
    path = folder / "double.onnx"
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, str(path))
    return str(path)


def main() -> None:
    """Print what came of it."""
    words = sys.argv[1:]
    only = words[:1] == ["--only"]
    numbers = [int(word) for word in words[only:]]
    first, seed = (*numbers, *(COUNT, SEED)[len(numbers) :])
    with (
        tempfile.TemporaryDirectory() as folder,
        served(Path(folder), real=True) as server,
    ):
        if only:
            print(_told(case(seed, first), first, seed, Wrong("is sent alone")))
            asyncio.run(Fuzzer(server.port, server.factor).run(case(seed, first), first))
            print("nothing is wrong")
            return
        found = fuzz(server, first, seed)
    print(f"{inspect().cpu_model}, {len(os.sched_getaffinity(0))} cores")
    print(f"{found.cases} cases with seed {seed} in {found.seconds:.0f} s, {AT_ONCE} at a time\n")
    print("answers   " + ", ".join(f"{n} x {s}" for s, n in sorted(found.statuses.items())))
    print("kinds     " + ", ".join(f"{found.kinds.get(kind, 0)} {kind}" for kind in KINDS))
    for name, was in found.before.items():
        now = found.after.get(name, Held(0, 0))
        print(
            f"{name:<9} {was.mib:.0f} MiB and {was.files} files after a tenth, "
            f"{now.mib:.0f} MiB and {now.files} files in the end"
        )
    print(f"wrong     {len(found.wrong)}")
    print("\n".join(found.wrong))
    sys.exit(bool(found.wrong))


if __name__ == "__main__":
    main()
