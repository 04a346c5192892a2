"""The optimizations: ways to prepare a model, one file each, and the check of their outputs."""

from coresplit.optimizations.accuracy.compare import (
    CONSTANT,
    MAX_ERROR,
    Comparison,
    compare,
    relative_error,
)
from coresplit.optimizations.accuracy.measure import LOSS_INPUTS, measure_loss, reference
from coresplit.optimizations.base import Makes, Optimization, Prepared, Subject
from coresplit.optimizations.registry import (
    OPTIMIZATIONS,
    missing_packages,
    optimization_named,
    require_applicable,
    usable,
)

__all__ = [
    "CONSTANT",
    "LOSS_INPUTS",
    "MAX_ERROR",
    "OPTIMIZATIONS",
    "Comparison",
    "Makes",
    "Optimization",
    "Prepared",
    "Subject",
    "compare",
    "measure_loss",
    "missing_packages",
    "optimization_named",
    "reference",
    "relative_error",
    "require_applicable",
    "usable",
]
