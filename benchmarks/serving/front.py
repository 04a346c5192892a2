"""coresplit's server without instances: the cost of HTTP and the protocol alone.

    python benchmarks/serving/front.py PORT SHAPE [http]

Answers from the front itself with the first 1,000 numbers of a row. Everything but the instance is
the real server: with ``http`` only its connections, otherwise also queue, protocol and counters.
"""

import asyncio
import math
import sys
from collections.abc import Callable

from coresplit.instance import Arena, Blocks
from coresplit.serving.app import ServingApp
from coresplit.serving.engine import Engine
from coresplit.serving.http.exchange import App, Exchange
from coresplit.serving.http.limits import Limits
from coresplit.serving.http.server import HttpServer
from coresplit.serving.metrics import Metrics
from coresplit.serving.protocol import HEADER_LENGTH, Signature, Tensor
from coresplit.serving.queue import Job
from coresplit.serving.run import new_event_loop

OUTPUTS = 1000
ARENA_BYTES = 1 << 28


class BareApp:
    """Receives a body into existing memory, and answers with a part of it."""

    def __init__(self, arena: Arena) -> None:
        self._arena = arena
        self._blocks = Blocks(arena.size)

    def begin(self, exchange: Exchange) -> memoryview | None:
        length = exchange.head.length or 0
        exchange.note = self._blocks.take(length)
        return self._arena.view(exchange.note, length)

    def complete(self, exchange: Exchange, body: memoryview) -> None:
        skip = int(exchange.head.headers[HEADER_LENGTH.lower()])
        headers = [("Content-Type", "application/octet-stream")]
        answer = body[skip : skip + 4 * OUTPUTS]
        exchange.respond(200, headers, [answer], on_sent=lambda: self.gone(exchange))

    def gone(self, exchange: Exchange) -> None:
        self._blocks.give(exchange.note)


class NoInstances(Engine):
    """Completes every job as soon as it arrives."""

    def __init__(self, arena: Arena) -> None:
        self._arena = arena

    @property
    def alive(self) -> int:
        return 1

    @property
    def accepting(self) -> bool:
        return True

    @property
    def full(self) -> bool:
        return False

    def retry_after_s(self) -> float:
        return 1.0

    def submit(self, job: Job) -> None:
        (source,), (target,) = job.inputs, job.outputs
        assert isinstance(source, int)
        size = 4 * OUTPUTS
        self._arena.view(target, size)[:] = self._arena.view(source, size)
        job.left = 0
        job.end(None)


def app_of(shape: tuple[int, ...], clock: Callable[[], float], *, http: bool) -> App:
    arena = Arena.create(ARENA_BYTES)
    if http:
        return BareApp(arena)
    signature = Signature(
        model="first",
        inputs=(Tensor("x", "FP32", shape),),
        outputs=(Tensor("output", "FP32", (OUTPUTS,)),),
        max_batch=64,
    )
    return ServingApp(signature, NoInstances(arena), arena, Metrics("first"), clock)


async def main() -> None:
    port, shape = int(sys.argv[1]), tuple(map(int, sys.argv[2].split("x")))
    assert math.prod(shape) >= OUTPUTS
    loop = asyncio.get_running_loop()
    server = HttpServer(app_of(shape, loop.time, http="http" in sys.argv[3:]), Limits())
    await server.start("127.0.0.1", port)
    await asyncio.Event().wait()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        runner.run(main())
