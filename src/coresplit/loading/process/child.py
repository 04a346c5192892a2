"""The load process: pinned to its CPUs, it does nothing but load a server.

It reads commands from standard input and writes replies to standard output. It exits when standard
input closes, and so with its parent.
"""

import asyncio
import contextlib
import gc
import os
import signal
import sys
from collections.abc import Callable
from typing import Any

from coresplit.errors import CoresplitError, TableError, UsageError
from coresplit.loading.asked import Load
from coresplit.loading.driver import Driver
from coresplit.loading.one import load_once
from coresplit.loading.process.messages import (
    Begin,
    Command,
    Done,
    Fault,
    FaultKind,
    Progress,
    Ready,
    Reply,
    Setup,
    Stop,
    command_of,
    line_of,
)
from coresplit.loading.protocols.source import Source, open_source
from coresplit.loading.tally import Second

_READ = 1 << 16


def new_event_loop() -> asyncio.AbstractEventLoop:
    """Return a uvloop event loop if uvloop is installed, else one of asyncio."""
    with contextlib.suppress(ImportError):
        import uvloop  # noqa: PLC0415 (an extra)

        loop: asyncio.AbstractEventLoop = uvloop.new_event_loop()
        return loop
    return asyncio.new_event_loop()


class _Commands:
    """Commands read from the lines of standard input."""

    def __init__(self, on_stop: Callable[[], None]) -> None:
        self._queue: asyncio.Queue[Command | None] = asyncio.Queue()
        self._rest = b""
        self._on_stop = on_stop
        asyncio.get_running_loop().add_reader(0, self._read)

    async def next(self) -> Command | None:
        """Return the next command, or None at the end of the input."""
        return await self._queue.get()

    def _read(self) -> None:
        data = os.read(0, _READ)
        if not data:
            asyncio.get_running_loop().remove_reader(0)
            self._queue.put_nowait(None)
            self._on_stop()
            return
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            command = command_of(line)
            if isinstance(command, Stop):
                self._on_stop()
            else:
                self._queue.put_nowait(command)


class _Child:
    """Executes commands, one load after the other."""

    def __init__(self) -> None:
        self._driver: Driver | None = None
        self._source: Source | None = None
        self._setup: Setup | None = None
        self._stopped = False

    async def run(self) -> None:
        """Execute commands until there are no more."""
        commands = _Commands(self._stop)
        while (command := await commands.next()) is not None:
            try:
                if isinstance(command, Setup):
                    await self._open(command)
                elif isinstance(command, Begin):
                    await self._load(command.load)
            except CoresplitError as error:
                _tell(_fault(error))

    def _stop(self) -> None:
        self._stopped = True
        if self._driver is not None:
            self._driver.stop()

    async def _open(self, setup: Setup) -> None:
        if setup.cpus:
            os.sched_setaffinity(0, setup.cpus)
        self._setup = setup
        self._source = await open_source(setup.requests)
        loop = type(asyncio.get_running_loop()).__module__.partition(".")[0]
        _tell(Ready(self._source.described, loop))

    async def _load(self, load: Load) -> None:
        assert self._source is not None
        assert self._setup is not None

        def begin(driver: Driver) -> None:
            self._driver = driver
            if self._stopped:
                asyncio.get_running_loop().call_soon(driver.stop)

        def second(at: int, found: Second) -> None:
            _tell(
                Progress(
                    at=at,
                    due=found.due,
                    answers=found.answers,
                    failed=found.failed,
                    open=found.open,
                )
            )

        # a garbage collection would pause everything for milliseconds
        gc.collect()
        gc.disable()
        try:
            run = await load_once(
                self._source, self._setup.requests, load, on_driver=begin, on_second=second
            )
        finally:
            gc.enable()
            self._driver = None
        _tell(Done(run))


def main() -> None:
    """Execute the commands of standard input."""
    # a terminal sends Ctrl-C to all processes; the parent decides what it means
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with contextlib.suppress(BrokenPipeError), asyncio.Runner(loop_factory=new_event_loop) as run:
        run.get_loop().set_exception_handler(_fail)
        run.run(_Child().run())


def _fail(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Exit at once: the results of a load with a silent failure would mislead."""
    loop.default_exception_handler(context)
    if context.get("exception") is not None:
        os._exit(os.EX_SOFTWARE)


def _tell(reply: Reply) -> None:
    sys.stdout.buffer.write(line_of(reply))
    sys.stdout.buffer.flush()


def _fault(error: CoresplitError) -> Fault:
    kind: FaultKind = "environment"
    if isinstance(error, TableError | UsageError):
        kind = "table" if isinstance(error, TableError) else "usage"
    return Fault(kind=kind, what=error.what, remedy=error.template, option=error.option)


if __name__ == "__main__":
    main()
