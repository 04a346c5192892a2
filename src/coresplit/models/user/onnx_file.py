"""Build a model from an ONNX file: check it, find its inputs, make its batch dynamic."""

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from onnx import ModelProto, TensorProto, ValueInfoProto

from coresplit.errors import UsageError
from coresplit.format import first_line
from coresplit.models.built import BuiltModel, Keep
from coresplit.models.files import file_hash
from coresplit.models.input_spec import DTYPES
from coresplit.models.inputs import generate
from coresplit.models.user.declared_inputs import Stated, settle
from coresplit.models.user.onnx_dynamic_batch import free_batch
from coresplit.models.user.onnx_weights import weight_files
from coresplit.models.user.trial_runs import BATCH, Tensors, check_runs, rows_differ
from coresplit.records import ModelInput

_REMEDY = "export it again with a dynamic batch (dynamic_shapes of torch.onnx.export)"
_FILE = "model.onnx"
_ERRORS_ONLY = 3
# elements of one input
_LARGEST = 2**40
_INDICES = (TensorProto.INT64, TensorProto.BOOL, TensorProto.STRING)


def build_onnx(
    name: str, path: Path, given: Sequence[ModelInput], seed: int, keep: Keep
) -> BuiltModel:
    """The checked file, or a copy in ``keep`` with a dynamic batch if its batch is fixed.

    The copy must give the same outputs for three inputs at once as one by one. Parameters are the
    elements of all initializers except indices, shapes and flags. Raises ``UsageError`` for a file
    that is damaged, incomplete, or cannot be measured over batches.
    """
    model = read(name, path)
    weights = weight_files(name, path, model)
    _check(name, path)
    fixed = _fixed_batches(name, model)
    inputs = settle(name, _stated(name, model), given)
    identity = file_hash(path, *weights)
    used = path
    if fixed:
        key = {"file": identity, "onnx": onnx.__version__}
        used = keep("batch", key, lambda folder: _free(path, folder)) / _FILE
    example = generate(inputs, BATCH, seed)
    run = _Run(name, used, freed=fixed)
    if fixed and (why := run.attempt(example)) is not None:
        raise _fixed(name, fixed, why)
    check_runs(name, run, example, _REMEDY)
    return BuiltModel(
        module=None,
        onnx=used,
        inputs=inputs,
        outputs=tuple(each.name for each in model.graph.output),
        parameters=sum(
            int(np.prod(each.dims))
            for each in model.graph.initializer
            if each.data_type not in _INDICES
        ),
        weights_hash=identity,
        files=() if fixed else (path, *weights),
    )


def read(name: str, path: Path) -> ModelProto:
    """The graph of an ONNX file without its external weights; raises ``UsageError``."""
    try:
        model = onnx.load(path, load_external_data=False)
    except DecodeError as error:
        raise UsageError(f"'{name}' is damaged, truncated or not an ONNX model") from error
    except OSError as error:
        raise UsageError(f"'{name}' cannot be read: {error.strerror or error}") from error
    if not model.graph.node:
        raise UsageError(
            f"'{name}' is damaged, truncated or not an ONNX model: it has no operators"
        )
    return model


def graph_inputs(model: ModelProto) -> list[ValueInfoProto]:
    """The inputs to feed, without weights, which old files list among the inputs."""
    weights = {each.name for each in model.graph.initializer}
    return [each for each in model.graph.input if each.name not in weights]


def _check(name: str, path: Path) -> None:
    try:
        onnx.checker.check_model(str(path))
    except onnx.checker.ValidationError as error:
        raise UsageError(f"'{name}' is not a valid ONNX model: {first_line(error)}") from error
    except UnicodeDecodeError as error:
        # the checker quotes a name that is not valid text
        raise UsageError(
            f"'{name}' is damaged: a name in it is not text; download it again"
        ) from error


def _stated(name: str, model: ModelProto) -> tuple[Stated, ...]:
    inputs = tuple(_one_stated(name, each) for each in graph_inputs(model))
    if not inputs:
        raise UsageError(f"'{name}' takes no inputs; there is no batch to measure over")
    return inputs


def _one_stated(name: str, value: ValueInfoProto) -> Stated:
    kind = value.type.tensor_type
    try:
        dtype = onnx.helper.tensor_dtype_to_np_dtype(kind.elem_type).name
    except (KeyError, ValueError):
        dtype = "no tensor"
    if dtype not in DTYPES:
        raise UsageError(
            f"{name}: input '{value.name}' is of type {dtype}; use one of {', '.join(DTYPES)}"
        )
    shape = tuple(
        _size(each) or _free_name(value, each, index)
        for index, each in enumerate(kind.shape.dim[1:], start=1)
    )
    if math.prod(size for size in shape if isinstance(size, int)) > _LARGEST:
        raise UsageError(f"'{name}' is damaged: input '{value.name}' takes more than 4 TiB")
    return Stated(name=value.name, shape=shape, dtype=dtype)


def _size(dimension: Any) -> int:  # noqa: ANN401
    """The size of a dimension, 0 if it is dynamic: exporters then write none or -1."""
    return max(0, int(dimension.dim_value))


def _free_name(value: ValueInfoProto, dimension: Any, index: int) -> str:  # noqa: ANN401
    return dimension.dim_param or f"{index} of {value.name}"


def _fixed_batches(name: str, model: ModelProto) -> int:
    """The batch that the inputs are fixed at; 0 if it is dynamic."""
    found = 0
    for each in graph_inputs(model):
        shape = each.type.tensor_type.shape
        if not each.type.tensor_type.HasField("shape"):
            raise UsageError(f"{name}: input '{each.name}' has no shape; {_REMEDY}")
        if not shape.dim:
            raise UsageError(f"{name}: input '{each.name}' has no batch dimension; {_REMEDY}")
        if shape.dim[0].HasField("dim_value"):
            found = found or shape.dim[0].dim_value
    return found


def _fixed(name: str, batch: int, why: str) -> UsageError:
    return UsageError(
        f"{name}: its batch is fixed at {batch} and cannot be made dynamic ({why}); {_REMEDY}"
    )


def _free(path: Path, folder: Path) -> None:
    """Write the model with a dynamic batch and external weights."""
    model = onnx.load(path)
    free_batch(model)
    # onnx looks for a file of this name in the working directory and refuses if there is one
    location = f"{folder.name}.data"
    onnx.save(model, folder / _FILE, save_as_external_data=True, location=location)


class _Run:
    """ONNX Runtime on one thread without graph optimizations, as for reference outputs."""

    def __init__(self, name: str, path: Path, *, freed: int) -> None:
        import onnxruntime  # noqa: PLC0415

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        options.log_severity_level = _ERRORS_ONLY
        # this module reports models that do not run
        self._quiet = onnxruntime.RunOptions()
        self._quiet.log_severity_level = _ERRORS_ONLY + 1
        try:
            self._session = onnxruntime.InferenceSession(
                str(path), options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:
            if freed:
                raise _fixed(name, freed, first_line(error)) from error
            raise UsageError(
                f"'{name}' cannot be loaded by ONNX Runtime: {first_line(error)}"
            ) from error
        self._names = [each.name for each in self._session.get_inputs()]

    def __call__(self, inputs: Tensors) -> Tensors:
        """Run the graph on inputs in its order and return its outputs."""
        feed = {
            name: each.contiguous().numpy() for name, each in zip(self._names, inputs, strict=True)
        }
        outputs = [np.asarray(each) for each in self._outputs(feed)]
        # numpy has two unsigned 64-bit types, and torch takes only one of them
        return tuple(
            torch.from_numpy(each.view(np.uint64) if each.dtype == np.uint64 else each)
            for each in outputs
        )

    def attempt(self, inputs: Tensors) -> str | None:
        """Why the batch that was made dynamic gives wrong results; None if it is right."""
        try:
            return rows_differ(self, inputs)
        except UsageError:
            raise
        except Exception as error:
            return first_line(error)

    def _outputs(self, feed: dict[str, Any]) -> Iterator[Any]:
        for each in self._session.run(None, feed, self._quiet):
            if not isinstance(each, np.ndarray | np.generic) or each.dtype.name not in DTYPES:
                raise UsageError("an ONNX model must output numeric tensors")
            yield each
