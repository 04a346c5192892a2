"""The process behind an instance: ``python -m coresplit.instance.child.main DESCRIPTOR PARENT``.

An instance of a server gets the descriptor of its arena as a third number. If the library of its
model does not need PyTorch, the program is started again in the same process once the model is
prepared, so that PyTorch takes no memory; a fourth number is then the descriptor of its state.
"""

import os
import sys
from contextlib import suppress
from pathlib import Path
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
    Ready,
    Reply,
)
from coresplit.instance.transport import Arena
from coresplit.machine.counters import die_with_parent
from coresplit.machine.numa import bind_memory
from coresplit.optimizations.libraries import disable_telemetry

if TYPE_CHECKING:
    from coresplit.instance.child.light import Light
    from coresplit.instance.child.worker import Worker


class Begun(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The state that a process keeps when its program is started again.

    ``started_s`` is its age in seconds when the libraries were imported, ``memory`` its peak memory
    in bytes.
    """

    spec: InstanceSpec
    started_s: float | None = None
    memory: int = 0


def main(descriptor: int, parent: int, shared: int | None = None, known: int | None = None) -> None:
    """Prepare the model named by the first message, then answer commands until the pipe closes.

    ``shared`` is the descriptor of the arena, ``known`` that of the state of a restarted program.
    """
    die_with_parent(parent)
    disable_telemetry()
    with End(descriptor) as pipe:
        if known is None:
            begun = Begun(spec=msgspec.json.decode(pipe.receive(), type=InstanceSpec))
        else:
            with open(known, "rb") as file:  # noqa: PTH123 (a descriptor)
                begun = msgspec.json.decode(file.read(), type=Begun)
        serve = begun.spec.serve
        quiet = Quiet() if serve and serve.quiet_s else None
        if begun.spec.nodes:
            bind_memory(begun.spec.nodes)
        arena = None
        if serve is not None and shared is not None:
            arena = Arena.attach(shared, serve.arena_size)
        _serve(pipe, begun, arena, quiet, first=known is None)


def _start_again(begun: Begun) -> None:
    """Start the program again in this process; returns only if the kernel refuses."""
    known = os.memfd_create("coresplit", 0)
    os.write(known, msgspec.json.encode(begun))
    os.lseek(known, 0, os.SEEK_SET)
    # the original command line, with the three numbers after the options of Python
    words = [*sys.orig_argv[: len(sys.orig_argv) - len(sys.argv) + 4], str(known)]
    with suppress(OSError):
        os.execv(sys.executable, words)
    os.close(known)


def _serve(
    pipe: End, begun: Begun, arena: Arena | None, quiet: Quiet | None, *, first: bool
) -> None:
    try:
        worker = _light(begun, arena) or _whole(begun, arena, first=first)
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


def _light(begun: Begun, arena: Arena | None) -> "Light | None":
    """Load what another instance has prepared; None if there is nothing to load."""
    serve = begun.spec.serve
    if serve is None or not serve.handover.folder or arena is None:
        return None
    from coresplit.instance.child.light import Light  # noqa: PLC0415 (only servers need it)

    try:
        return Light(begun.spec, serve, arena, started_s=begun.started_s, memory=begun.memory)
    except Exception as error:
        print(_one_line(error), file=sys.stderr, flush=True)
    # whatever failed, preparing with PyTorch either avoids it or reports it
    _start_again(msgspec.structs.replace(begun, spec=_from(begun.spec, folder="")))
    return None


def _whole(begun: Begun, arena: Arena | None, *, first: bool) -> "Worker":
    """Prepare the model; an instance that serves may then start again without PyTorch."""
    from coresplit.instance.child.worker import Worker  # noqa: PLC0415 (imports torch)

    def hand_over(folder: Path, ready: Ready) -> None:
        spec = _from(begun.spec, folder=str(folder))
        _start_again(Begun(spec=spec, started_s=ready.start_s, memory=ready.memory))

    # a restarted program does not start again
    return Worker(begun.spec, arena, hand_over if first and arena is not None else None)


def _from(spec: InstanceSpec, folder: str) -> InstanceSpec:
    assert spec.serve is not None
    handover = msgspec.structs.replace(spec.serve.handover, folder=folder)
    serve = msgspec.structs.replace(spec.serve, handover=handover)
    return msgspec.structs.replace(spec, serve=serve)


def _answer(worker: "Worker | Light", command: Command) -> Reply:
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
