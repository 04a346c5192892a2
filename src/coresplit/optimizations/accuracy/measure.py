"""The reference that an optimization is compared with, and the error of a lossy one."""

import math
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from coresplit.errors import EnvironmentFault, PrepareFailed
from coresplit.optimizations.accuracy.compare import Comparer, Comparison
from coresplit.optimizations.base import CompiledModel, PrepareRequest

if TYPE_CHECKING:
    from torch import Tensor

    Outputs = tuple[Tensor, ...]

ACCURACY_INPUTS = 256
_FOUND = "comparison.json"
_CHUNK_INPUTS = 32
_CHUNK_BYTES = 128 * 2**20
_STORED_BYTES = 2**30


def reference(request: PrepareRequest) -> CompiledModel:
    """Return the unoptimized model: eager PyTorch, or an ONNX file without graph optimizations.

    Raises EnvironmentFault for an ONNX file if ONNX Runtime is not installed.
    """
    if request.onnx is None:
        from coresplit.optimizations.pytorch import eager  # noqa: PLC0415

        return eager.prepare(request)
    if find_spec("onnxruntime") is None:
        raise EnvironmentFault(
            "checking the outputs of an ONNX file needs ONNX Runtime: "
            "pip install 'coresplit[onnxruntime]'"
        )
    from coresplit.optimizations.onnxruntime import session_of  # noqa: PLC0415

    return session_of(request.onnx, request.threads, optimized=False)


def measure_accuracy_drop(
    request: PrepareRequest,
    prepared: CompiledModel,
    reference_forward: CompiledModel,
    seed: int,
    *,
    name: str,
) -> Comparison:
    """Compare the lossy optimization ``name`` with the reference over 256 seeded inputs.

    They run in chunks of 32, or fewer if the outputs of a chunk exceed 128 MiB. Fewer inputs are
    used if all outputs exceed 1 GiB, because the cache keeps the outputs of the reference. The
    cache also keeps the result, for other thread counts and allocators with the same library and
    settings.
    """
    count, chunk = _sizes(request, reference_forward, seed)
    key = _key(request, reference_forward, seed, count, chunk)

    def build(folder: Path) -> None:
        inputs = _chunks(request, seed, count, chunk)
        stored = request.cache.get(
            "reference", key, lambda at: _store(inputs, reference_forward, at)
        )
        comparer = Comparer()
        for each, expected in zip(
            _chunks(request, seed, count, chunk), _load(stored, count // chunk), strict=True
        ):
            comparer.add(expected, prepared.bind(each)())
        found = comparer.result()
        if not math.isfinite(found.error):
            raise PrepareFailed("outputs contain NaN or infinity, but those of eager do not")
        (folder / _FOUND).write_bytes(msgspec.json.encode(found))

    lossy = {"optimization": name, **{f"its {fact}": text for fact, text in prepared.facts.items()}}
    kept = request.cache.get("loss", key | lossy, build) / _FOUND
    return msgspec.json.decode(kept.read_bytes(), type=Comparison)


def _sizes(request: PrepareRequest, eager: CompiledModel, seed: int) -> tuple[int, int]:
    """Return the number of inputs to compare, a multiple of the chunk, and the chunk size."""
    each = sum(output.nbytes for output in eager.bind(request.make_inputs(2, seed))()) // 2
    chunk = max(2, min(_CHUNK_INPUTS, _CHUNK_BYTES // max(1, each)))
    count = min(ACCURACY_INPUTS, _STORED_BYTES // max(1, each))
    return max(chunk, count // chunk * chunk), chunk


def _chunks(request: PrepareRequest, seed: int, count: int, chunk: int) -> Iterator["Outputs"]:
    inputs = request.make_inputs(count, seed)
    for start in range(0, count, chunk):
        yield tuple(tensor[start : start + chunk] for tensor in inputs)


def _key(
    request: PrepareRequest, eager: CompiledModel, seed: int, count: int, chunk: int
) -> dict[str, str]:
    """Return everything that the reference outputs depend on.

    Threads are left out: they change outputs only by rounding.
    """
    import torch  # noqa: PLC0415

    return {
        "identity": request.identity,
        "inputs": " ".join(map(str, request.inputs)),
        "library": eager.facts["library"],
        "cpu": torch.backends.cpu.get_cpu_capability(),
        "seed": str(seed),
        "count": str(count),
        "chunk": str(chunk),
    }


def _store(chunks: Iterator["Outputs"], eager: CompiledModel, folder: Path) -> None:
    """Write the reference outputs, one file for each chunk of inputs."""
    import torch  # noqa: PLC0415

    for index, inputs in enumerate(chunks):
        torch.save(eager.bind(inputs)(), folder / f"{index}.pt")


def _load(folder: Path, chunks: int) -> Iterator["Outputs"]:
    import torch  # noqa: PLC0415

    for index in range(chunks):
        yield tuple(torch.load(folder / f"{index}.pt", weights_only=True))
