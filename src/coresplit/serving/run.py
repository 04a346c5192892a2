"""A server from its start to its end: arena, instances, connections, signals."""

import asyncio
import contextlib
import math
import os
import resource
import signal
import ssl
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import msgspec

from coresplit.errors import EnvironmentFault
from coresplit.format import format_size
from coresplit.instance import Arena, ServingInstance
from coresplit.serving.app import ServingApp
from coresplit.serving.crew import CrewSettings
from coresplit.serving.engine import Engine
from coresplit.serving.http.limits import Limits
from coresplit.serving.http.server import HttpServer
from coresplit.serving.memory import shared
from coresplit.serving.metrics import Metrics, log
from coresplit.serving.protocol import Signature, Tensor, datatype_of, tensors_of
from coresplit.serving.sets import InstanceSet, Place
from coresplit.serving.settings import Settings
from coresplit.serving.switching.managing import ManagingApp, Offer
from coresplit.serving.switching.switcher import Switcher

T = TypeVar("T")

MOST_ROWS_OF_A_REQUEST = 1024
ARENA_BYTES = 1 << 30
LOOPBACK = "127.0.0.1"
_OTHER_FILES = 256
"""Files that are open beside connections: pipes to instances, libraries, logs."""


class ServerSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Where and how to serve; times in seconds, memory in bytes.

    ``free_bytes`` is what is free before anything is started; None for no check of it.
    """

    name: str
    host: str = "127.0.0.1"
    port: int = 8080
    arena_bytes: int = ARENA_BYTES
    free_bytes: int | None = None
    grace_s: float = 30.0
    timeout_s: float = math.inf
    token: str = ""
    engine: Settings
    crew: CrewSettings = CrewSettings()
    limits: Limits = Limits()


class Management(msgspec.Struct, frozen=True, kw_only=True):
    """Where and how the set that serves can be changed.

    ``offer`` makes the set of a split and an optimization; ``known`` are offered by name too. All
    instances together may take ``most_bytes`` of memory, None for twice what those of the first set
    take; ``available`` tells how much is free.
    """

    port: int
    offer: Offer
    known: tuple[InstanceSet, ...] = ()
    most_bytes: int | None
    available: Callable[[], int]
    on_ready: Callable[[int], None]


def serve(
    settings: ServerSettings,
    first: InstanceSet,
    start: Callable[[Place, bool, Arena], ServingInstance],
    *,
    management: Management | None = None,
    tls: ssl.SSLContext | None = None,
    on_ready: Callable[[int], None] = lambda port: None,
) -> bool:
    """Serve until SIGTERM or SIGINT; whether all accepted requests were answered by then.

    A second signal ends it at once.

    Call it from the main thread. ``start`` makes the instance of a place, quietly where
    others should not notice; ``on_ready`` hears the
    port once all instances are ready. Raises EnvironmentFault where the port cannot be listened
    on, and the InstanceError of instances that cannot be prepared.
    """
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        return runner.run(
            _serve(settings, first, start, management=management, tls=tls, on_ready=on_ready)
        )


def new_event_loop() -> asyncio.AbstractEventLoop:
    """uvloop's where it is installed, else asyncio's."""
    with contextlib.suppress(ImportError):
        import uvloop  # noqa: PLC0415 (an extra)

        loop: asyncio.AbstractEventLoop = uvloop.new_event_loop()
        return loop
    return asyncio.new_event_loop()


def allow_files(count: int) -> None:
    """Have so many files open at once, or as many as the system allows.

    Often 1024 are allowed where nobody asks for more: fewer than there may be connections.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = count if hard == resource.RLIM_INFINITY else min(count, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


async def _serve(
    settings: ServerSettings,
    first: InstanceSet,
    start: Callable[[Place, bool, Arena], ServingInstance],
    *,
    management: Management | None,
    tls: ssl.SSLContext | None,
    on_ready: Callable[[int], None],
) -> bool:
    loop = asyncio.get_running_loop()
    asked, hurried = asyncio.Event(), asyncio.Event()

    def signalled() -> None:
        (hurried if asked.is_set() else asked).set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, signalled)
    arena = Arena.create(settings.arena_bytes)
    metrics = Metrics(settings.name)
    engine = Engine(
        lambda place, quietly: start(place, quietly, arena),
        first,
        settings.engine,
        metrics,
        crew=settings.crew,
    )
    metrics.active(first.name)
    front: HttpServer | None = None
    switcher: Switcher | None = None
    manager: HttpServer | None = None
    try:
        engine.open()
        one = await _or_asked(engine.wait_ready(1), asked)
        if one is not None:
            _require_memory(settings, one.memory, len(first.places))
        ready = await _or_asked(engine.wait_ready(len(first.places)), asked)
        if ready is None:
            return True
        signature = Signature(
            model=settings.name,
            inputs=tensors_of(ready.inputs),
            outputs=tuple(
                Tensor(each.name, datatype_of(each.dtype), each.shape) for each in ready.outputs
            ),
            max_batch=MOST_ROWS_OF_A_REQUEST,
        )
        app = ServingApp(
            signature,
            engine,
            arena,
            metrics,
            loop.time,
            timeout_s=settings.timeout_s,
            token=settings.token,
        )
        allow_files(settings.limits.connections + _OTHER_FILES)
        # what can never fit is refused for good, not until later
        most = min(settings.limits.body_bytes, settings.arena_bytes)
        front = HttpServer(app, msgspec.structs.replace(settings.limits, body_bytes=most))
        await _listen(front, settings.host, settings.port, tls, "port=8081")
        if management is not None:
            switcher = _switcher(settings, engine, metrics, management)
            manager = HttpServer(
                ManagingApp(
                    settings.name, switcher, engine.crew, management.offer, token=settings.token
                ),
                settings.limits,
            )
            # without a token only this machine may change anything
            host = settings.host if settings.token else LOOPBACK
            await _listen(manager, host, management.port, tls, "manage=8082")
            management.on_ready(manager.port)
        on_ready(front.port)
        await asked.wait()
        log("draining", queued=engine.queued)
        app.draining = True
        return await _or_asked(_drained(engine, front, settings.grace_s), hurried) or False
    finally:
        if switcher is not None:
            switcher.close()
        engine.close()
        for each in (front, manager):
            if each is not None:
                each.close()
        arena.close()


async def _listen(
    server: HttpServer, host: str, port: int, tls: ssl.SSLContext | None, option: str
) -> None:
    try:
        await server.start(host, port, tls)
    except OSError as error:
        raise EnvironmentFault(
            f"cannot listen on {host}:{port}: {error.strerror}",
            "choose another port: {option}",
            option,
        ) from error


def _switcher(
    settings: ServerSettings, engine: Engine, metrics: Metrics, management: Management
) -> Switcher:
    taken = sum(engine.crew.memory.values())
    most: float = management.most_bytes or 2 * taken
    if management.most_bytes is None and settings.free_bytes is not None:
        most = min(most, max(taken, settings.free_bytes - settings.arena_bytes))

    def free() -> int:
        # requests may take the rest of the arena at any time
        return management.available() - (settings.arena_bytes - shared(os.getpid()))

    clock = asyncio.get_running_loop().time
    found = Switcher(engine, metrics, clock, free=free, most_bytes=most)
    for each in management.known:
        found.know(each)
    return found


def _require_memory(settings: ServerSettings, each: int, count: int) -> None:
    """Raise EnvironmentFault where memory cannot hold as many instances as the first one."""
    free = settings.free_bytes
    if free is not None and count * each + settings.arena_bytes > free:
        raise EnvironmentFault(
            f"{count} instances of {format_size(each)} and {format_size(settings.arena_bytes)} for "
            f"requests need more than the {format_size(free)} of memory that are free; serve fewer "
            "instances"
        )


async def _drained(engine: Engine, front: HttpServer, grace_s: float) -> bool:
    """Whether all that was accepted is answered within the grace, while no more is accepted."""
    done, _ = await asyncio.gather(engine.drained(grace_s), front.drain(grace_s))
    return done


async def _or_asked(wanted: Coroutine[Any, Any, T], asked: asyncio.Event) -> T | None:
    """What is waited for, or None where an end is asked for first."""
    task = asyncio.ensure_future(wanted)
    end = asyncio.ensure_future(asked.wait())
    done, _ = await asyncio.wait({task, end}, return_when=asyncio.FIRST_COMPLETED)
    end.cancel()
    if task in done:
        return task.result()
    task.cancel()
    return None
