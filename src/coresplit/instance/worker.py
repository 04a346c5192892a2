"""One prepared model inside the child, on its cores."""

import os
import time
from collections.abc import Sequence
from pathlib import Path

import torch

from coresplit.errors import PrepareFailed
from coresplit.instance.messages import Forwards, InstanceSpec, Ready, Timed
from coresplit.instance.timing import time_forwards
from coresplit.machine.evidence import peak_memory, trim_memory
from coresplit.models import build, largest_tensor
from coresplit.optimizations import optimization_named
from coresplit.optimizations.equality import MAX_ERROR, relative_error
from coresplit.units import format_share

CHECK_INPUTS = 4
ALLOCATOR_LIBRARIES = ("tcmalloc", "jemalloc", "mimalloc")


class Worker:
    """The prepared model, its inputs, and what was read back after preparing.

    Raises PrepareFailed when the optimized outputs differ from eager ones beyond MAX_ERROR.
    """

    def __init__(self, spec: InstanceSpec) -> None:
        begin = time.monotonic()
        self.spec = spec
        # the weights must not depend on how a sum is split over threads
        torch.set_num_threads(1)
        torch.set_num_interop_threads(1)
        self._model = build(spec.model)
        torch.set_num_threads(spec.threads)
        example = self._model.make_inputs(CHECK_INPUTS, seed=spec.model.seed)
        with torch.inference_mode():
            largest = largest_tensor(self._model.module, example[:1])
            reference = self._model.module(example)
            self.forward = optimization_named(spec.optimization).prepare(
                self._model.module, example
            )
            error = relative_error(reference, self.forward(example))
        if not error <= MAX_ERROR:
            raise PrepareFailed(
                f"outputs differ from eager by {format_share(error)}, "
                f"at most {format_share(MAX_ERROR)} is accepted"
            )
        pin(spec.cpus)
        self.inputs = example
        self.ready = Ready(
            threads=torch.get_num_threads(),
            interop_threads=torch.get_num_interop_threads(),
            cpus=confined_to(),
            allocator=loaded_allocator(),
            start_s=_age() - (time.monotonic() - begin),
            prepare_s=time.monotonic() - begin,
            error=error,
            largest_tensor=largest,
            input_shape=self._model.input_shape,
            parameters=self._model.parameters,
            weights=self._model.weights_hash,
            memory=peak_memory(),
        )

    def time(self, command: Forwards) -> Timed:
        """Time forwards of ``command.batch`` inputs, made now unless they are there already."""
        if self.inputs.shape[0] != command.batch:
            # the old inputs go first, so that both never take memory at once
            self.inputs = self.inputs[:0].clone()
            trim_memory()
            self.inputs = self._model.make_inputs(command.batch, seed=self.spec.model.seed)
        with torch.inference_mode():
            return time_forwards(
                lambda: self.forward(self.inputs), command, self.spec.cpus, self.ready.threads
            )


def pin(cpus: Sequence[int], tasks: Path = Path("/proc/self/task")) -> None:
    """Confine every thread there is to these logical CPUs, and the calling one to the first.

    OpenMP has bound its workers to the other ones already, and their bounds are kept; threads of
    any other kind inherit the first.
    """
    for task in tasks.iterdir():
        thread = int(task.name)
        allowed = os.sched_getaffinity(thread)
        os.sched_setaffinity(thread, allowed & set(cpus) or cpus)
    os.sched_setaffinity(0, cpus[:1])


def confined_to(tasks: Path = Path("/proc/self/task")) -> tuple[int, ...]:
    """Every logical CPU that some thread of this process may run on."""
    allowed: set[int] = set()
    for task in tasks.iterdir():
        allowed |= os.sched_getaffinity(int(task.name))
    return tuple(sorted(allowed))


def loaded_allocator(maps: Path = Path("/proc/self/maps")) -> str:
    """The allocator whose library is mapped into this process; ``default`` is the C library's."""
    mapped = maps.read_text()
    return next((name for name in ALLOCATOR_LIBRARIES if f"lib{name}" in mapped), "default")


def _age() -> float:
    """Seconds since this process was started."""
    fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
    started = int(fields[19]) / os.sysconf("SC_CLK_TCK")
    return time.clock_gettime(time.CLOCK_BOOTTIME) - started
