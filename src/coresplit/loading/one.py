"""One load on the event loop, from its options to its summary."""

import asyncio
import math
import time
from collections.abc import Callable
from pathlib import Path

from coresplit.loading.arrivals import read_trace
from coresplit.loading.asked import Load, Requests, times_of
from coresplit.loading.driver import Driver, Limits
from coresplit.loading.protocols.source import Source, numbered
from coresplit.loading.tally import Second, Tally
from coresplit.loading.watch import watch_split
from coresplit.records.load import LoadRun

_HEAD_START_S = 0.02


async def load_once(
    source: Source,
    requests: Requests,
    load: Load,
    *,
    on_driver: Callable[[Driver], None] = lambda driver: None,
    on_second: Callable[[int, Second], None] = lambda at, second: None,
) -> LoadRun:
    """Load the server once and return the summary.

    ``on_driver`` gets the driver, so that it can be stopped; ``on_second`` is called every second.
    Raises UsageError if the trace cannot be read, TableError if a line of it is wrong.
    """
    arrivals = read_trace(Path(load.trace)) if load.trace is not None else ()
    for rows in sorted({each.rows for each in arrivals} or {0}):
        for number in range(requests.variants):
            source.pick(number, rows)
    begun = time.monotonic() + _HEAD_START_S
    tally = Tally(begun, load.warmup, math.inf if load.within is None else load.within)

    def second() -> None:
        at = max(int(time.monotonic() - begun) - 1, 0)
        on_second(at, tally.second(begun + at))

    driver = Driver(
        source.address,
        source.tls,
        source.checker,
        tally,
        schedule=numbered(source, times_of(load, arrivals)),
        limits=Limits(
            duration=math.inf if load.duration is None else load.duration,
            requests=math.inf if load.requests is None else load.requests,
            timeout=load.timeout,
            connections=load.connections,
            most_late=math.inf if load.most_late is None else load.most_late,
        ),
        clients=load.concurrency or 0,
        think=load.think,
        on_second=second,
    )
    on_driver(driver)
    watching = asyncio.get_running_loop().create_task(
        watch_split(source, requests.headers, begun, tally.splits)
    )
    try:
        unfinished = await driver.run()
    finally:
        watching.cancel()
    return tally.run(
        url=requests.url,
        asked=load.asked,
        unfinished=unfinished,
        connections=driver.connections,
        interrupted=driver.interrupted,
        stopped_early=driver.stopped_early,
    )
