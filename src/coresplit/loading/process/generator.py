"""The process that loads a server, seen from its parent."""

import contextlib
import os
import select
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import coresplit
from coresplit.errors import EnvironmentFault, TableError, UsageError
from coresplit.loading.asked import Load, Requests
from coresplit.loading.process.messages import (
    Begin,
    Command,
    Done,
    Fault,
    Progress,
    Ready,
    Reply,
    Setup,
    Stop,
    line_of,
    reply_of,
)
from coresplit.records.load import LoadRun

_LOOK_S = 0.1
_START_S = 60.0
_STOP_S = 30.0
_READ = 1 << 20
_FAULTS = {"usage": UsageError, "table": TableError, "environment": EnvironmentFault}


class Generator:
    """A separate process that sends the requests; close it when done.

    ``stopping`` returns True once the user wants it to end.
    """

    def __init__(
        self, requests: Requests, cpus: tuple[int, ...], stopping: Callable[[], bool]
    ) -> None:
        self.described = ""
        self._stopping = stopping
        self._lines: list[bytes] = []
        self._rest = b""
        # in its own process group, so that Ctrl-C reaches it only through this process
        self._process = subprocess.Popen(
            [sys.executable, "-m", "coresplit.loading.process.child"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=_environment(),
            process_group=0,
        )
        try:
            self._send(Setup(requests=requests, cpus=cpus))
            reply = self._wait(time.monotonic() + _START_S)
            if isinstance(reply, Fault):
                _raise(reply)
            assert isinstance(reply, Ready)
            self.described = reply.described
        except BaseException:
            self.close()
            raise

    @property
    def pid(self) -> int:
        """The id of the process."""
        return self._process.pid

    def load(self, load: Load, on_progress: Callable[[Progress], None]) -> LoadRun:
        """Load the server once and return the summary; raises what ``load_once`` raises."""
        self._send(Begin(load))
        stop_by = float("inf")
        while True:
            if self._stopping() and stop_by == float("inf"):
                stop_by = time.monotonic() + _STOP_S
                self._send(Stop())
            reply = self._poll()
            if isinstance(reply, Progress):
                on_progress(reply)
            elif isinstance(reply, Done):
                return reply.run
            elif isinstance(reply, Fault):
                _raise(reply)
            elif time.monotonic() > stop_by:
                raise EnvironmentFault("the load process does not end")

    def close(self) -> None:
        """End the process."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        self._process.stdout.close()
        try:
            self._process.wait(2.0)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _send(self, command: Command) -> None:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(line_of(command))
            self._process.stdin.flush()
        except BrokenPipeError:
            self._died()

    def _wait(self, deadline: float) -> Reply:
        while True:
            reply = self._poll()
            if reply is not None:
                return reply
            if self._stopping():
                raise KeyboardInterrupt
            if time.monotonic() > deadline:
                raise EnvironmentFault("the load process does not start")

    def _poll(self) -> Reply | None:
        if not self._lines:
            stream = self._process.stdout
            assert stream is not None
            if not select.select([stream], [], [], _LOOK_S)[0]:
                return None
            data = os.read(stream.fileno(), _READ)
            if not data:
                self._died()
            *self._lines, self._rest = (self._rest + data).split(b"\n")
        return reply_of(self._lines.pop(0)) if self._lines else None

    def _died(self) -> NoReturn:
        code = self._process.wait()
        raise EnvironmentFault(f"the load process ended with code {code}")


def _environment() -> dict[str, str]:
    """Return this process's environment, extended so that the child finds this package."""
    root = str(Path(coresplit.__file__).parents[1])
    paths = [root, *filter(None, [os.environ.get("PYTHONPATH")])]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}


def _raise(fault: Fault) -> NoReturn:
    raise _FAULTS[fault.kind](fault.what, fault.remedy, fault.option)
