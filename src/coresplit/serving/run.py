"""The life of a server: arena, instances, connections, signals."""

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
from coresplit.serving.metrics import Metrics, log
from coresplit.serving.protocol import Signature, Tensor, datatype_of, tensors_of
from coresplit.serving.sets import InstanceSet, Place
from coresplit.serving.settings import Settings
from coresplit.serving.switching.changing import Changing, adapter_of, switcher_of
from coresplit.serving.switching.managing import ManagingApp

T = TypeVar("T")

MOST_ROWS_OF_A_REQUEST = 1024
ARENA_BYTES = 1 << 30
LOOPBACK = "127.0.0.1"
_MANAGERS = 32
"""Most connections to the management endpoint."""
_OTHER_FILES = 256
"""Open files other than connections and instances: libraries, logs."""
_FILES_OF_INSTANCES = 8
"""Open files per core: two for each instance, including instances that wait warm."""


class ServerSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Where and how to serve; times in seconds, memory in bytes.

    ``free_bytes`` is the free memory before anything is started; None skips the check of it.
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


def serve(
    settings: ServerSettings,
    first: InstanceSet,
    start: Callable[[Place, bool, Arena], ServingInstance],
    *,
    changing: Changing | None = None,
    tls: ssl.SSLContext | None = None,
    on_ready: Callable[[int], None] = lambda port: None,
) -> bool:
    """Serve until SIGTERM or SIGINT; return whether all accepted requests were answered.

    A second signal ends it at once.

    Call it from the main thread. ``start`` creates the instance of a place, at low priority if its
    second argument is true; ``on_ready`` is called with the port once all instances are ready.
    Raises EnvironmentFault if it cannot listen on a port or memory is too small, and the
    InstanceError of instances that cannot be prepared.
    """
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        return runner.run(
            _serve(settings, first, start, changing=changing, tls=tls, on_ready=on_ready)
        )


def new_event_loop() -> asyncio.AbstractEventLoop:
    """Return uvloop's event loop if it is installed, else asyncio's."""
    with contextlib.suppress(ImportError):
        import uvloop  # noqa: PLC0415 (an extra)

        loop: asyncio.AbstractEventLoop = uvloop.new_event_loop()
        return loop
    return asyncio.new_event_loop()


def allow_files(count: int) -> None:
    """Raise the soft limit of open files to ``count``, or to the hard limit if that is lower.

    The default is often 1024, fewer than there may be connections.
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
    changing: Changing | None,
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
    servers: list[HttpServer] = []
    changes = contextlib.ExitStack()
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
        instances = _FILES_OF_INSTANCES * (os.cpu_count() or 1)
        allow_files(settings.limits.connections + _MANAGERS + instances + _OTHER_FILES)
        # a body larger than the arena never fits: refuse it with 413, not with 429
        most = min(settings.limits.body_bytes, settings.arena_bytes)
        front = HttpServer(app, msgspec.structs.replace(settings.limits, body_bytes=most))
        servers.append(front)
        await _listen(front, settings.host, settings.port, tls, "port=8081")
        if changing is not None:
            end = await _change(changing, settings, engine, metrics, servers=servers, tls=tls)
            changes.callback(end)
        on_ready(front.port)
        await asked.wait()
        changes.close()
        log("draining", queued=engine.queued)
        app.draining = True
        return await _or_asked(drained(engine, front, settings.grace_s), hurried) or False
    finally:
        changes.close()
        engine.close()
        for each in servers:
            each.close()
        arena.close()


async def _change(
    changing: Changing,
    settings: ServerSettings,
    engine: Engine,
    metrics: Metrics,
    *,
    servers: list[HttpServer],
    tls: ssl.SSLContext | None,
) -> Callable[[], None]:
    """Start the parts that can change the active set; return a function that stops them."""
    free = math.inf if settings.free_bytes is None else settings.free_bytes
    switcher = switcher_of(changing, engine, metrics, arena=settings.arena_bytes, free=free)
    adapter = adapter_of(changing, engine, switcher)
    app: ManagingApp | None = None
    if changing.port is not None:
        app = ManagingApp(
            settings.name,
            switcher,
            engine.crew,
            changing.offer,
            adapter=adapter,
            token=settings.token,
        )
        manager = HttpServer(app, msgspec.structs.replace(settings.limits, connections=_MANAGERS))
        servers.append(manager)
        # without a token only clients on this machine may change anything
        host = settings.host if settings.token else LOOPBACK
        await _listen(manager, host, changing.port, tls, "manage=8082")
        changing.on_ready(manager.port)
    if adapter is not None:
        adapter.start()

    def end() -> None:
        if app is not None:
            app.draining = True
        if adapter is not None:
            adapter.stop()
        switcher.close()

    return end


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


def _require_memory(settings: ServerSettings, each: int, count: int) -> None:
    """Raise EnvironmentFault if memory cannot hold ``count`` instances of ``each`` bytes."""
    free = settings.free_bytes
    if free is not None and count * each + settings.arena_bytes > free:
        raise EnvironmentFault(
            f"{count} instances of {format_size(each)} and {format_size(settings.arena_bytes)} for "
            f"requests need more than the {format_size(free)} of free memory; serve fewer instances"
        )


async def drained(engine: Engine, front: HttpServer, grace_s: float) -> bool:
    """Stop accepting; return whether all accepted requests are answered within ``grace_s``."""
    done, _ = await asyncio.gather(engine.drained(grace_s), front.drain(grace_s))
    # a request whose body was still arriving may have been queued after the engine was idle
    return done and not engine.working


async def _or_asked(wanted: Coroutine[Any, Any, T], asked: asyncio.Event) -> T | None:
    """Return the result of ``wanted``, or None if ``asked`` is set first."""
    task = asyncio.ensure_future(wanted)
    end = asyncio.ensure_future(asked.wait())
    done, _ = await asyncio.wait({task, end}, return_when=asyncio.FIRST_COMPLETED)
    end.cancel()
    if task in done:
        return task.result()
    task.cancel()
    return None
