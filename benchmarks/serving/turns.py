"""Turns of the comparison: one server under the three loads, alone on the machine."""

from pathlib import Path

import msgspec
from compared import LoadName, Plan, Turn
from load import Wrong
from processes import Program
from sending import Sent
from targets import Target

from coresplit.errors import CoresplitError
from coresplit.format import percent
from coresplit.loading.asked import Load, Requests
from coresplit.loading.process.generator import Generator
from coresplit.loading.shapes import constant
from coresplit.records.load import LoadRun

CLIENTS = 32
MEDIUM_SHARE = 0.6
_LONGEST_S = 20.0
_PATIENCE_S = 60.0
_WARMUP_S = 0.5
_FEWEST = 2 * CLIENTS


def loads_of(plan: Plan, seed: int) -> dict[LoadName, Load]:
    """Return the three loads of a round; timed arrivals are the same for every server in it."""
    return {
        "light": closed(1, plan.light_requests),
        "medium": poisson(plan.medium_rate, plan.medium_s, seed),
        "saturating": closed(CLIENTS, plan.saturating_requests),
    }


def words_of(plan: Plan) -> dict[LoadName, str]:
    """Describe each load."""
    return {
        "light": f"one client, {plan.light_requests} requests a round",
        "medium": f"Poisson arrivals at {plan.medium_rate:.2f} requests/s, "
        f"{percent(MEDIUM_SHARE)} of what coresplit can do at most, "
        f"{plan.medium_s:.3g} s a round",
        "saturating": f"{CLIENTS} clients, {plan.saturating_requests} requests a round",
    }


def closed(clients: int, requests: int) -> Load:
    """Return a closed loop of clients with a total number of requests."""
    return Load(
        asked=f"{clients} clients",
        concurrency=clients,
        requests=requests,
        duration=_LONGEST_S,
        timeout=_PATIENCE_S,
    )


def poisson(rate: float, seconds: float, seed: int) -> Load:
    """Return Poisson arrivals; one seed gives the same ones for every rate, scaled in time."""
    return Load(
        asked=f"{rate:.2f} requests/s",
        pieces=constant(rate),
        seed=seed,
        duration=seconds,
        timeout=_PATIENCE_S,
    )


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """The cores of the client, and the file that its requests are read from."""

    cpus: tuple[int, ...]
    body: Path


def open_client(target: Target, sent: Sent, place: Place) -> Generator:
    """Start a process that loads a server; it contacts the server once at the start."""
    place.body.write_bytes(sent.body)
    requests = Requests(
        url=f"http://127.0.0.1:{target.port}{target.path}",
        protocol="raw",
        body=str(place.body),
        headers=sent.headers,
    )
    return Generator(requests, place.cpus, lambda: False)


def planned(target: Target, sent: Sent, place: Place, seconds: float) -> Plan:
    """Plan loads of about ``seconds`` each with coresplit, from its throughput now."""
    client = open_client(target, sent, place)
    try:
        one = run_once(client, closed(1, 10))
        run_once(client, closed(CLIENTS, CLIENTS))
        most = run_once(client, closed(CLIENTS, 2 * _FEWEST))
    finally:
        client.close()
    if one.failed or most.failed:
        raise Wrong(f"requests failed: {one.errors or most.errors}")
    return Plan(
        light_requests=max(8, round(0.6 * seconds * one.throughput)),
        medium_rate=MEDIUM_SHARE * most.throughput,
        medium_s=1.2 * seconds,
        saturating_requests=max(_FEWEST, round(seconds * most.throughput)),
    )


def turn_of(
    program: Program, target: Target, sent: Sent, place: Place, plan: Plan, *, number: int
) -> list[Turn]:
    """Measure one server in a round; raise Wrong if it does not answer."""
    found = []
    try:
        client = open_client(target, sent, place)
        try:
            run_once(client, msgspec.structs.replace(closed(2, 1 << 30), duration=_WARMUP_S))
            for name, load in loads_of(plan, seed=number).items():
                before = program.cpu_s()
                run = run_once(client, load)
                used = program.cpu_s() - before
                if run.latency is None:
                    raise Wrong(f"no request was answered under {name} load: {run.errors}")
                resident, memory = program.memory()
                found.append(
                    Turn(
                        server=target.label,
                        group=0,
                        round=number,
                        load=name,
                        answered=run.answered,
                        errors=run.errors,
                        throughput=run.throughput,
                        p50=run.latency.p50,
                        cpu=used / run.answered,
                        client_cpu=run.generator.cpu * run.window_s / run.answered,
                        resident=resident,
                        memory=memory,
                        histogram=run.histogram,
                        limit=run.generator.limit,
                    )
                )
        finally:
            client.close()
    except CoresplitError as error:
        raise Wrong(str(error)) from error
    return found


def run_once(client: Generator, load: Load) -> LoadRun:
    """Run one load with an open client, without progress output."""
    return client.load(load, lambda progress: None)
