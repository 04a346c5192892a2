"""Run rows of requests from an arena through a prepared model, with outputs back into it."""

import gc
import math
import re
import time
from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

import numpy as np

from coresplit.errors import InstanceError, PrepareFailed
from coresplit.instance.child.batching import Piece, forwards
from coresplit.instance.child.texts import WrongText, rows_in, tensor_in
from coresplit.instance.child.whole import Whole, Wholes
from coresplit.instance.messages import Infer, Inferred, Rows, Text
from coresplit.instance.transport import Arena
from coresplit.models.input_spec import DTYPES
from coresplit.optimizations.arrays import ArrayForward, Arrays, Bind
from coresplit.records import ModelInput, ModelOutput

_ALL_TAKEN = ("",)


class _Part(NamedTuple):
    """The rows of one request: consecutive bytes of each input and output."""

    rows: int
    inputs: tuple[memoryview, ...]
    outputs: tuple[memoryview, ...]


class Server:
    """A forward for each batch, over one buffer for each input.

    ``buffers`` have the largest batch and hold valid inputs of the model. All batches are run on
    them, except the ``known`` ones, which another instance has run. Outputs have the types given by
    ``stored_as``. Raises PrepareFailed if their shapes do not follow the batch.
    """

    def __init__(
        self,
        bind: Bind,
        arena: Arena,
        *,
        inputs: tuple[ModelInput, ...],
        outputs: tuple[ModelOutput, ...],
        buffers: Arrays,
        batches: Sequence[int],
        known: Collection[int] = (),
    ) -> None:
        self._inputs = inputs
        self._outputs = outputs
        self._arena = arena
        self._sizes = tuple(sorted(set(batches)))
        buffers = tuple(map(np.ascontiguousarray, buffers))
        self._buffers = tuple(each.reshape(-1).view(np.uint8) for each in buffers)
        self._row_bytes = tuple(each[0].nbytes for each in buffers)
        self._dtypes = tuple(stored_as(each.dtype) for each in outputs)
        self._output_bytes = tuple(
            math.prod(each.shape) * dtype.itemsize
            for each, dtype in zip(outputs, self._dtypes, strict=True)
        )
        self._forwards: dict[int, ArrayForward] = {}
        for batch in self._sizes:
            self._forwards[batch] = bind(tuple(each[:batch] for each in buffers), None)
            if batch not in known:
                self._check(batch, self._forwards[batch](), PrepareFailed)
        self._wholes = Wholes(
            bind,
            arena,
            buffers,
            self._forwards,
            outputs=[
                (each.shape, dtype, size)
                for each, dtype, size in zip(outputs, self._dtypes, self._output_bytes, strict=True)
            ],
        )
        # the current objects live as long as the server; garbage collection need not scan them
        gc.collect()
        gc.freeze()

    def infer(self, command: Infer) -> Inferred:
        """Compute all rows except those with a wrong text.

        Raises ValueError if rows do not fit the model or the arena, and any error of a forward; the
        outputs in the arena are then invalid.
        """
        started_at = time.perf_counter()
        whole = self._wholes.find(command.rows[0]) if len(command.rows) == 1 else None
        if whole is not None:
            return Inferred(
                compute_s=self._compute(whole),
                started_at=started_at,
                ended_at=time.perf_counter(),
                refused=_ALL_TAKEN,
            )
        refused = []
        parts = []
        for rows in command.rows:
            try:
                parts.append(self._part(rows))
                refused.append("")
            except WrongText as error:
                refused.append(str(error))
        compute_s = 0.0
        for batch, pieces in forwards([part.rows for part in parts], self._sizes):
            self._gather(parts, pieces)
            begin = time.perf_counter()
            outputs = self._forwards[batch]()
            compute_s += time.perf_counter() - begin
            self._check(batch, outputs, InstanceError)
            self._scatter(parts, pieces, outputs)
        return Inferred(
            compute_s=compute_s,
            started_at=started_at,
            ended_at=time.perf_counter(),
            refused=tuple(refused),
        )

    def _compute(self, whole: Whole) -> float:
        """Compute one batch and store its outputs; return the seconds of the forward."""
        whole.gather()
        begin = time.perf_counter()
        outputs = whole.forward()
        compute_s = time.perf_counter() - begin
        for target, output in zip(whole.outputs, outputs, strict=True):
            if output.shape != target.shape:
                self._check(whole.batch, outputs, InstanceError)
            # some runtimes return 32-bit integers for 64-bit outputs of the model
            np.copyto(target, output, casting="unsafe")
        return compute_s

    def _part(self, rows: Rows) -> _Part:
        """Locate the rows; raises WrongText if one of their texts is wrong."""
        if rows.count < 1:
            raise ValueError(f"a request cannot have {rows.count} rows")
        view = self._arena.view
        outputs = tuple(
            view(offset, rows.count * size)
            for offset, size in zip(rows.outputs, self._output_bytes, strict=True)
        )
        inputs = tuple(
            self._decoded(each, rows.count, wanted)
            if isinstance(each, Text)
            else view(each, rows.count * size)
            for each, size, wanted in zip(rows.inputs, self._row_bytes, self._inputs, strict=True)
        )
        return _Part(rows.count, inputs, outputs)

    def _decoded(self, text: Text, count: int, wanted: ModelInput) -> memoryview:
        last = text.skip + count
        if text.rows is not None and last > text.rows:
            raise ValueError(f"row {last} was requested of a text with {text.rows} rows")
        view = self._arena.view(text.offset, text.size)
        if text.rows is None:
            tensor = tensor_in(view, wanted, None, least=last)[text.skip : last]
        else:
            tensor = rows_in(view, wanted, text.rows, text.skip, last)
        return tensor.reshape(-1).view(np.uint8).data

    def _gather(self, parts: Sequence[_Part], pieces: Sequence[Piece]) -> None:
        for index, (buffer, size) in enumerate(zip(self._buffers, self._row_bytes, strict=True)):
            for part, first, at, count in pieces:
                source = parts[part].inputs[index][first * size : (first + count) * size]
                target = buffer[at * size : (at + count) * size]
                if self._inputs[index].dtype == "bool":
                    # libraries disagree about boolean bytes other than 0 and 1
                    np.not_equal(np.frombuffer(source, np.uint8), 0, out=target.view(np.bool_))
                else:
                    target.data[:] = source

    def _scatter(self, parts: Sequence[_Part], pieces: Sequence[Piece], outputs: Arrays) -> None:
        for index, (output, dtype) in enumerate(zip(outputs, self._dtypes, strict=True)):
            # some runtimes return 32-bit integers for 64-bit outputs of the model
            whole = np.ascontiguousarray(output, dtype)
            source = whole.reshape(-1).view(np.uint8).data
            size = self._output_bytes[index]
            for part, first, at, count in pieces:
                target = parts[part].outputs[index][first * size : (first + count) * size]
                target[:] = source[at * size : (at + count) * size]

    def _check(self, batch: int, outputs: Arrays, error: type[InstanceError]) -> None:
        for output, known in zip(outputs, self._outputs, strict=True):
            if output.shape != (batch, *known.shape):
                raise error(
                    f"output '{known.name}' is of shape {list(output.shape)} for a batch of "
                    f"{batch} where {[batch, *known.shape]} was expected, so the rows of requests "
                    "cannot be told apart in it"
                )


def stored_as(dtype: str) -> "np.dtype[Any]":
    """Return the element type in the arena: an integer for types numpy lacks, such as bfloat16.

    Raises ValueError if the name has no size.
    """
    if dtype in DTYPES:
        return np.dtype(dtype)
    bits = re.search(r"\d+", dtype)
    if bits is None:
        raise ValueError(f"a tensor of type {dtype} cannot be sent")
    return np.dtype(f"uint{bits[0]}")
