"""Whether an optimization still computes the same function."""

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

MAX_ERROR = 1e-3
_LEAST_SPREAD = 1e-6


def relative_error(reference: "Tensor", outputs: "Tensor") -> float:
    """Largest difference, in units of how far the reference moves with its input.

    Both are [N, ...] with N of 2 or more inputs. The result is

        max |outputs - reference| / max |reference - mean of reference over the N inputs|

    in double precision. What all inputs have in common is left out of the scale, since a network
    that ignores its input would come close to it, too; it is not left out of the difference, so a
    constant offset counts. Infinite where the shapes differ, where either holds a NaN or infinity,
    and where the reference moves with its input by less than a millionth of its own size: then
    equality would prove nothing. Raises ``ValueError`` for fewer than 2 inputs.
    """
    if reference.ndim == 0 or len(reference) < 2:
        raise ValueError("relative_error needs the outputs of at least 2 inputs")
    if outputs.shape != reference.shape or reference.numel() == 0:
        return math.inf
    expected, found = reference.double(), outputs.double()
    difference = float((found - expected).abs().max())
    spread = float((expected - expected.mean(dim=0)).abs().max())
    if not math.isfinite(difference) or not math.isfinite(spread):
        return math.inf
    if spread <= _LEAST_SPREAD * float(expected.abs().max()):
        return math.inf
    return difference / spread
