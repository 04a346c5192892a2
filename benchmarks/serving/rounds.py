"""Servers measured in turn, in shuffled rounds, with all others paused."""

import json
import math
import random
import statistics
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import msgspec
from load import Wrong
from processes import Program
from targets import HERE, Target

_READY_S = 300.0
_LOOK_S = 0.2


class Load(msgspec.Struct, frozen=True, kw_only=True):
    """Concurrent clients, for a total of requests or for some seconds, whichever ends first."""

    clients: int
    requests: int = 1 << 60
    seconds: float
    warmup_s: float = 0.3


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """One turn; latencies in seconds, CPU time in seconds per request."""

    turn: int
    p50: float
    p99: float
    throughput: float
    cpu: float
    client_cpu: float
    requests: int


class Client:
    """The load client, which runs during the whole measurement."""

    def __init__(self, log: Path, cpus: Sequence[int] | None) -> None:
        command = [sys.executable, "-S", "-E", str(HERE / "load.py")]
        self.program = Program(command, log, cpus=cpus, talks=True)

    def ask(self, job: Mapping[str, Any]) -> dict[str, Any]:
        """Send a job and return the answer; raise Wrong if it reports an error."""
        answer = say(self.program, job)
        if "error" in answer:
            raise Wrong(answer["error"])
        return answer


def say(program: Program, job: Mapping[str, Any]) -> dict[str, Any]:
    """Send a document to a program and return its answer."""
    process = program.process
    assert process.stdin is not None and process.stdout is not None
    process.stdin.write(json.dumps(job).encode() + b"\n")
    process.stdin.flush()
    return hear(program)


def hear(program: Program) -> dict[str, Any]:
    """Read a document from a program."""
    assert program.process.stdout is not None
    line = program.process.stdout.readline()
    if not line:
        sys.exit(f"a program has ended:\n{program.log.read_text()}")
    found: dict[str, Any] = json.loads(line)
    return found


def measured(
    client: Client, program: Program, target: Target, load: Load, turn: int, *, tagged: bool
) -> Result:
    """Measure one turn of a running server."""
    job = target.job(load.clients, tagged=tagged)
    try:
        client.ask(job)
        client.ask({"do": "run", "count": 1 << 60, "seconds": load.warmup_s})
        # reconnect: some servers close connections that were idle until the last one finished
        client.ask({"do": "close"})
        client.ask(job)
        before = program.cpu_s()
        answer = client.ask({"do": "run", "count": load.requests, "seconds": load.seconds})
        used = program.cpu_s() - before
    finally:
        client.ask({"do": "close"})
    took = sorted(each * 1e-9 for each in answer["took"])
    return Result(
        turn=turn,
        p50=statistics.median(took),
        p99=took[min(len(took) - 1, round(0.99 * len(took)))],
        throughput=len(took) / answer["seconds"],
        cpu=used / len(took),
        client_cpu=answer["cpu"] / len(took),
        requests=len(took),
    )


def started(
    targets: Sequence[Target],
    client: Client,
    work: Path,
    stack: ExitStack,
    cpus: Sequence[int] | None,
    *,
    tagged: bool,
) -> dict[Target, Program]:
    """Start the servers; return those that answer, paused; print a line for each that does not."""
    found: dict[Target, Program] = {}
    for number, target in enumerate(targets):
        log = work / f"server-{number}.log"
        program = Program(target.command, log, cwd=target.cwd, env=target.env, cpus=cpus)
        stack.callback(program.end)
        fault = _awaited(program, client, target, tagged=tagged)
        if fault:
            last = "\n  ".join(log.read_text(errors="replace").splitlines()[-3:])
            print(f"{target.label} is left out: {fault}\n  {last}", flush=True)
            program.end()
            continue
        print(f"started {target.label}", file=sys.stderr, flush=True)
        program.pause()
        found[target] = program
    return found


def _awaited(program: Program, client: Client, target: Target, *, tagged: bool) -> str:
    """Wait until a server answers; return what is wrong if it does not in time, or nothing."""
    end = time.monotonic() + _READY_S
    fault = "it was not ready in time"
    while time.monotonic() < end:
        if program.ended:
            return "it has ended"
        try:
            client.ask(target.job(1, tagged=tagged))
            client.ask({"do": "run", "count": 2, "seconds": 60.0})
        except Wrong as error:
            fault = str(error)
            time.sleep(_LOOK_S)
        else:
            return ""
        finally:
            client.ask({"do": "close"})
    return fault


def in_rounds(
    servers: Mapping[Target, Program],
    client: Client,
    loads: Sequence[Load],
    rounds: int,
    *,
    tagged: bool,
    first: int = 0,
) -> dict[tuple[Target, Load], list[Result]]:
    """Measure every server under every load once per round, in another order each round.

    ``first`` is the number of the first round.
    """
    drawn = random.Random(first)
    found: dict[tuple[Target, Load], list[Result]] = {}
    for number in range(rounds):
        for target in drawn.sample(list(servers), len(servers)):
            program = servers[target]
            program.resume()
            try:
                for load in loads:
                    result = measured(client, program, target, load, first + number, tagged=tagged)
                    found.setdefault((target, load), []).append(result)
            except Wrong as error:
                print(f"{target.label}, round {number + 1}: {error}", flush=True)
            finally:
                program.pause()
        print(f"round {number + 1} of {rounds}", file=sys.stderr, flush=True)
    return found


def median(found: Sequence[Result], name: str) -> float:
    """Return the median of one figure over all rounds."""
    values: list[float] = [getattr(each, name) for each in found]
    return statistics.median(values)


def ratio(found: Sequence[Result], base: Sequence[Result], name: str) -> float:
    """Return the median of the ratios of a figure to that of ``base`` in the same round."""
    known = {each.turn: getattr(each, name) for each in base}
    within: list[float] = [
        getattr(each, name) / known[each.turn] for each in found if each.turn in known
    ]
    return statistics.median(within) if within else math.nan
