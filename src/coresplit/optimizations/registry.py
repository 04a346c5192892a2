"""The optimizations that coresplit knows, and which of them can be used here."""

from importlib.util import find_spec

from coresplit.optimizations import none, script
from coresplit.optimizations.record import Optimization
from coresplit.units import unknown_name

OPTIMIZATIONS: dict[str, Optimization] = {
    optimization.name: optimization for optimization in (none.OPTIMIZATION, script.OPTIMIZATION)
}


def optimization_named(name: str) -> Optimization:
    """The optimization of that name; raises ``UsageError`` that names the closest one."""
    if name in OPTIMIZATIONS:
        return OPTIMIZATIONS[name]
    raise unknown_name("optimization", name, OPTIMIZATIONS)


def usable(name: str) -> str | None:
    """None where the optimization can be used here, else what is missing and how to install it.

    Looks for the packages without importing them. Raises ``UsageError`` for an unknown name.
    """
    return missing_packages(optimization_named(name))


def missing_packages(optimization: Optimization) -> str | None:
    """As ``usable``, for a record that need not be registered."""
    missing = [package for package in optimization.packages if find_spec(package) is None]
    if not missing:
        return None
    return (
        f"{optimization.name} needs {' and '.join(missing)}: "
        f"pip install 'coresplit[{optimization.extra}]'"
    )
