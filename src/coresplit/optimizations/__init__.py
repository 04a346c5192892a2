"""The optimizations: ways to prepare a model, one file each, and the check of their outputs."""

from coresplit.optimizations.equality import MAX_ERROR, relative_error
from coresplit.optimizations.record import Optimization
from coresplit.optimizations.registry import (
    OPTIMIZATIONS,
    missing_packages,
    optimization_named,
    usable,
)

__all__ = [
    "MAX_ERROR",
    "OPTIMIZATIONS",
    "Optimization",
    "missing_packages",
    "optimization_named",
    "relative_error",
    "usable",
]
