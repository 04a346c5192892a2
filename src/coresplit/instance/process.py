"""The parent's side of an instance."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from multiprocessing import Pipe
from multiprocessing.connection import wait
from pathlib import Path

import msgspec

import coresplit
from coresplit.errors import (
    InstanceDied,
    InstanceError,
    InstanceMemory,
    InstanceTimeout,
    ModelFault,
    PrepareFailed,
)
from coresplit.instance.interrupt import GRACE_S, Interrupt
from coresplit.instance.messages import (
    Command,
    Failure,
    FindPeak,
    Forwards,
    FoundPeak,
    InstanceSpec,
    Ready,
    Reply,
    Timed,
)
from coresplit.instance.protocol import PREPARE_TIMEOUT_S, not_ready
from coresplit.instance.readback import check_readback, check_threads
from coresplit.machine.environment import instance_environment

FAILURES: dict[str, type[InstanceError]] = {
    "model": ModelFault,
    "prepare": PrepareFailed,
    "memory": InstanceMemory,
    "forward": InstanceError,
}


class Process:
    """A pinned child process. It is started at once and prepares while the caller goes on.

    Every call raises an ``InstanceError``: InstanceDied with the child's last words,
    InstanceTimeout (the child is then ended), or what went wrong inside it.
    """

    def __init__(self, spec: InstanceSpec) -> None:
        self.spec = spec
        self._ready: Ready | None = None
        self._paused_at: float | None = None
        self._paused_s = 0.0
        self._words = tempfile.TemporaryFile()  # noqa: SIM115 (lives as long as the process)
        self._pipe, theirs = Pipe()
        with theirs:
            self._process = subprocess.Popen(
                [
                    *(sys.executable, "-P", "-m", "coresplit.instance.child.main"),
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
        # one that is dead already tells so when it is waited for
        with suppress(OSError):
            self._pipe.send_bytes(msgspec.json.encode(spec))

    @property
    def pid(self) -> int:
        """Process id of the child."""
        return self._process.pid

    def wait_ready(
        self, interrupt: Interrupt | None = None, timeout: float = PREPARE_TIMEOUT_S
    ) -> Ready:
        """Block until the model is prepared and the settings read back are as asked.

        Raises ModelFault where the model or its weights cannot be what was asked for, or where a
        library for it is missing.
        """
        if self._ready is None:
            try:
                reply = self._receive(timeout, interrupt)
            except InstanceTimeout as error:
                raise not_ready(self.spec) from error
            if not isinstance(reply, Ready):
                raise self._unexpected(reply)
            check_readback(self.spec, reply)
            prepare_s = max(0.0, reply.prepare_s - self._paused_s)
            self._ready = msgspec.structs.replace(reply, prepare_s=prepare_s)
        return self._ready

    def answered(self, timeout: float, interrupt: Interrupt | None = None) -> bool:
        """Whether ``wait_ready`` would not block, after at most ``timeout`` seconds.

        An interrupt ends the wait early.
        """
        if self._ready is not None:
            return True
        return self._pipe in wait(
            [self._pipe, *([interrupt.fileno()] if interrupt else [])], timeout
        )

    def pause(self) -> None:
        """Stop the process, and the compilers it has started, until it is resumed."""
        if self._paused_at is None and self._ready is None:
            self._paused_at = time.monotonic()
            self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Have a paused process go on."""
        if self._paused_at is not None:
            self._signal(signal.SIGCONT)
            self._paused_s += time.monotonic() - self._paused_at
            self._paused_at = None

    def time_forward_passes(
        self,
        batch: int,
        count: int,
        seconds: float,
        timeout: float,
        interrupt: Interrupt | None = None,
        *,
        warmup: int = 0,
    ) -> Timed:
        """Time up to ``count`` forwards of ``batch``, starting none after ``seconds``.

        ``warmup`` forwards come first, whatever they take, and are no data; the seconds count
        from their end. All durations are in seconds. At ``timeout``, or ten seconds after an
        interrupt, the process is ended and InstanceTimeout raised. ReadbackMismatch is raised
        where a thread that computed was not alone on a core of the instance.
        """
        self.wait_ready(interrupt)
        self._tell(Forwards(batch=batch, count=count, seconds=seconds, warmup=warmup))
        return self.finish(timeout, interrupt)

    def begin(self, batch: int, start_at: float) -> None:
        """Have one forward start at ``start_at`` on the monotonic clock, or late, but at once."""
        self.wait_ready()
        self._tell(Forwards(batch=batch, count=1, seconds=1.0, start_at=start_at))

    def finish(self, timeout: float, interrupt: Interrupt | None = None) -> Timed:
        """What the forwards took that were begun; ``timeout`` as for ``time_forward_passes``."""
        reply = self._receive(timeout, interrupt)
        if not isinstance(reply, Timed):
            raise self._unexpected(reply)
        check_threads(self.spec, reply.evidence)
        return reply

    def find_peak(self, timeout: float, interrupt: Interrupt | None = None) -> FoundPeak:
        """Measure what its cores can do at most; ``timeout`` as for ``time_forward_passes``."""
        self.wait_ready(interrupt)
        self._tell(FindPeak())
        reply = self._receive(timeout, interrupt)
        if not isinstance(reply, FoundPeak):
            raise self._unexpected(reply)
        return reply

    def close(self) -> None:
        """End the process at once: it holds nothing that is not held elsewhere."""
        self._kill()
        self._pipe.close()
        self._words.close()
        self._ready = None

    def _tell(self, command: Command) -> None:
        self._send(msgspec.json.encode(command))

    def _send(self, message: bytes) -> None:
        self._require_open()
        try:
            self._pipe.send_bytes(message)
        except OSError as error:
            raise self._died() from error

    def _require_open(self) -> None:
        if self._pipe.closed:
            raise InstanceError(f"{self.spec} is closed")

    def _receive(self, timeout: float, interrupt: Interrupt | None) -> Reply:
        self._require_open()
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

    def _unexpected(self, reply: Reply) -> InstanceError:
        if isinstance(reply, Failure):
            named = FAILURES[reply.kind]
            # what is wrong with the model is so in every instance
            what = reply.message if named is ModelFault else f"{self.spec}: {reply.message}"
            return named(what, reply.remedy, reply.option)
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
        # what follows a crash is a trace of it, which ends in names of modules
        fatal = next((line for line in lines if line.startswith("Fatal Python error")), None)
        return (fatal or lines[-1]).strip() if lines else ""

    def _kill(self) -> None:
        self._signal(signal.SIGKILL)
        self._process.wait()

    def _signal(self, number: signal.Signals) -> None:
        """Send a signal to the child and to what it has started, which are a group of their own."""
        if self._process.returncode is None:
            with suppress(ProcessLookupError):
                os.killpg(self.pid, number)


def _environment(spec: InstanceSpec) -> dict[str, str]:
    kept = instance_environment(os.environ, spec.cpus, spec.allocator)
    root = str(Path(coresplit.__file__).parents[1])
    paths = [root, *filter(None, [kept.get("PYTHONPATH")])]
    return {
        **kept,
        "PYTHONPATH": os.pathsep.join(paths),
        "PYTHONFAULTHANDLER": "1",
    }
