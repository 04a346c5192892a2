"""The optimizations that coresplit knows, and which of them can be used on this machine."""

import os
import shlex
import shutil
from collections.abc import Iterable
from importlib.util import find_spec

from coresplit.errors import UsageError
from coresplit.format import listed
from coresplit.optimizations.base import Optimization
from coresplit.records import Form
from coresplit.units import unknown_name

_TORCH = ("torch",)
_ONNX = ("torch", "onnx", "onnxscript")

_RECORDS = (
    Optimization(
        name="none",
        title="eager",
        description="plain eager PyTorch in inference mode",
        packages=_TORCH,
        extra="torch",
        prepared_by="coresplit.optimizations.pytorch.eager:prepare",
    ),
    Optimization(
        name="script",
        title="TorchScript",
        description=(
            "torch.jit.script, or torch.jit.trace if the code cannot be scripted; frozen, batch "
            "norm folded, convolutions prepacked for oneDNN"
        ),
        packages=_TORCH,
        extra="torch",
        prepared_by="coresplit.optimizations.pytorch.torchscript:scripted_or_traced",
    ),
    Optimization(
        name="trace",
        title="traced TorchScript",
        description="torch.jit.trace, then optimized like script",
        packages=_TORCH,
        extra="torch",
        prepared_by="coresplit.optimizations.pytorch.torchscript:traced",
    ),
    Optimization(
        name="channels_last",
        title="channels last",
        description="eager PyTorch in NHWC layout; every forward converts its inputs",
        packages=_TORCH,
        extra="torch",
        prepared_by="coresplit.optimizations.pytorch.channels_last:prepare",
    ),
    Optimization(
        name="mkldnn",
        title="oneDNN tensors",
        description="torch.utils.mkldnn.to_mkldnn; few operators support its tensors",
        packages=_TORCH,
        extra="torch",
        prepared_by="coresplit.optimizations.pytorch.mkldnn:prepare",
    ),
    Optimization(
        name="onnxruntime",
        title="ONNX Runtime",
        description="exported to ONNX, run by ONNX Runtime with all graph optimizations",
        takes=("module", "onnx"),
        packages=(*_ONNX, "onnxruntime"),
        extra="onnxruntime",
        makes="export",
        prepared_by="coresplit.optimizations.onnxruntime:prepare",
    ),
    Optimization(
        name="openvino",
        title="OpenVINO",
        description="exported to ONNX, compiled by OpenVINO in float32",
        takes=("module", "onnx"),
        packages=(*_ONNX, "openvino"),
        extra="openvino",
        makes="export",
        prepared_by="coresplit.optimizations.openvino.runtime:prepare_float32",
    ),
    Optimization(
        name="bf16",
        title="OpenVINO bfloat16",
        description="like openvino, but in bfloat16; needs a CPU with avx512_bf16 or amx_bf16",
        lossy=True,
        takes=("module", "onnx"),
        packages=(*_ONNX, "openvino"),
        extra="openvino",
        makes="export",
        prepared_by="coresplit.optimizations.openvino.runtime:prepare_bfloat16",
    ),
    Optimization(
        name="int8",
        title="OpenVINO int8",
        description="like openvino, but quantized to int8 by NNCF with 64 calibration inputs",
        lossy=True,
        takes=("module", "onnx"),
        packages=(*_ONNX, "openvino", "nncf"),
        extra="int8",
        makes="quantized",
        prepared_by="coresplit.optimizations.openvino.int8:prepare",
    ),
    # last, because they take minutes to prepare
    Optimization(
        name="compile",
        title="torch.compile",
        description="torch.compile (inductor), compiled once for all batch sizes",
        packages=_TORCH,
        extra="torch",
        programs=("g++",),
        makes="compiled",
        prepared_by="coresplit.optimizations.pytorch.compile:prepare",
    ),
    Optimization(
        name="compile_freeze",
        title="torch.compile, frozen",
        description="torch.compile (inductor) with frozen weights; images and weights in NHWC",
        packages=_TORCH,
        extra="torch",
        programs=("g++",),
        makes="compiled",
        prepared_by="coresplit.optimizations.pytorch.compile:prepare_frozen",
    ),
)
OPTIMIZATIONS: dict[str, Optimization] = {each.name: each for each in _RECORDS}

COMPILER = "g++"
_FORMS: dict[Form, str] = {"module": "a PyTorch module", "onnx": "an ONNX file"}


def optimization_named(name: str) -> Optimization:
    """Return the optimization of that name; raises ``UsageError`` that names the closest one."""
    if name in OPTIMIZATIONS:
        return OPTIMIZATIONS[name]
    raise unknown_name("optimization", name, OPTIMIZATIONS)


def require_applicable(names: Iterable[str], form: Form, model: str) -> None:
    """Raise ``UsageError`` if an optimization is unknown or does not support the form of a model.

    ``model`` is the name that the user gave.
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
    """Return what the optimization lacks and how to install it; None if it can be used.

    Looks for the packages without importing them. Raises ``UsageError`` for an unknown name.
    """
    return missing_packages(optimization_named(name))


def missing_packages(optimization: Optimization) -> str | None:
    """Like ``usable``, for a record that need not be registered."""
    missing = [package for package in optimization.packages if find_spec(package) is None]
    if missing:
        return (
            f"{optimization.name} needs {listed(missing)}: "
            f"pip install 'coresplit[{optimization.extra}]'"
        )
    for program in optimization.programs:
        chosen = _chosen(program)
        if shutil.which(chosen) is None:
            return f"{optimization.name} needs {_how_to_get(program, chosen)}"
    return None


def _chosen(program: str) -> str:
    """Return the program that will be run; the variable CXX overrides the C++ compiler."""
    named = shlex.split(os.environ.get("CXX", "")) if program == COMPILER else []
    return named[0] if named else program


def _how_to_get(program: str, chosen: str) -> str:
    if chosen != program:
        return f"the C++ compiler {chosen} named by CXX: install it, or unset CXX"
    if program == COMPILER:
        return "a C++ compiler: apt install g++, dnf install gcc-c++, or set CXX to another"
    return f"the program {program}: install it"
