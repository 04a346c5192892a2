"""One prepared model inside the child, on its cores."""

import gc
import math
import os
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import msgspec
import torch
from torch import Tensor

from coresplit.cache import Cache
from coresplit.errors import EnvironmentFault, PrepareFailed, StorageError, UsageError
from coresplit.format import format_share
from coresplit.instance.child import peak
from coresplit.instance.child.handover import Account, Handover, Opened
from coresplit.instance.child.serving import Server
from coresplit.instance.child.tensors import described, over_arrays
from coresplit.instance.child.threads import confined_to, settle
from coresplit.instance.child.timing import rest, time_forwards
from coresplit.instance.child.turns import in_turns, inputs_wanted
from coresplit.instance.child.weights import map_weights
from coresplit.instance.messages import (
    Forwards,
    FoundPeak,
    Infer,
    Inferred,
    InstanceSpec,
    Ready,
    Timed,
)
from coresplit.instance.transport import Arena
from coresplit.machine.allocators import loaded_allocator, release_memory
from coresplit.machine.counters import peak_memory, process_age
from coresplit.machine.numa import binding_facts, bound_nodes
from coresplit.machine.topology import last_level_cache
from coresplit.models import Survey, build, survey, survey_onnx, tensors_hash
from coresplit.models.input_spec import DTYPES
from coresplit.optimizations import (
    CONSTANT,
    MAX_ERROR,
    Comparison,
    PrepareRequest,
    compare,
    measure_accuracy_drop,
    optimization_named,
    reference,
)
from coresplit.optimizations.arrays import ArrayModel
from coresplit.optimizations.base import Artifact
from coresplit.records import UNCHECKED

CHECK_INPUTS = 4
REST_S = 0.02

Tensors = tuple[Tensor, ...]
Forward = Callable[[], Tensors]


class Worker:
    """The prepared model, its inputs, and the settings read back after preparing.

    An instance of a server also has an ``arena``, and has run every batch that it serves and no
    other instance has run. Before that, ``hand_over`` gets the folder from which its model loads
    without PyTorch, if it can.

    Raises UsageError, EnvironmentFault or StorageError if the model itself cannot be used, and
    PrepareFailed if the optimization cannot, for example because its outputs differ from eager ones
    by more than MAX_ERROR although it is not lossy.
    """

    def __init__(
        self,
        spec: InstanceSpec,
        arena: Arena | None = None,
        hand_over: Callable[[Path, Ready], None] | None = None,
    ) -> None:
        begin = time.monotonic()
        self.spec = spec
        self._server: Server | None = None
        self._input_s = 0.0
        self._folder = ""
        self._account = Account()
        # OpenMP bound this thread to one core when it was loaded; another library would take that
        # core for the only one
        os.sched_setaffinity(0, spec.home[: spec.threads])
        # the weights and their hash must not depend on how sums are split over threads
        torch.set_num_threads(1)
        torch.set_num_interop_threads(1)
        self._model = build(spec.model, Cache().get)
        example = self._model.make_inputs(CHECK_INPUTS, seed=spec.model.seed)
        eager = reference(self._subject("", spec.cpus[:1]))
        expected = eager.bind(example)()
        self._outputs = described(self._model.outputs, expected)
        seen = self._survey(example)
        torch.set_num_threads(spec.threads)
        # the model's code may change while its weights do not
        computed = tensors_hash({str(n): each for n, each in enumerate(expected)})
        identity = f"{self._model.weights_hash} {computed}"
        request = self._subject(identity, spec.cpus)
        optimization = optimization_named(spec.optimization)
        self._compiles = optimization.makes == "compiled"
        # the comparison used one input, so rotating inputs have not been made for any batch yet
        self._batch = CHECK_INPUTS if spec.inputs == "hot" else None
        with _of_the_optimization():
            self._prepared = optimization.prepare(request)
            self.forward = self._prepared.bind(example)
            outputs = self.forward()
            comparison = compare(expected, outputs)
            if optimization.lossy:
                comparison = measure_accuracy_drop(
                    request, self._prepared, eager, spec.model.seed, name=spec.optimization
                )
        _accept(comparison, lossy=optimization.lossy)
        if optimization.name == "none" and comparison.unchecked == CONSTANT:
            # eager is the reference for all others, so there is nothing to check
            comparison = msgspec.structs.replace(comparison, unchecked="")
        del eager, request
        if spec.serve is not None:
            sendable = all(each.dtype in DTYPES for each in self._outputs)
            # of types that numpy lacks, another instance could not compare the outputs
            if hand_over is not None and sendable and self._prepared.artifact is not None:
                ready = self._read_back(begin, comparison, seen, lossy=optimization.lossy)
                artifact = self._prepared.artifact
                self._folder = self._left(artifact, ready, example, outputs, identity)
                if self._folder and isinstance(self._prepared, ArrayModel):
                    hand_over(Path(self._folder), ready)
            self._let_go(identity)
        self._input_s = settle(spec.cpus, self.forward, time.monotonic) / CHECK_INPUTS
        self._server = self._serving(spec, arena)
        self.ready = self._read_back(begin, comparison, seen, lossy=optimization.lossy)

    def time(self, command: Forwards) -> Timed:
        """Time forwards of ``command.batch`` inputs, which are made first if they do not exist."""
        if self._batch != command.batch:
            # free the old inputs first, so that both never take memory at once
            del self.forward
            release_memory()
            self.forward = self._bound(command.batch)
            self._batch = command.batch
            # the threads that made the inputs keep spinning for some milliseconds
            time.sleep(REST_S)
        timed = time_forwards(self.forward, command, self.spec.cpus, self.ready.threads)
        rest()
        return timed

    def infer(self, command: Infer) -> Inferred:
        """Compute rows of requests; raises ValueError if this instance does not serve."""
        if self._server is None:
            raise ValueError("this instance does not serve")
        return self._server.infer(command)

    def _let_go(self, identity: str) -> None:
        """Keep only what the prepared model needs, shared with other instances."""
        if self._model.module is not None:
            held = weakref.ref(self._model.module)
            self._model = msgspec.structs.replace(self._model, module=None)
            gc.collect()
            kept = held()
            if kept is not None:
                # without a cache, each instance keeps its own weights
                with suppress(StorageError, EnvironmentFault):
                    key = {"model": identity, "optimization": self.spec.optimization}
                    map_weights(kept, key, Cache())
        release_memory()

    def _left(
        self, artifact: Artifact, ready: Ready, example: Tensors, outputs: Tensors, identity: str
    ) -> str:
        """Store the prepared model for others; return its folder, empty if there is no cache."""
        left = Handover(
            artifact=artifact,
            files=tuple(map(str, self._model.files)),
            ready=ready,
            inputs=tuple(each.numpy() for each in example),
            outputs=tuple(each.resolve_conj().resolve_neg().numpy() for each in outputs),
        )
        key = {"model": identity, "library": ready.facts["library"]}
        with suppress(StorageError, EnvironmentFault):
            return str(left.keep({**key, "optimization": self.spec.optimization}, Cache()))
        return ""

    def _serving(self, spec: InstanceSpec, arena: Arena | None) -> Server | None:
        if spec.serve is None or arena is None:
            return None
        with _of_the_optimization():
            inputs = self._model.make_inputs(max(spec.serve.batches), seed=spec.model.seed)
            opened = Opened()
            server = Server(
                over_arrays(self._prepared, self._outputs),
                arena,
                inputs=self._model.inputs,
                outputs=self._outputs,
                buffers=tuple(each.contiguous().numpy() for each in inputs),
                batches=spec.serve.batches,
                # other instances' compiled code must be loaded first
                known=() if self._compiles else spec.serve.handover.batches,
            )
            self._account = opened.closed(spec.serve, self._folder)
            return server

    def _bound(self, batch: int) -> Forward:
        """Return a forward of a batch, on one input or rotating over several."""
        seed = self.spec.model.seed
        first = self._model.make_inputs(batch, seed=seed)
        if self.spec.inputs == "hot":
            return self._prepared.bind(first)
        count = inputs_wanted(sum(each.nbytes for each in first), last_level_cache())
        others = (self._model.make_inputs(batch, seed=seed + n) for n in range(1, count))
        return in_turns([self._prepared.bind(each) for each in (first, *others)])

    def find_peak(self) -> FoundPeak:
        """Measure the peak of the cores; PyTorch's threads are pinned to them in any case."""
        found = FoundPeak(
            matmul_flops=peak.matmul_flops(), memory_bandwidth=peak.memory_bandwidth()
        )
        release_memory()
        return found

    def _read_back(
        self, begin: float, comparison: Comparison, seen: Survey, *, lossy: bool
    ) -> Ready:
        """Read back the settings; preparing began at ``begin`` on the monotonic clock."""
        return Ready(
            threads=self._prepared.threads,
            interop_threads=torch.get_num_interop_threads(),
            cpus=confined_to(),
            nodes=bound_nodes(),
            allocator=loaded_allocator(),
            start_s=process_age() - (time.monotonic() - begin),
            prepare_s=time.monotonic() - begin,
            input_s=self._input_s,
            error=0.0 if comparison.unchecked else comparison.error,
            agreement=comparison.agreement,
            compared=0 if comparison.unchecked else comparison.compared,
            facts=self._facts(comparison.unchecked, lossy=lossy),
            largest_tensor=seen.largest_tensor,
            flops=seen.flops,
            inputs=self._model.inputs,
            outputs=self._outputs,
            parameters=self._model.parameters,
            weights=self._model.weights_hash,
            memory=max(peak_memory(), self._account.memory),
            resident=self._account.resident,
            handover=self._account.handover,
        )

    def _facts(self, unchecked: str, *, lossy: bool) -> dict[str, str]:
        facts = dict(self._prepared.facts)
        if unchecked:
            facts[UNCHECKED] = unchecked
        if lossy:
            facts["lossy"] = "yes"
        return facts | binding_facts(self.spec.nodes)

    def _survey(self, example: Tensors) -> Survey:
        if self._model.onnx is not None:
            return survey_onnx(self._model.onnx, self._model.inputs)
        assert self._model.module is not None
        return survey(self._model.module, example)

    def _subject(self, identity: str, cpus: tuple[int, ...]) -> PrepareRequest:
        return PrepareRequest(
            module=self._model.module,
            onnx=self._model.onnx,
            inputs=self._model.inputs,
            make_inputs=self._model.make_inputs,
            identity=identity,
            cpus=cpus,
            cache=Cache(),
            others=self.spec.serve is not None,
        )


@contextmanager
def _of_the_optimization() -> Iterator[None]:
    """Turn errors into PrepareFailed: the model itself is valid, so the optimization failed."""
    try:
        yield
    except (UsageError, EnvironmentFault, StorageError) as error:
        raise PrepareFailed(str(error)) from error


def _accept(comparison: Comparison, *, lossy: bool) -> None:
    """Raise PrepareFailed if the outputs differ from eager by more than allowed."""
    if not math.isfinite(comparison.error):
        raise PrepareFailed(
            "outputs differ from eager: they hold NaN, infinity or other integers, or have "
            "another shape or type"
        )
    if not lossy and comparison.error > MAX_ERROR:
        raise PrepareFailed(
            f"outputs differ from eager by {format_share(comparison.error)}, "
            f"at most {format_share(MAX_ERROR)} is accepted"
        )
