"""The optimizations that coresplit knows, and which of them can be used here."""

import os
import shlex
import shutil
from collections.abc import Iterable
from importlib.util import find_spec

from coresplit.errors import UsageError
from coresplit.optimizations import onnxruntime
from coresplit.optimizations.base import Optimization
from coresplit.optimizations.openvino import bf16, int8
from coresplit.optimizations.openvino import float32 as openvino
from coresplit.optimizations.pytorch import (
    channels_last,
    compile_default,
    compile_freeze,
    mkldnn,
    none,
    script,
    trace,
)
from coresplit.records import Form
from coresplit.units import unknown_name

OPTIMIZATIONS: dict[str, Optimization] = {
    each.OPTIMIZATION.name: each.OPTIMIZATION
    for each in (
        none,
        script,
        trace,
        channels_last,
        mkldnn,
        onnxruntime,
        openvino,
        bf16,
        int8,
        # the last ones, since they take minutes to prepare
        compile_default,
        compile_freeze,
    )
}

COMPILER = "g++"
_FORMS: dict[Form, str] = {"module": "a PyTorch module", "onnx": "an ONNX file"}


def optimization_named(name: str) -> Optimization:
    """The optimization of that name; raises ``UsageError`` that names the closest one."""
    if name in OPTIMIZATIONS:
        return OPTIMIZATIONS[name]
    raise unknown_name("optimization", name, OPTIMIZATIONS)


def require_applicable(names: Iterable[str], form: Form, model: str) -> None:
    """Refuse with ``UsageError`` an optimization that cannot start from what ``model`` came as.

    ``model`` is what the user called it. Unknown names are refused, too.
    """
    for name in names:
        takes = optimization_named(name).takes
        if form not in takes:
            fitting = ", ".join(
                other for other, each in OPTIMIZATIONS.items() if form in each.takes
            )
            raise UsageError(
                f"optimization '{name}' needs {' or '.join(_FORMS[each] for each in takes)}, "
                f"but {model} is {_FORMS[form]}; choose from {fitting}"
            )


def usable(name: str) -> str | None:
    """None where the optimization can be used here, else what is missing and how to install it.

    Looks for the packages without importing them. Raises ``UsageError`` for an unknown name.
    """
    return missing_packages(optimization_named(name))


def missing_packages(optimization: Optimization) -> str | None:
    """As ``usable``, for a record that need not be registered; programs count as packages do."""
    missing = [package for package in optimization.packages if find_spec(package) is None]
    if missing:
        return (
            f"{optimization.name} needs {' and '.join(missing)}: "
            f"pip install 'coresplit[{optimization.extra}]'"
        )
    for program in optimization.programs:
        chosen = _chosen(program)
        if shutil.which(chosen) is None:
            return f"{optimization.name} needs {_how_to_get(program, chosen)}"
    return None


def _chosen(program: str) -> str:
    """The program that will be run: the C++ compiler is what the variable CXX names, if it is."""
    named = shlex.split(os.environ.get("CXX", "")) if program == COMPILER else []
    return named[0] if named else program


def _how_to_get(program: str, chosen: str) -> str:
    if chosen != program:
        return f"the C++ compiler {chosen} that CXX names: install it, or unset CXX"
    if program == COMPILER:
        return "a C++ compiler: apt install g++, dnf install gcc-c++, or set CXX to another"
    return f"the program {program}: install it"
