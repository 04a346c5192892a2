"""A supported fake of an instance that serves: real time and real bytes, but no model."""

import itertools
import math
import os
import re
import select
import socket
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Literal

import msgspec

from coresplit.errors import InstanceDied, InstanceTimeout
from coresplit.instance.channel import Channel, End
from coresplit.instance.failures import error_of
from coresplit.instance.interrupt import Interrupt
from coresplit.instance.messages import (
    Command,
    Failure,
    Infer,
    Inferred,
    InstanceSpec,
    Ready,
    Reply,
    Rows,
    Text,
)
from coresplit.instance.protocol import PREPARE_TIMEOUT_S
from coresplit.instance.transport import Arena
from coresplit.records import ModelInput, ModelOutput

Fault = Literal["die", "hang", "fail"]

# above any process id of Linux, so that a signal to a fake reaches no process
_PIDS = itertools.count(2**22 + 1)


def row_bytes(tensor: ModelInput | ModelOutput) -> int:
    """Return the bytes of one row of a tensor."""
    bits = 8 if tensor.dtype == "bool" else int(re.sub(r"\D", "", tensor.dtype))
    return math.prod(tensor.shape) * bits // 8


def fake_output(row: bytes, index: int, size: int) -> bytes:
    """Return output ``index`` of ``size`` bytes for a row of the first input.

    Each byte of the row is combined with the index by xor, so the first output is the row itself.
    The result is cut to ``size`` or padded with zeros.
    """
    return bytes(byte ^ index for byte in row[:size]).ljust(size, b"\0")


class FakeServing:
    """Answers a server like ``Process``, from a thread that sleeps instead of computing.

    A command for ``n`` rows takes ``latency(n)`` seconds of real time. Outputs come from
    ``fake_output``, so that mixed-up rows are noticed. ``fault`` is called with each row of the
    first input when its command begins: after ``die`` or ``hang`` the command is never answered,
    after ``fail`` the answer is a Failure. After ``prepare_s`` seconds it is ready, or answers
    ``unready`` if that is given. ``seen`` lists the commands in the order they began.
    """

    def __init__(
        self,
        spec: InstanceSpec,
        arena: Arena,
        latency: Callable[[int], float] = lambda batch: 0.001,
        *,
        inputs: Sequence[ModelInput] = (ModelInput(name="x", shape=(4,)),),
        outputs: Sequence[ModelOutput] = (ModelOutput(name="output", shape=(4,)),),
        prepare_s: float = 0.0,
        unready: Failure | None = None,
        fault: Callable[[bytes], Fault | None] = lambda row: None,
    ) -> None:
        self.spec = spec
        self.pid = next(_PIDS)
        self.seen: list[Infer] = []
        self._arena = arena
        self._latency = latency
        self._inputs = tuple(inputs)
        self._outputs = tuple(outputs)
        self._prepare_s = prepare_s
        self._unready = unready
        self._fault = fault
        self._ended = threading.Event()
        self._hung = threading.Event()
        self._ready: Ready | None = None
        self._closed = False
        self._channel = Channel()
        self._theirs = self._channel.hand_over()
        self._thread = threading.Thread(target=self._run, name="fake instance", daemon=True)
        self._thread.start()

    def wait_ready(
        self, interrupt: Interrupt | None = None, timeout: float = PREPARE_TIMEOUT_S
    ) -> Ready:
        """Block until it is ready; the same answer at every call."""
        end = time.monotonic() + timeout
        while self._ready is None:
            reply = self.poll()
            if reply is not None and not isinstance(reply, Ready):
                raise error_of(self.spec, reply)
            left = end - time.monotonic()
            if reply is None and not select.select([self], [], [], max(0.0, left))[0]:
                raise InstanceTimeout(f"{self.spec} was not ready in time and was ended")
        return self._ready

    def fileno(self) -> int:
        """Descriptor that is readable once ``poll`` has something to return."""
        return self._channel.fileno()

    def send(self, command: Command) -> None:
        """Send a command; replies come in the same order. Raises InstanceDied."""
        try:
            self._channel.send(msgspec.json.encode(command))
        except OSError as error:
            raise self._death() from error

    def poll(self) -> Reply | None:
        """Return the next reply, None if there is none yet; raises InstanceDied."""
        try:
            message = self._channel.poll()
        except (EOFError, OSError) as error:
            raise self._death() from error
        if message is None:
            return None
        reply: Reply = msgspec.json.decode(message, type=Reply)
        if isinstance(reply, Ready):
            self._ready = reply
        return reply

    def die(self) -> None:
        """End as if killed, even while computing."""
        self._cut()
        self._thread.join()

    def hang(self) -> None:
        """Answer nothing from now on, including the command in progress."""
        self._hung.set()

    def end(self) -> None:
        """End as if killed, without waiting for the thread."""
        self._cut()

    def death(self) -> InstanceDied | None:
        """Return how it ended, None while its thread may still write; never waits."""
        return None if self._thread.is_alive() else self._death()

    def close(self) -> None:
        """End it; does nothing if it has ended already."""
        if not self._closed:
            self.die()
            self._closed = True
            self._channel.close()

    def _death(self) -> InstanceDied:
        return InstanceDied(f"{self.spec} was ended by a test")

    def _cut(self) -> None:
        self._ended.set()
        # raised if it is cut already
        with suppress(OSError):
            self._theirs.shutdown(socket.SHUT_RDWR)

    def _run(self) -> None:
        # the other side may be cut at any moment
        with End(os.dup(self._theirs.fileno())) as pipe, suppress(EOFError, OSError):
            if not self._sleep(self._prepare_s):
                return
            pipe.send(msgspec.json.encode(self._unready or self._readiness()))
            while self._unready is None:
                reply = self._answer(msgspec.json.decode(pipe.receive(), type=Infer))
                if reply is None:
                    break
                pipe.send(msgspec.json.encode(reply))
        self._cut()

    def _sleep(self, seconds: float) -> bool:
        """Sleep; True if it still lives and answers. A hung one sleeps until its end."""
        if self._ended.wait(seconds):
            return False
        return not (self._hung.is_set() and self._ended.wait())

    def _answer(self, command: Infer) -> Reply | None:
        """Return the reply, or None if it died or hung until its end."""
        started_at = time.perf_counter()
        self.seen.append(command)
        try:
            rows, refused = self._read(command)
            fault = next(filter(None, map(self._fault, itertools.chain(*rows))), None)
            if fault == "die":
                return None
            if fault == "hang":
                self.hang()
            batch = sum(map(len, rows))
            begin = time.perf_counter()
            if batch and not self._sleep(self._latency(batch)):
                return None
            compute_s = time.perf_counter() - begin
            if fault == "fail":
                return Failure(kind="forward", message="a test had it fail")
            for each, found in zip(command.rows, rows, strict=True):
                self._write(each, found)
        except ValueError as error:
            return Failure(kind="forward", message=f"ValueError: {error}")
        return Inferred(
            compute_s=compute_s,
            started_at=started_at,
            ended_at=time.perf_counter(),
            refused=refused,
        )

    def _read(self, command: Infer) -> tuple[list[list[bytes]], tuple[str, ...]]:
        """Return the rows of the first input by request, none for a wrong text, and the errors."""
        from coresplit.instance.child.texts import WrongText  # noqa: PLC0415 (imports numpy)

        rows: list[list[bytes]] = []
        refused = []
        for each in command.rows:
            pairs = zip(each.inputs, self._inputs, strict=True)
            try:
                # texts of the other inputs may be wrong too
                data, *_ = [self._bytes(given, wanted, each.count) for given, wanted in pairs]
            except WrongText as error:
                rows.append([])
                refused.append(str(error))
                continue
            size = len(data) // each.count
            rows.append([data[row * size : (row + 1) * size] for row in range(each.count)])
            refused.append("")
        return rows, tuple(refused)

    def _bytes(self, given: int | Text, wanted: ModelInput, count: int) -> bytes:
        if isinstance(given, int):
            return bytes(self._arena.view(given, count * row_bytes(wanted)))
        from coresplit.instance.child.texts import rows_in, tensor_in  # noqa: PLC0415 (numpy)

        last = given.skip + count
        view = self._arena.view(given.offset, given.size)
        if given.rows is None:
            return tensor_in(view, wanted, None, last)[given.skip : last].tobytes()
        return rows_in(view, wanted, given.rows, given.skip, last).tobytes()

    def _write(self, rows: Rows, found: Sequence[bytes]) -> None:
        for index, (offset, output) in enumerate(zip(rows.outputs, self._outputs, strict=True)):
            size = row_bytes(output)
            data = b"".join(fake_output(row, index, size) for row in found)
            self._arena.view(offset, len(data))[:] = data

    def _readiness(self) -> Ready:
        return Ready(
            threads=self.spec.threads,
            interop_threads=1,
            cpus=self.spec.cpus,
            allocator=self.spec.allocator,
            start_s=0.0,
            prepare_s=self._prepare_s,
            error=0.0,
            largest_tensor=0,
            flops=0,
            inputs=self._inputs,
            outputs=self._outputs,
            parameters=0,
            weights="fake",
            memory=100_000_000,
        )
