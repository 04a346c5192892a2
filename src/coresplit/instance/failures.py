"""Turn a failed child into a typed error with the child's last output."""

import os
import signal
from typing import IO

from coresplit.errors import InstanceDied, InstanceError, InstanceMemory, ModelFault, PrepareFailed
from coresplit.instance.messages import Failure, InstanceSpec, Reply

_FAILURES: dict[str, type[InstanceError]] = {
    "model": ModelFault,
    "prepare": PrepareFailed,
    "memory": InstanceMemory,
    "forward": InstanceError,
}
_LAST_BYTES = 4096


def error_of(spec: InstanceSpec, reply: Reply) -> InstanceError:
    """Return the error for a failure, or for a reply of an unexpected type."""
    if isinstance(reply, Failure):
        named = _FAILURES[reply.kind]
        # a fault of the model is the same in every instance
        what = reply.message if named is ModelFault else f"{spec}: {reply.message}"
        return named(what, reply.remedy, reply.option)
    return InstanceError(f"{spec} answered with {type(reply).__name__}")


def death_of(spec: InstanceSpec, code: int, words: IO[bytes]) -> InstanceDied:
    """Return the error for a dead process, from ``subprocess``'s exit code and its last output."""
    how = f"ended with exit code {code}"
    if code < 0:
        # real-time signals have no names
        named = {each.value: each.name for each in signal.Signals}
        how = f"was ended by {named.get(-code, f'signal {-code}')}"
        if -code == signal.SIGKILL:
            how += " (the kernel does so when memory runs out)"
    last = _last_words(words)
    return InstanceDied(f"{spec} {how}" + (f": {last}" if last else ""))


def _last_words(words: IO[bytes]) -> str:
    words.seek(0, os.SEEK_END)
    words.seek(max(0, words.tell() - _LAST_BYTES))
    lines = words.read().decode(errors="replace").strip().splitlines()
    # a crash is followed by its traceback, which ends in names of modules
    fatal = next((line for line in lines if line.startswith("Fatal Python error")), None)
    return (fatal or lines[-1]).strip() if lines else ""
