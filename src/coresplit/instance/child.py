"""The process behind an instance: ``python -m coresplit.instance.child DESCRIPTOR PARENT``."""

import os
import sys
from collections.abc import Callable
from multiprocessing.connection import Connection

import msgspec

from coresplit.errors import CoresplitError, UsageError
from coresplit.instance.messages import Failure, Forwards, InstanceSpec, Reply, Timed
from coresplit.machine.evidence import die_with_parent


def main(descriptor: int, parent: int) -> None:
    """Prepare the model that the first message names, then answer commands until told to end."""
    die_with_parent(parent)
    with Connection(descriptor) as pipe:
        spec = msgspec.json.decode(pipe.recv_bytes(), type=InstanceSpec)
        # the worker confines itself to its own cores once the model is prepared
        os.sched_setaffinity(0, spec.home)
        _serve(pipe, spec)


def _serve(pipe: "Connection[bytes, bytes]", spec: InstanceSpec) -> None:
    from coresplit.instance.worker import Worker  # noqa: PLC0415 (imports torch)

    try:
        worker = Worker(spec)
    except UsageError as error:
        _send(pipe, Failure(kind="model", message=str(error)))
        return
    except Exception as error:
        _send(pipe, Failure(kind="prepare", message=_one_line(error)))
        return
    _send(pipe, worker.ready)
    while True:
        try:
            command = msgspec.json.decode(pipe.recv_bytes(), type=Forwards)
        except EOFError:
            return
        _send(pipe, _answer(worker.time, command))


def _answer(time: Callable[[Forwards], Timed], command: Forwards) -> Reply:
    try:
        return time(command)
    except Exception as error:
        message = _one_line(error)
        lacking = isinstance(error, MemoryError) or "not enough memory" in message
        return Failure(kind="memory" if lacking else "forward", message=message)


def _send(pipe: "Connection[bytes, bytes]", reply: Reply) -> None:
    pipe.send_bytes(msgspec.json.encode(reply))


def _one_line(error: Exception) -> str:
    text = " ".join(str(error).split())[:500]
    return text if isinstance(error, CoresplitError) else f"{type(error).__name__}: {text}"


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
