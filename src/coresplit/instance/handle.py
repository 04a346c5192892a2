"""The parent's side of an instance."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from multiprocessing import Pipe
from multiprocessing.connection import wait
from pathlib import Path
from typing import Protocol

import msgspec

import coresplit
from coresplit.errors import (
    CoresplitError,
    InstanceDied,
    InstanceError,
    InstanceMemory,
    InstanceTimeout,
    PrepareFailed,
    ReadbackMismatch,
    UsageError,
)
from coresplit.instance.interrupt import GRACE_S, Interrupt
from coresplit.instance.messages import (
    Failure,
    Forwards,
    InstanceSpec,
    Ready,
    Reply,
    Timed,
)
from coresplit.machine.placement import thread_environment
from coresplit.records import Evidence

PREPARE_TIMEOUT_S = 300.0
FAILURES: dict[str, type[InstanceError]] = {
    "prepare": PrepareFailed,
    "memory": InstanceMemory,
    "forward": InstanceError,
}
_OWN_VARIABLES = ("OMP_", "KMP_", "GOMP_", "MKL_", "OPENBLAS_NUM_THREADS")


class Instance(Protocol):
    """What a sweep needs of an instance; ``Process`` is the real one."""

    spec: InstanceSpec

    def wait_ready(self, interrupt: Interrupt | None = None) -> Ready:
        """Block until the model is prepared; the same answer at every call."""

    def forwards(
        self,
        batch: int,
        count: int,
        seconds: float,
        timeout: float,
        interrupt: Interrupt | None = None,
    ) -> Timed:
        """Time up to ``count`` forwards, starting none after ``seconds``."""

    def close(self) -> None:
        """End it; harmless when it has ended already."""


class Process:
    """A pinned child process. It is started at once and prepares while the caller goes on.

    Every call raises an ``InstanceError``: InstanceDied with the child's last words,
    InstanceTimeout (the child is then ended), or what went wrong inside it.
    """

    def __init__(self, spec: InstanceSpec) -> None:
        self.spec = spec
        self._ready: Ready | None = None
        self._words = tempfile.TemporaryFile()  # noqa: SIM115 (lives as long as the process)
        self._pipe, theirs = Pipe()
        with theirs:
            self._process = subprocess.Popen(
                [
                    *(sys.executable, "-P", "-m", "coresplit.instance.child"),
                    *(str(theirs.fileno()), str(os.getpid())),
                ],
                env=_environment(spec),
                stdin=subprocess.DEVNULL,
                stdout=self._words,
                stderr=self._words,
                pass_fds=[theirs.fileno()],
                # a terminal's Ctrl-C goes to the parent alone, which decides what is finished
                start_new_session=True,
            )
        self._send(msgspec.json.encode(spec))

    @property
    def pid(self) -> int:
        """Process id of the child."""
        return self._process.pid

    def wait_ready(self, interrupt: Interrupt | None = None) -> Ready:
        """Block until the model is prepared and the settings read back are as asked.

        Raises UsageError where the model or its weights cannot be what was asked for.
        """
        if self._ready is None:
            reply = self._receive(PREPARE_TIMEOUT_S, interrupt)
            if not isinstance(reply, Ready):
                raise self._unexpected(reply)
            _check_readback(self.spec, reply)
            self._ready = reply
        return self._ready

    def forwards(
        self,
        batch: int,
        count: int,
        seconds: float,
        timeout: float,
        interrupt: Interrupt | None = None,
    ) -> Timed:
        """Time up to ``count`` forwards of ``batch``, starting none after ``seconds``.

        All durations are in seconds. At ``timeout``, or ten seconds after an interrupt, the
        process is ended and InstanceTimeout raised. ReadbackMismatch is raised where a thread
        that computed was not alone on a core of the instance.
        """
        self.wait_ready(interrupt)
        command = Forwards(batch=batch, count=count, seconds=seconds)
        self._send(msgspec.json.encode(command))
        reply = self._receive(timeout, interrupt)
        if not isinstance(reply, Timed):
            raise self._unexpected(reply)
        _check_threads(self.spec, reply.evidence)
        return reply

    def close(self) -> None:
        """End the process at once: it holds nothing that is not held elsewhere."""
        self._kill()
        self._pipe.close()
        self._words.close()

    def _send(self, message: bytes) -> None:
        try:
            self._pipe.send_bytes(message)
        except OSError as error:
            raise self._died() from error

    def _receive(self, timeout: float, interrupt: Interrupt | None) -> Reply:
        if not self._answered(timeout, interrupt):
            self._kill()
            raise InstanceTimeout(f"{self.spec} did not answer in time and was ended")
        try:
            message = self._pipe.recv_bytes()
        except (EOFError, ConnectionResetError) as error:
            raise self._died() from error
        reply: Reply = msgspec.json.decode(message, type=Reply)
        return reply

    def _answered(self, timeout: float, interrupt: Interrupt | None) -> bool:
        end = time.monotonic() + timeout
        if interrupt is not None:
            if not interrupt.requested:
                wait([self._pipe, interrupt.fileno()], timeout)
            if interrupt.requested_at is not None:
                end = min(end, interrupt.requested_at + GRACE_S)
        return bool(wait([self._pipe], max(0.0, end - time.monotonic())))

    def _unexpected(self, reply: Reply) -> CoresplitError:
        if isinstance(reply, Failure) and reply.kind == "model":
            return UsageError(reply.message)
        if isinstance(reply, Failure):
            return FAILURES[reply.kind](f"{self.spec}: {reply.message}")
        return InstanceError(f"{self.spec} answered with {type(reply).__name__}")

    def _died(self) -> InstanceDied:
        try:
            code = self._process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self._kill()
            code = self._process.returncode
        how = f"ended with exit code {code}"
        if code < 0:
            how = f"was ended by {signal.Signals(-code).name}"
            if -code == signal.SIGKILL:
                how += " (the kernel does so when memory runs out)"
        words = self._last_words()
        return InstanceDied(f"{self.spec} {how}" + (f": {words}" if words else ""))

    def _last_words(self) -> str:
        self._words.seek(0, os.SEEK_END)
        self._words.seek(max(0, self._words.tell() - 4096))
        lines = self._words.read().decode(errors="replace").strip().splitlines()
        return lines[-1].strip() if lines else ""

    def _kill(self) -> None:
        self._process.kill()
        self._process.wait()


def _environment(spec: InstanceSpec) -> dict[str, str]:
    """The caller's environment with the thread settings replaced by those of the instance."""
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(_OWN_VARIABLES)
    }
    root = str(Path(coresplit.__file__).parents[1])
    paths = [root, *filter(None, [kept.get("PYTHONPATH")])]
    return {
        **kept,
        **thread_environment(spec.cpus),
        "PYTHONPATH": os.pathsep.join(paths),
        "PYTHONFAULTHANDLER": "1",
    }


def _check_readback(spec: InstanceSpec, ready: Ready) -> None:
    pairs = {
        "threads": (spec.threads, ready.threads),
        "cores": (sorted(spec.cpus), sorted(ready.cpus)),
        "allocator": (spec.allocator, ready.allocator),
    }
    for what, (asked, found) in pairs.items():
        if asked != found:
            raise ReadbackMismatch(f"{spec}: asked for {what} {asked}, but it runs with {found}")


def _check_threads(spec: InstanceSpec, evidence: Evidence) -> None:
    cores = evidence.thread_cores
    own = {str(cpu) for cpu in spec.cpus}
    if len(set(cores)) < len(cores) or not own.issuperset(cores):
        raise ReadbackMismatch(
            f"{spec}: its busy threads were allowed on cores {' and '.join(cores)}, "
            f"but each should have one of {', '.join(sorted(own))} to itself"
        )
