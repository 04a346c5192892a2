"""The parent's side of an instance."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack, closing, suppress
from multiprocessing.connection import wait
from pathlib import Path

import msgspec

import coresplit
from coresplit.errors import InstanceDied, InstanceError, InstanceTimeout
from coresplit.instance.channel import Channel
from coresplit.instance.failures import death_of, error_of
from coresplit.instance.interrupt import GRACE_S, Interrupt
from coresplit.instance.messages import (
    Command,
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
from coresplit.instance.transport import Arena
from coresplit.machine.environment import instance_environment
from coresplit.machine.scheduling import step_back

# created once: for a union of types this takes twenty times as long as decoding one message
_REPLIES = msgspec.json.Decoder(Reply)


class Process:
    """A pinned child process. It starts at once and prepares while the caller continues.

    Start it from the main thread: the kernel kills it when the thread that started it ends. An
    instance that serves gets the arena of the server; raises ValueError if its size is not that of
    the spec, and OSError if no process can be started. ``on_ready`` gets the settings read back.

    Calls raise an ``InstanceError``: InstanceDied with the child's last output, InstanceTimeout
    (the child is then killed), or the error inside the child.
    """

    def __init__(
        self,
        spec: InstanceSpec,
        arena: Arena | None = None,
        on_ready: Callable[[Ready], None] = lambda ready: None,
    ) -> None:
        if (spec.serve and spec.serve.arena_size) != (arena and arena.size):
            raise ValueError("an instance that serves needs an arena of the size in its spec")
        self.spec = spec
        self._on_ready = on_ready
        self._ready: Ready | None = None
        self._paused_at: float | None = None
        self._paused_s = 0.0
        shared = [] if arena is None else [arena.fd]
        with ExitStack() as held:
            self._words = held.enter_context(tempfile.TemporaryFile())
            self._channel = held.enter_context(closing(Channel()))
            with self._channel.hand_over() as theirs:
                self._process = subprocess.Popen(
                    [
                        *(sys.executable, "-P", "-m", "coresplit.instance.child.main"),
                        *map(str, [theirs.fileno(), os.getpid(), *shared]),
                    ],
                    env=_environment(spec),
                    stdin=subprocess.DEVNULL,
                    stdout=self._words,
                    stderr=self._words,
                    pass_fds=[theirs.fileno(), *shared],
                    # a terminal's Ctrl-C only reaches the parent, which decides what to finish; in
                    # its own session, the kernel would give it as much time as all other processes
                    # together (sched_autogroup_enabled), even in the background
                    process_group=0,
                )
            if spec.serve and spec.serve.quiet_s:
                # before it can take a core from another process
                step_back(self._process, spec.serve.quiet_s)
            # kept open as long as the process, but closed if it cannot be started
            held.pop_all()
        # if the child is dead already, the next wait reports it
        with suppress(OSError):
            self._channel.send(msgspec.json.encode(spec))

    @property
    def pid(self) -> int:
        """Process id of the child."""
        return self._process.pid

    def wait_ready(
        self, interrupt: Interrupt | None = None, timeout: float = PREPARE_TIMEOUT_S
    ) -> Ready:
        """Block until the model is prepared and the settings read back match the spec.

        Raises ModelFault if the model or its weights are not as requested, or if a library that
        the model needs is missing.
        """
        if self._ready is None:
            try:
                reply = self._receive(timeout, interrupt)
            except InstanceTimeout as error:
                raise not_ready(self.spec) from error
            if not isinstance(reply, Ready):
                raise error_of(self.spec, reply)
            self._ready = self._checked(reply)
        return self._ready

    def answered(self, timeout: float, interrupt: Interrupt | None = None) -> bool:
        """True if ``wait_ready`` would not block; waits up to ``timeout`` seconds for that.

        An interrupt ends the wait early.
        """
        if self._ready is not None:
            return True
        pipe = self.fileno()
        return pipe in wait([pipe, *([interrupt.fileno()] if interrupt else [])], timeout)

    def pause(self) -> None:
        """Stop the process and the compilers it has started, until it is resumed."""
        if self._paused_at is None and self._ready is None:
            self._paused_at = time.monotonic()
            self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Continue a paused process."""
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

        ``warmup`` forwards come first, however long they take, and are not counted; ``seconds``
        starts at their end. All durations are in seconds. After ``timeout``, or ten seconds after
        an interrupt, the process is killed and InstanceTimeout raised. Raises ReadbackMismatch if a
        thread that computed was not alone on a core of the instance.
        """
        self.wait_ready(interrupt)
        self._ask(Forwards(batch=batch, count=count, seconds=seconds, warmup=warmup))
        return self.finish(timeout, interrupt)

    def begin(self, batch: int, start_at: float) -> None:
        """Start one forward at ``start_at`` on the monotonic clock, or at once if that is past."""
        self.wait_ready()
        self._ask(Forwards(batch=batch, count=1, seconds=1.0, start_at=start_at))

    def finish(self, timeout: float, interrupt: Interrupt | None = None) -> Timed:
        """Return the timing of forwards begun; ``timeout`` as for ``time_forward_passes``."""
        reply = self._receive(timeout, interrupt)
        if not isinstance(reply, Timed):
            raise error_of(self.spec, reply)
        check_threads(self.spec, reply.evidence)
        return reply

    def find_peak(self, timeout: float, interrupt: Interrupt | None = None) -> FoundPeak:
        """Measure the peak speed of its cores; ``timeout`` as for ``time_forward_passes``."""
        self.wait_ready(interrupt)
        self._ask(FindPeak())
        reply = self._receive(timeout, interrupt)
        if not isinstance(reply, FoundPeak):
            raise error_of(self.spec, reply)
        return reply

    def fileno(self) -> int:
        """Descriptor for an event loop: readable once ``poll`` has something to return."""
        return self._channel.fileno()

    def send(self, command: Command) -> None:
        """Send a command; replies come in the same order. Waits only while the pipe is full."""
        try:
            self._channel.send(msgspec.json.encode(command))
        except OSError as error:
            raise self._unheard() from error

    def poll(self) -> Reply | None:
        """Return the next complete reply without waiting, or None if there is none.

        Call it until it returns None, since one read may bring several replies. The first is
        Ready, checked as in ``wait_ready``, or a Failure, after which the child ends.
        Raises ReadbackMismatch if its settings do not match the spec.
        """
        try:
            reply = self._next()
        except EOFError as error:
            raise self._unheard() from error
        if isinstance(reply, Ready):
            self._ready = reply = self._checked(reply)
        return reply

    def end(self) -> None:
        """Kill the process without waiting for its end."""
        self._signal(signal.SIGKILL)

    def death(self) -> InstanceDied | None:
        """Return how it ended, None until all its threads have; never waits."""
        with suppress(ChildProcessError):
            if os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT):
                # its children, such as compilers, stay in its group until it is waited for
                self._signal(signal.SIGKILL)
        code = self._process.poll()
        return None if code is None else death_of(self.spec, code, self._words)

    def close(self) -> None:
        """Kill the process at once: it has no state that must be saved."""
        self._kill()
        self._channel.close()
        self._words.close()
        self._ready = None

    def _checked(self, ready: Ready) -> Ready:
        check_readback(self.spec, ready)
        prepare_s = max(0.0, ready.prepare_s - self._paused_s)
        self._on_ready(ready)
        return msgspec.structs.replace(ready, prepare_s=prepare_s)

    def _next(self) -> Reply | None:
        if self._channel.fileno() < 0:
            raise InstanceError(f"{self.spec} is closed")
        try:
            message = self._channel.poll()
            reply: Reply | None = None
            if message is not None:
                reply = _REPLIES.decode(message)
        except (ValueError, msgspec.MsgspecError) as error:
            raise InstanceError(f"{self.spec} sent an invalid reply") from error
        return reply

    def _ask(self, command: Command) -> None:
        try:
            self._channel.send(msgspec.json.encode(command))
        except OSError as error:
            raise self._died() from error

    def _unheard(self) -> InstanceDied:
        return InstanceDied(f"{self.spec} has closed its pipe")

    def _receive(self, timeout: float, interrupt: Interrupt | None) -> Reply:
        end = time.monotonic() + timeout
        try:
            while (reply := self._next()) is None:
                if not self._answered(max(0.0, end - time.monotonic()), interrupt):
                    self._kill()
                    raise InstanceTimeout(f"{self.spec} did not answer in time and was ended")
        except EOFError as error:
            raise self._died() from error
        return reply

    def _answered(self, timeout: float, interrupt: Interrupt | None) -> bool:
        end = time.monotonic() + timeout
        if interrupt is not None:
            if not interrupt.requested:
                wait([self.fileno(), interrupt.fileno()], timeout)
            if interrupt.requested_at is not None:
                end = min(end, interrupt.requested_at + GRACE_S)
        return bool(wait([self.fileno()], max(0.0, end - time.monotonic())))

    def _died(self) -> InstanceDied:
        try:
            code = self._process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self._kill()
            code = self._process.returncode
        return death_of(self.spec, code, self._words)

    def _kill(self) -> None:
        self._signal(signal.SIGKILL)
        self._process.wait()

    def _signal(self, number: signal.Signals) -> None:
        """Send a signal to the child and its children, which form their own process group."""
        if self._process.returncode is None:
            with suppress(ProcessLookupError):
                os.killpg(self.pid, number)


def _environment(spec: InstanceSpec) -> dict[str, str]:
    kept = instance_environment(os.environ, spec.cpus, spec.allocator)
    root = str(Path(coresplit.__file__).parents[1])
    paths = os.pathsep.join([root, *filter(None, [kept.get("PYTHONPATH")])])
    return {**kept, "PYTHONPATH": paths, "PYTHONFAULTHANDLER": "1"}
