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

# made once: for a union of types that takes twenty times as long as to decode one
_REPLIES = msgspec.json.Decoder(Reply)


class Process:
    """A pinned child process. It is started at once and prepares while the caller goes on.

    Start it from the main thread: the kernel ends it with the thread that started it, as it does
    when that is killed. One that serves is given the arena of the server; ValueError is raised
    where that is not the one its spec tells of, and OSError where no process can be started.
    ``on_ready`` hears what was read back.

    Every call raises an ``InstanceError``: InstanceDied with the child's last words,
    InstanceTimeout (the child is then ended), or what went wrong inside it.
    """

    def __init__(
        self,
        spec: InstanceSpec,
        arena: Arena | None = None,
        on_ready: Callable[[Ready], None] = lambda ready: None,
    ) -> None:
        if (spec.serve and spec.serve.arena_size) != (arena and arena.size):
            raise ValueError("an instance that serves needs the arena that its spec tells of")
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
                    # a terminal's Ctrl-C goes to the parent alone, which decides what is finished;
                    # in a session of its own the kernel would give it as much time as all others
                    # have together (sched_autogroup_enabled), also where it has stepped back
                    process_group=0,
                )
            if spec.serve and spec.serve.quiet_s:
                # before it can take a core from anybody
                step_back(self._process, spec.serve.quiet_s)
            # they live as long as the process; where it cannot be started they are closed
            held.pop_all()
        # one that is dead already tells so when it is waited for
        with suppress(OSError):
            self._channel.send(msgspec.json.encode(spec))

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
                raise error_of(self.spec, reply)
            self._ready = self._checked(reply)
        return self._ready

    def answered(self, timeout: float, interrupt: Interrupt | None = None) -> bool:
        """Whether ``wait_ready`` would not block, after at most ``timeout`` seconds.

        An interrupt ends the wait early.
        """
        if self._ready is not None:
            return True
        pipe = self.fileno()
        return pipe in wait([pipe, *([interrupt.fileno()] if interrupt else [])], timeout)

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
        self._ask(Forwards(batch=batch, count=count, seconds=seconds, warmup=warmup))
        return self.finish(timeout, interrupt)

    def begin(self, batch: int, start_at: float) -> None:
        """Have one forward start at ``start_at`` on the monotonic clock, or late, but at once."""
        self.wait_ready()
        self._ask(Forwards(batch=batch, count=1, seconds=1.0, start_at=start_at))

    def finish(self, timeout: float, interrupt: Interrupt | None = None) -> Timed:
        """What the forwards took that were begun; ``timeout`` as for ``time_forward_passes``."""
        reply = self._receive(timeout, interrupt)
        if not isinstance(reply, Timed):
            raise error_of(self.spec, reply)
        check_threads(self.spec, reply.evidence)
        return reply

    def find_peak(self, timeout: float, interrupt: Interrupt | None = None) -> FoundPeak:
        """Measure what its cores can do at most; ``timeout`` as for ``time_forward_passes``."""
        self.wait_ready(interrupt)
        self._ask(FindPeak())
        reply = self._receive(timeout, interrupt)
        if not isinstance(reply, FoundPeak):
            raise error_of(self.spec, reply)
        return reply

    def fileno(self) -> int:
        """Descriptor for an event loop: readable once ``poll`` has something to say."""
        return self._channel.fileno()

    def send(self, command: Command) -> None:
        """Send a command; replies come in the same order. Waits only while the pipe is full."""
        try:
            self._channel.send(msgspec.json.encode(command))
        except OSError as error:
            raise self._unheard() from error

    def poll(self) -> Reply | None:
        """The next reply that has arrived whole, without waiting; None where there is none.

        Call it until it returns None, since one read may bring several replies. The first is
        Ready, checked as by ``wait_ready``, or a Failure, after which the child ends.
        ReadbackMismatch is raised where its settings are not as asked.
        """
        try:
            reply = self._next()
        except EOFError as error:
            raise self._unheard() from error
        if isinstance(reply, Ready):
            self._ready = reply = self._checked(reply)
        return reply

    def end(self) -> None:
        """Kill the process without waiting until it is gone."""
        self._signal(signal.SIGKILL)

    def death(self) -> InstanceDied | None:
        """How it ended, once it is gone with all its threads; None until then, without waiting."""
        with suppress(ChildProcessError):
            if os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT):
                # what it had started, such as a compiler, is of its group until it is waited for
                self._signal(signal.SIGKILL)
        code = self._process.poll()
        return None if code is None else death_of(self.spec, code, self._words)

    def close(self) -> None:
        """End the process at once: it holds nothing that is not held elsewhere."""
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
            raise InstanceError(f"{self.spec} answered with what is no reply") from error
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
        """Send a signal to the child and to what it has started, which are a group of their own."""
        if self._process.returncode is None:
            with suppress(ProcessLookupError):
                os.killpg(self.pid, number)


def _environment(spec: InstanceSpec) -> dict[str, str]:
    kept = instance_environment(os.environ, spec.cpus, spec.allocator)
    root = str(Path(coresplit.__file__).parents[1])
    paths = os.pathsep.join([root, *filter(None, [kept.get("PYTHONPATH")])])
    return {**kept, "PYTHONPATH": paths, "PYTHONFAULTHANDLER": "1"}
