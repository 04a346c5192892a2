"""The process behind an instance: ``python -m coresplit.instance.child.main DESCRIPTOR PARENT``.

An instance of a server is given the descriptor of its arena as a third number.
"""

import sys
from typing import TYPE_CHECKING

import msgspec

from coresplit.errors import CoresplitError, EnvironmentFault, StorageError, UsageError
from coresplit.instance.channel import End
from coresplit.instance.child.quiet import Quiet
from coresplit.instance.messages import (
    Command,
    Failure,
    FindPeak,
    Infer,
    InstanceSpec,
    Reply,
)
from coresplit.instance.transport import Arena
from coresplit.machine.counters import die_with_parent
from coresplit.machine.numa import bind_memory
from coresplit.optimizations.libraries import disable_telemetry

if TYPE_CHECKING:
    from coresplit.instance.child.worker import Worker


def main(descriptor: int, parent: int, shared: int | None = None) -> None:
    """Prepare the model that the first message names, then answer commands until told to end.

    ``shared`` is the descriptor of the arena.
    """
    die_with_parent(parent)
    disable_telemetry()
    with End(descriptor) as pipe:
        spec = msgspec.json.decode(pipe.receive(), type=InstanceSpec)
        quiet = Quiet() if spec.serve and spec.serve.quiet_s else None
        if spec.nodes:
            bind_memory(spec.nodes)
        arena = None
        if spec.serve is not None and shared is not None:
            arena = Arena.attach(shared, spec.serve.arena_size)
        _serve(pipe, spec, arena, quiet)


def _serve(pipe: End, spec: InstanceSpec, arena: Arena | None, quiet: Quiet | None) -> None:
    from coresplit.instance.child.worker import Worker  # noqa: PLC0415 (imports torch)

    try:
        worker = Worker(spec, arena)
        ready = worker.ready if quiet is None else quiet.ended(worker.ready)
    except (UsageError, EnvironmentFault, StorageError) as error:
        failure = Failure(
            kind="model", message=error.what, remedy=error.template, option=error.option
        )
        _send(pipe, failure)
        return
    except Exception as error:
        _send(pipe, Failure(kind="prepare", message=_one_line(error)))
        return
    _send(pipe, ready)
    commands = msgspec.json.Decoder(Command)
    while True:
        try:
            command: Command = commands.decode(pipe.receive())
        except EOFError:
            return
        _send(pipe, _answer(worker, command))


def _answer(worker: "Worker", command: Command) -> Reply:
    try:
        if isinstance(command, Infer):
            return worker.infer(command)
        return worker.find_peak() if isinstance(command, FindPeak) else worker.time(command)
    except Exception as error:
        message = _one_line(error)
        lacking = isinstance(error, MemoryError) or "not enough memory" in message
        return Failure(kind="memory" if lacking else "forward", message=message)


def _send(pipe: End, reply: Reply) -> None:
    pipe.send(msgspec.json.encode(reply))


def _one_line(error: Exception) -> str:
    text = " ".join(str(error).split())[:500]
    return text if isinstance(error, CoresplitError) else f"{type(error).__name__}: {text}"


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
