"""Requests that are a complete batch, computed in place in the arena."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from coresplit.instance.messages import Rows
from coresplit.instance.transport import ALIGNMENT, Arena
from coresplit.optimizations.arrays import ArrayForward, Arrays, Bind

MOST_KEPT = 1024


class Whole(NamedTuple):
    """One batch: the inputs to copy before its forward, and where its outputs go.

    ``copied`` has pairs of target and source, ``truths`` those of booleans, normalized to 0 and 1.
    """

    batch: int
    copied: tuple[tuple[memoryview, memoryview], ...]
    truths: tuple[tuple[NDArray[np.bool_], NDArray[np.uint8]], ...]
    forward: ArrayForward
    outputs: Arrays

    def gather(self) -> None:
        """Copy the inputs that the forward does not read from the arena."""
        for target, source in self.copied:
            target[:] = source
        for truth, given in self.truths:
            np.not_equal(given, 0, out=truth)


class Wholes:
    """Makes forwards on the arena and keeps those of the last requests, whose offsets recur.

    ``forwards`` has, for each batch, its forward on the first rows of ``buffers``; booleans and
    unaligned inputs are copied there. The model must not write to its inputs. ``outputs`` has the
    shape, type and bytes of a row of each output.
    """

    def __init__(
        self,
        bind: Bind,
        arena: Arena,
        buffers: Arrays,
        forwards: Mapping[int, ArrayForward],
        *,
        outputs: Sequence[tuple[tuple[int, ...], "np.dtype[Any]", int]],
    ) -> None:
        self._bind = bind
        self._arena = arena
        self._buffers = buffers
        self._forwards = forwards
        self._outputs = tuple(outputs)
        self._found: dict[Rows, Whole] = {}

    def find(self, rows: Rows) -> Whole | None:
        """Return these rows as one batch, or None if no batch has their count or they have texts.

        Raises ValueError if they are outside the arena. Known rows need no second check, because
        the arena never changes its size.
        """
        found = self._found.get(rows)
        if found is None:
            found = self._made(rows)
            if found is not None:
                if len(self._found) == MOST_KEPT:
                    del self._found[next(iter(self._found))]
                self._found[rows] = found
        return found

    def _made(self, rows: Rows) -> Whole | None:
        forward = self._forwards.get(rows.count)
        offsets = [each for each in rows.inputs if isinstance(each, int)]
        if forward is None or len(offsets) < len(rows.inputs):
            return None
        inputs, copied, truths = [], [], []
        for at, buffer in zip(offsets, self._buffers, strict=True):
            staged = buffer[: rows.count]
            source = self._arena.view(at, staged.nbytes)
            if staged.dtype != np.bool_ and at % ALIGNMENT == 0:
                inputs.append(_array(source, staged.shape, staged.dtype))
                continue
            inputs.append(staged)
            if staged.dtype == np.bool_:
                # libraries disagree about boolean bytes other than 0 and 1
                truths.append((staged.reshape(-1), np.frombuffer(source, np.uint8)))
            else:
                copied.append((staged.reshape(-1).view(np.uint8).data, source))
        outputs = tuple(
            _array(self._arena.view(at, rows.count * size), (rows.count, *shape), dtype)
            for at, (shape, dtype, size) in zip(rows.outputs, self._outputs, strict=True)
        )
        if len(copied) + len(truths) < len(inputs):
            forward = self._bind(tuple(inputs), forward)
        return Whole(rows.count, tuple(copied), tuple(truths), forward, outputs)


def _array(view: memoryview, shape: tuple[int, ...], dtype: "np.dtype[Any]") -> NDArray[Any]:
    return np.frombuffer(view, dtype).reshape(shape)
