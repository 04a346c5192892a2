"""No word to the makers of the libraries, and no thread of theirs beside what is measured."""

import os
import sys

_ONNXRUNTIME = ("ORT_DISABLE_TELEMETRY", "ORT_TELEMETRY_DISABLED")


def forgo_telemetry() -> None:
    """Keep ONNX Runtime, OpenVINO and NNCF from sending usage data; call before they are imported.

    ONNX Runtime (from 1.29, on by default) reads a variable, which was renamed since; the other
    two look for the package ``openvino_telemetry`` and do without where it cannot be imported.
    """
    for name in _ONNXRUNTIME:
        os.environ.setdefault(name, "1")
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
