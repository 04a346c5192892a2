"""An instance of a server from a file: another one has prepared and compared its model."""

import os
import time
from collections import deque
from pathlib import Path

import msgspec
import numpy as np

from coresplit.cache import Cache
from coresplit.instance.child.handover import Handover, Opened
from coresplit.instance.child.serving import Server
from coresplit.instance.child.threads import confined_to, settle
from coresplit.instance.child.timing import rest, time_forwards
from coresplit.instance.messages import (
    Forwards,
    FoundPeak,
    Infer,
    Inferred,
    InstanceSpec,
    Serve,
    Timed,
)
from coresplit.instance.transport import Arena
from coresplit.machine.allocators import loaded_allocator, release_memory
from coresplit.machine.counters import process_age
from coresplit.machine.numa import binding_facts, bound_nodes
from coresplit.optimizations.arrays import ArrayModel, Arrays, Bind
from coresplit.optimizations.base import CompiledModel
from coresplit.records import ModelOutput


class Light:
    """The loaded model and the settings read back.

    If this process has prepared the model itself with PyTorch before, ``started_s`` is how many
    seconds it took to start and ``memory`` its peak memory in bytes.

    Raises PrepareFailed if the model is gone or its outputs have changed.
    """

    def __init__(
        self,
        spec: InstanceSpec,
        serve: Serve,
        arena: Arena,
        *,
        started_s: float | None = None,
        memory: int = 0,
    ) -> None:
        started_s = process_age() if started_s is None else started_s
        os.sched_setaffinity(0, spec.home[: spec.threads])
        left = Handover.take(Path(serve.handover.folder), Cache())
        self._cpus, self._example = spec.cpus, left.inputs
        model = left.artifact.load(spec.cpus)
        self._over = over = _over(model, left.ready.outputs)
        forward = over(left.inputs, None)
        if not isinstance(model, ArrayModel):
            # TorchScript is optimized again on its second run
            forward()
        last: deque[Arrays] = deque(maxlen=1)
        took = settle(spec.cpus, lambda: last.append(forward()), time.monotonic)
        left.check(last[0])
        release_memory()
        opened = Opened()
        self._server = Server(
            over,
            arena,
            inputs=left.ready.inputs,
            outputs=left.ready.outputs,
            buffers=_repeated(left.inputs, max(serve.batches)),
            batches=serve.batches,
            known=serve.handover.batches,
        )
        release_memory()
        account = opened.closed(serve, serve.handover.folder)
        self.ready = msgspec.structs.replace(
            left.ready,
            threads=model.threads,
            cpus=confined_to(),
            nodes=bound_nodes(),
            allocator=loaded_allocator(),
            start_s=started_s,
            prepare_s=process_age() - started_s,
            input_s=took / len(left.inputs[0]),
            facts=left.ready.facts | model.facts | binding_facts(spec.nodes),
            memory=max(memory, account.memory),
            resident=account.resident,
            handover=account.handover,
        )

    def infer(self, command: Infer) -> Inferred:
        """Compute rows of requests."""
        return self._server.infer(command)

    def time(self, command: Forwards) -> Timed:
        """Time forwards of ``command.batch`` inputs."""
        forward = self._over(_repeated(self._example, command.batch), None)
        timed = time_forwards(forward, command, self._cpus, self.ready.threads)
        rest()
        return timed

    def find_peak(self) -> FoundPeak:
        """Raise ValueError: that is for instances which measure."""
        raise ValueError("an instance that loads its model from a file cannot measure the peak")


def _over(model: CompiledModel, outputs: tuple[ModelOutput, ...]) -> Bind:
    if isinstance(model, ArrayModel):
        return model.over
    from coresplit.instance.child.tensors import over_arrays  # noqa: PLC0415 (imports torch)

    return over_arrays(model, outputs)


def _repeated(example: Arrays, batch: int) -> Arrays:
    """Repeat the rows of the example up to ``batch`` rows."""
    return tuple(np.resize(each, (batch, *each.shape[1:])) for each in example)
