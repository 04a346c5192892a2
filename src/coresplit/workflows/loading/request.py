"""The checked request of what to load and how."""

import importlib.util
from pathlib import Path
from typing import Literal

import msgspec

from coresplit.errors import EnvironmentFault, UsageError
from coresplit.format import format_duration, number
from coresplit.loading.arrivals import Piece, read_trace, total_of
from coresplit.loading.asked import Arrivals, Encoding, Load, LoadProtocol, Requests
from coresplit.loading.protocols.bodies import parse_header, parse_inputs, read_body
from coresplit.loading.shapes import constant, parse_shape
from coresplit.loading.wire.address import parse_url, tls_context

DEFAULT_DURATION_S = 30.0
ROUND_S = 5.0
TRIAL_S, LONGEST_TRIAL_S = 10.0, 30.0
"""A trial is longer if its percentile needs more requests."""
_NEEDED = {"httptools": "httptools", "hdrh": "hdrhistogram", "numpy": "numpy"}

Kind = Literal["run", "comparison", "search"]


class LoadRequest(msgspec.Struct, frozen=True, kw_only=True):
    """The request of ``load``; None means the default, times are in seconds."""

    urls: tuple[str, ...]
    protocol: LoadProtocol | None = None
    model: str = ""
    rows: int = 1
    encoding: Encoding = "binary"
    input: tuple[str, ...] = ()
    body: str | None = None
    header: tuple[str, ...] = ()
    verify: bool = False
    tls_ca: str | None = None
    seed: int = 0
    concurrency: int | None = None
    think: float | None = None
    rate: float | None = None
    arrivals: Arrivals = "poisson"
    shape: str | None = None
    trace: str | None = None
    duration: float | None = None
    requests: int | None = None
    warmup: float | None = None
    timeout: float = 30.0
    connections: int = 1000
    slo: float | None = None
    percentile: float = 99.0
    precision: float = 0.05
    rounds: int = 10
    cores: tuple[int, ...] | None = None

    @property
    def kind(self) -> Kind:
        """A comparison of two servers, a search for the highest rate, or one run."""
        if len(self.urls) > 1:
            return "comparison"
        return "run" if self.slo is None else "search"


def check_sending(request: LoadRequest) -> None:
    """Raise UsageError for contradictory options about when requests are sent."""
    ways = {
        "concurrency": request.concurrency,
        "rate": request.rate,
        "shape": request.shape,
        "trace": request.trace,
    }
    given = [name for name, value in ways.items() if value is not None]
    if len(given) > 1:
        raise UsageError(f"{given[0]} and {given[1]} exclude each other; give one of them")
    if request.kind == "search" and given not in ([], ["rate"]):
        raise UsageError(f"a search finds the rate itself; leave {given[0]} out")
    if request.think is not None and given not in ([], ["concurrency"]):
        raise UsageError("think time is for a closed loop", "give {option}", "concurrency=1")
    _check_time(request)


def check(request: LoadRequest) -> None:
    """Raise UsageError for contradictory options, EnvironmentFault for a missing library."""
    if len(request.urls) > 2:
        raise UsageError("at most two servers can be compared")
    if request.kind == "comparison" and request.slo is not None:
        raise UsageError("a search has one server; leave out the second one or the latency")
    check_sending(request)
    for module, package in _NEEDED.items():
        if importlib.util.find_spec(module) is None:
            raise EnvironmentFault(
                f"loading needs {package}, which is not installed; "
                "run: pip install 'coresplit[serve]'"
            )
    for header in request.header:
        parse_header(header)
    parse_inputs(request.input)
    for url in request.urls:
        tls_context(parse_url(url), request.tls_ca)
    if request.body is not None:
        read_body(request.body)


def requests_of(request: LoadRequest, url: str) -> Requests:
    """Return the requests for one of the servers."""
    guess: LoadProtocol = "torchserve" if "/predictions/" in url else "v2"
    return Requests(
        url=url,
        protocol=request.protocol or guess,
        model=request.model,
        rows=request.rows,
        encoding=request.encoding,
        inputs=request.input,
        body=request.body,
        headers=tuple(map(parse_header, request.header)),
        verify=request.verify,
        authority=request.tls_ca,
        seed=request.seed,
    )


def load_of(request: LoadRequest) -> Load:
    """Return the load of one run; for a comparison, of each round."""
    warmup = _warmup(request)
    common = Load(
        asked="",
        arrivals=request.arrivals,
        seed=request.seed,
        requests=request.requests,
        warmup=warmup,
        timeout=request.timeout,
        connections=request.connections,
    )
    replace = msgspec.structs.replace
    if request.trace is not None:
        arrivals = read_trace(Path(request.trace))
        asked = f"{len(arrivals)} requests of {request.trace}"
        return replace(common, asked=asked, trace=request.trace, duration=request.duration)
    duration = request.duration
    if request.shape is not None:
        pieces = parse_shape(request.shape)
        duration = total_of(pieces) if duration is None else duration
        asked = f"{request.shape}, {request.arrivals}, for {format_duration(duration)}"
        return replace(common, asked=asked, pieces=pieces, duration=duration)
    if duration is None and request.requests is None:
        duration = ROUND_S if request.kind == "comparison" else DEFAULT_DURATION_S
    until = "" if duration is None else f" for {format_duration(duration)}"
    if request.requests is not None:
        until += f", {request.requests} requests at most"
    if request.rate is not None:
        asked = f"{number(request.rate)} requests/s, {request.arrivals},{until}"
        pieces = constant(request.rate)
        return replace(common, asked=asked.replace(",,", ","), pieces=pieces, duration=duration)
    clients = request.concurrency or 1
    who = "1 client" if clients == 1 else f"{clients} clients"
    thinks = (
        f" that think{'s' if clients == 1 else ''} for {format_duration(request.think)}"
        if (request.think)
        else ""
    )
    return replace(
        common,
        asked=f"{who}{thinks}{until}",
        concurrency=clients,
        think=request.think or 0.0,
        duration=duration,
    )


def trial_load(request: LoadRequest, rate: float, number_of: int) -> Load:
    """Return the load of one trial of a search, long enough for its percentile to exist."""
    assert request.slo is not None
    beyond = 1 - request.percentile / 100
    warmup = _warmup(request)
    wanted = request.duration or TRIAL_S
    measured = max(wanted - warmup, min(1 / beyond / rate, LONGEST_TRIAL_S))
    pieces: tuple[Piece, ...] = constant(rate)
    return Load(
        asked=f"{number(rate)} requests/s, {request.arrivals}",
        pieces=pieces,
        arrivals=request.arrivals,
        seed=request.seed + number_of,
        duration=warmup + measured,
        warmup=warmup,
        timeout=request.timeout,
        connections=request.connections,
        within=request.slo,
        # a trial that is certain to fail can stop; with a margin, as fewer requests may come
        most_late=1.5 * beyond * rate * measured + 5,
    )


def _warmup(request: LoadRequest) -> float:
    if request.warmup is not None:
        return request.warmup
    return 0.0 if request.kind == "run" else 1.0


def _check_time(request: LoadRequest) -> None:
    if request.duration is not None and _warmup(request) >= request.duration:
        raise UsageError(
            f"the warm-up takes all {format_duration(request.duration)}; load for longer",
            "give {option}",
            f"duration={_warmup(request) * 10 or 10:g}s",
        )
    if request.slo is not None and request.timeout <= request.slo:
        raise UsageError(
            "requests time out before they would be late",
            "give {option}",
            f"timeout={request.slo * 10:g}s",
        )
