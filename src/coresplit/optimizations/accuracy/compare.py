"""Compare the outputs of an optimization with the reference."""

import math
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from torch import Tensor

    Outputs = tuple[Tensor, ...]

MAX_ERROR = 1e-3
LEAST_CLASSES = 20
CONSTANT = "they hardly depend on the input"
NOT_FINITE = "they contain NaN or infinity; check the weights and the range of integer inputs"
LEAST_SPREAD = 1e-6


class Comparison(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The difference of outputs from the reference over ``compared`` inputs.

    ``error`` is defined in ``Comparer``. ``agreement`` is the share of equal top-1 classes, None
    if the first output is not class scores or the reference outputs have too few classes.
    ``unchecked`` says why a small error does not prove equality; it is empty if it does.
    """

    error: float
    agreement: float | None
    compared: int
    unchecked: str = ""


class Comparer:
    """Compares outputs with the reference chunk by chunk and keeps only sums over the chunks.

    The error of one output is

        max |outputs - reference| / max |reference - mean of reference over the inputs|

    in double precision; the error of several outputs is the largest. The scale excludes the mean
    over the inputs, because a network that ignores its input would match the mean as well; the
    difference includes it, so a constant offset counts. An output that varies with its input by
    less than a millionth of its magnitude is a constant, and its scale is its magnitude. The error
    is infinite if shapes or data types differ, if integers differ, or if the outputs contain NaN or
    infinity and the reference does not.

    Equality proves nothing if every floating-point output is a constant, or if the reference
    contains NaN or infinity; such an output has no error.
    """

    def __init__(self) -> None:
        self._inputs = 0
        self._outputs: list[_Floats | _Integers] = []
        self._classes = _Classes()
        self._alike = True

    def add(self, reference: "Outputs", outputs: "Outputs") -> None:
        """Add a chunk: tensors [N, ...] of the same inputs in both."""
        if not self._outputs:
            self._outputs = [
                _Floats() if each.is_floating_point() else _Integers() for each in reference
            ]
        self._inputs += len(reference[0])
        self._alike = (
            self._alike
            and len(outputs) == len(reference)
            and all(
                found.shape == expected.shape
                and found.is_floating_point() == expected.is_floating_point()
                for expected, found in zip(reference, outputs, strict=True)
            )
        )
        if not self._alike:
            return
        self._classes.add(reference[0], outputs[0])
        for each, expected, found in zip(self._outputs, reference, outputs, strict=True):
            each.add(expected, found)

    def result(self) -> Comparison:
        """Return the comparison so far; raises ``ValueError`` for fewer than 2 inputs."""
        if self._inputs < 2:
            raise ValueError("a comparison needs the outputs of at least 2 inputs")
        unchecked = self._unchecked() if self._alike else ""
        known = self._alike and not unchecked
        return Comparison(
            error=max(each.error() for each in self._outputs) if self._alike else math.inf,
            agreement=self._classes.agreement() if known else None,
            compared=self._inputs,
            unchecked=unchecked,
        )

    def _unchecked(self) -> str:
        floats = [each for each in self._outputs if isinstance(each, _Floats)]
        if not all(each.finite for each in floats):
            return NOT_FINITE
        return CONSTANT if floats and not any(each.moves() for each in floats) else ""


def compare(reference: "Outputs", outputs: "Outputs") -> Comparison:
    """Compare all outputs [N, ...] at once; raises ``ValueError`` for fewer than 2 inputs."""
    comparer = Comparer()
    comparer.add(reference, outputs)
    return comparer.result()


class _Floats:
    """Sum, minimum and maximum of the reference per element, and the largest difference overall.

    The minimum or the maximum is farthest from the mean, so one pass is enough.
    """

    def __init__(self) -> None:
        self.finite = True
        self._count = 0
        self._difference = 0.0
        self._sum: Tensor | None = None

    def add(self, reference: "Tensor", found: "Tensor") -> None:
        """Add a chunk [N, ...] of equal shapes."""
        expected = reference.double()
        if not expected.numel():
            return
        self.finite = self.finite and bool(expected.isfinite().all())
        difference = float((found.double() - expected).abs_().max())
        # max() of NaN and a number depends on their order
        self._difference = max(self._difference, math.inf if math.isnan(difference) else difference)
        total, least, largest = expected.sum(0), expected.amin(0), expected.amax(0)
        if self._sum is None:
            self._sum, self._least, self._largest = total, least, largest
        else:
            self._sum += total
            self._least = self._least.minimum(least)
            self._largest = self._largest.maximum(largest)
        self._count += len(expected)

    def moves(self) -> bool:
        """True if the reference varies with its input."""
        return self._sum is not None and self._spread() > LEAST_SPREAD * self._size()

    def error(self) -> float:
        """Return the largest difference over the scale; 0 if the reference is not finite."""
        if self._sum is None or not self.finite:
            return 0.0
        scale = self._spread() if self.moves() else self._size()
        if not math.isfinite(self._difference) or not math.isfinite(scale):
            return math.inf
        if scale == 0:
            return 0.0 if self._difference == 0 else math.inf
        return self._difference / scale

    def _spread(self) -> float:
        assert self._sum is not None
        mean = self._sum / self._count
        return float((self._largest - mean).maximum(mean - self._least).max())

    def _size(self) -> float:
        return float(self._largest.abs().maximum(self._least.abs()).max())


class _Integers:
    """Integers and booleans, which must be equal."""

    def __init__(self) -> None:
        self._equal = True

    def add(self, reference: "Tensor", found: "Tensor") -> None:
        """Add a chunk [N, ...] of equal shapes."""
        self._equal = self._equal and bool((reference == found).all())

    def error(self) -> float:
        """Return 0 if all values were equal, else infinity."""
        return 0.0 if self._equal else math.inf


class _Classes:
    """Top-1 classes of a floating-point output [N, C] or [N, L, C]."""

    def __init__(self) -> None:
        self._seen: set[int] = set()
        self._equal = self._count = 0

    def add(self, reference: "Tensor", found: "Tensor") -> None:
        """Add a chunk; it is ignored if it is not class scores."""
        if (
            not reference.is_floating_point()
            or reference.ndim not in (2, 3)
            or reference.shape[-1] < LEAST_CLASSES
        ):
            return
        expected = reference.argmax(-1)
        self._seen |= set(expected.flatten().tolist())
        self._equal += int((found.argmax(-1) == expected).sum())
        self._count += expected.numel()

    def agreement(self) -> float | None:
        """Return the share of equal classes; None with too few classes in the reference."""
        return self._equal / self._count if len(self._seen) >= LEAST_CLASSES else None
