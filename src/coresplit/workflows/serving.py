"""Serving a choice of instances on this machine."""

import math
import ssl
from collections.abc import Callable
from functools import partial

from coresplit.errors import EnvironmentFault
from coresplit.format import format_size
from coresplit.instance import (
    Arena,
    FakeServing,
    LocalHost,
    Process,
    Serve,
    ServingInstance,
)
from coresplit.machine.cgroups import available_memory
from coresplit.models import is_fake, parse_fake
from coresplit.serving.dividing import Latencies
from coresplit.serving.run import ServerSettings, serve
from coresplit.serving.settings import Settings
from coresplit.workflows.choosing import Choice


def run_server(
    choice: Choice,
    *,
    name: str,
    host: str,
    port: int,
    arena_bytes: int,
    most_requests: int,
    batch_timeout_s: float,
    timeout_s: float | None,
    grace_s: float,
    token: str,
    tls: ssl.SSLContext | None,
    on_ready: Callable[[int], None],
) -> bool:
    """Serve until a signal; whether everything accepted was answered. See ``serving.run.serve``."""
    free = available_memory()
    if arena_bytes > free:
        raise EnvironmentFault(
            f"{format_size(arena_bytes)} for requests are asked for, but only "
            f"{format_size(free)} of memory are free"
        )
    local = LocalHost(choice.spec, choice.machine, "hot")
    model = parse_fake(choice.spec.name) if is_fake(choice.spec.name) else None
    places = local.place([threads for threads, _ in choice.split.cells], choice.variant.mapping)
    batches = _batches(choice)

    def start(seat: int, arena: Arena) -> ServingInstance:
        served = Serve(batches=batches, arena_size=arena.size)
        spec = local.spec_on(choice.variant, places[seat], served)
        if model is None:
            return Process(spec, arena)
        # a formula serves too, in real time: each output is the first bytes of its row
        latency = partial(model.latency, choice.variant.optimization, spec.threads)
        return FakeServing(spec, arena, latency)

    return serve(
        ServerSettings(
            name=name,
            host=host,
            port=port,
            arena_bytes=arena_bytes,
            free_bytes=free,
            grace_s=grace_s,
            timeout_s=timeout_s or math.inf,
            token=token,
            engine=Settings(
                most_rows=choice.most_rows,
                most_requests=most_requests,
                limit_s=choice.limit_s,
                batch_timeout_s=batch_timeout_s,
            ),
        ),
        [threads for threads, _ in choice.split.cells],
        start,
        Latencies(choice.latencies),
        tls=tls,
        on_ready=on_ready,
    )


def _batches(choice: Choice) -> tuple[int, ...]:
    """What instances are bound to and warmed for: powers of two, and the batches of the split."""
    powers = {2**power for power in range(choice.most_rows.bit_length())}
    own = {batch for _, batch in choice.split.cells}
    return tuple(sorted(each for each in powers | own | {1} if each <= choice.most_rows))
