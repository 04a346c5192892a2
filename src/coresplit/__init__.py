"""Measure how a neural network scales over a CPU's cores, plan how to split them, and prove it.

    import coresplit

    run = coresplit.bench("inception", optimizations=["none", "script"], budget=120)
    plan = coresplit.plan(run, batch=8)
    print(plan)
    print(coresplit.verify(plan))
    coresplit.report(run)

Names in ``__all__`` are the stable interface: they change only with a note in the changelog and,
from version 1.0, with a new major version. Everything else may change at any time.
"""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from coresplit.api import (
        bench,
        doctor,
        export_tables,
        import_tables,
        load,
        plan,
        plans,
        report,
        verify,
    )
    from coresplit.errors import (
        CoresInUse,
        CoresplitError,
        EnvironmentFault,
        InstanceError,
        NotMeasured,
        RunError,
        StorageError,
        TableError,
        UsageError,
    )
    from coresplit.machine.doctor.memory import Advice
    from coresplit.results import Plan, Run, Verification
    from coresplit.sweep import Progress

__version__ = "0.1.0"

__all__ = [
    "Advice",
    "CoresInUse",
    "CoresplitError",
    "EnvironmentFault",
    "InstanceError",
    "NotMeasured",
    "Plan",
    "Progress",
    "Run",
    "RunError",
    "StorageError",
    "TableError",
    "UsageError",
    "Verification",
    "bench",
    "doctor",
    "export_tables",
    "import_tables",
    "load",
    "plan",
    "plans",
    "report",
    "verify",
]


_HOME = {
    "Advice": "coresplit.machine.doctor.memory",
    "Plan": "coresplit.results",
    "Progress": "coresplit.sweep",
    "Run": "coresplit.results",
    "Verification": "coresplit.results",
}


def __getattr__(name: str) -> object:
    """Import a name on first use, so that ``import coresplit`` costs next to nothing."""
    if name not in __all__:
        raise AttributeError(f"module 'coresplit' has no attribute '{name}'")
    room = _HOME.get(name, "coresplit.api" if name.islower() else "coresplit.errors")
    globals()[name] = found = getattr(importlib.import_module(room), name)
    return found


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
