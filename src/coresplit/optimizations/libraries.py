"""Libraries: their telemetry, versions, warnings and errors."""

import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version

from coresplit.format import first_line

_ONNXRUNTIME = ("ORT_DISABLE_TELEMETRY", "ORT_TELEMETRY_DISABLED")


def disable_telemetry() -> None:
    """Keep ONNX Runtime, OpenVINO and NNCF from sending usage data; call before importing them.

    ONNX Runtime (from 1.29, on by default) reads a variable that was later renamed. The other two
    look for the package ``openvino_telemetry`` and work without it if it cannot be imported.
    """
    for name in _ONNXRUNTIME:
        os.environ.setdefault(name, "1")
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]


def versions(*packages: str) -> dict[str, str]:
    """Return the installed version of each package by name, without importing it."""
    return {package: version(package) for package in packages}


@contextmanager
def without_deprecation() -> Iterator[None]:
    """Hide the warning that TorchScript is deprecated, which torch's own modules also trigger."""
    with warnings.catch_warnings():
        warnings.filterwarnings(
            "ignore",
            message=r"`torch\.jit\.\w+` is (deprecated|not supported)",
            category=DeprecationWarning,
        )
        yield


def root_cause(error: BaseException) -> str:
    """Return the innermost cause of an error in one line."""
    while error.__cause__ is not None:
        error = error.__cause__
    return first_line(error)
