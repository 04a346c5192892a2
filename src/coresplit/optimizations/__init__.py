"""The optimizations: ways to prepare a model, and the check of their outputs."""

from coresplit.optimizations.accuracy.compare import (
    CONSTANT,
    LEAST_SPREAD,
    MAX_ERROR,
    Comparison,
    compare,
)
from coresplit.optimizations.accuracy.measure import (
    ACCURACY_INPUTS,
    measure_accuracy_drop,
    reference,
)
from coresplit.optimizations.base import CompiledModel, Forward, Makes, Optimization, PrepareRequest
from coresplit.optimizations.registry import (
    OPTIMIZATIONS,
    missing_packages,
    optimization_named,
    require_applicable,
    usable,
)

__all__ = [
    "ACCURACY_INPUTS",
    "CONSTANT",
    "LEAST_SPREAD",
    "MAX_ERROR",
    "OPTIMIZATIONS",
    "Comparison",
    "CompiledModel",
    "Forward",
    "Makes",
    "Optimization",
    "PrepareRequest",
    "compare",
    "measure_accuracy_drop",
    "missing_packages",
    "optimization_named",
    "reference",
    "require_applicable",
    "usable",
]
