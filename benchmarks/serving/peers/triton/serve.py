"""Triton on the CPU, from the wheel of PyTriton, with a model for its Python backend.

What the wheel lacks is given here: where the interpreter's library is, and the program that runs
Python models, of which it has one for each version of Python.
"""

import os
import shutil
import sys
import sysconfig
import tempfile
from pathlib import Path
from string import Template

import numpy as np
from served import Tensor, options

given = options()


def described(tensors: tuple[Tensor, ...]) -> str:
    """Inputs or outputs as the configuration has them."""
    return ", ".join(
        f'{{ name: "{each.name}" data_type: TYPE_{each.datatype} dims: {list(each.shape)} }}'
        for each in tensors
    )


if __name__ == "__main__":
    here = Path(__file__).parent
    site = Path(np.__file__).parents[1]
    server = site / "pytriton" / "tritonserver"
    folder = Path(tempfile.mkdtemp(prefix="triton-"))
    models, backends = folder / "models", folder / "backends"
    shutil.copytree(here / "model", models / "model")
    # the only folder for imports that it adds is that of the model
    shutil.copy(here.parent / "served.py", models / "model" / "1")
    delay = f"max_queue_delay_microseconds: {given.delay_ms * 1000}"
    policy = (
        "default_queue_policy { timeout_action: REJECT"
        f" default_timeout_microseconds: {given.timeout_ms * 1000} }}"
    )
    more = f"{delay} {policy if given.timeout_ms else ''}"
    batching = f"dynamic_batching {{ preferred_batch_size: [ {given.batch} ] {more} }}"
    text = Template((here / "config.pbtxt").read_text()).substitute(
        inputs=described(given.inputs),
        outputs=described(given.outputs),
        workers=given.workers,
        batching=batching if given.batch > 1 or given.timeout_ms else "",
    )
    (models / "model" / "config.pbtxt").write_text(text)
    shutil.copytree(server / "backends", backends)
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    stub = backends / "python" / "triton_python_backend_stub"
    stub.unlink(missing_ok=True)
    stub.symlink_to(server / "python_backend_stubs" / version / stub.name)
    os.environ["LD_LIBRARY_PATH"] = str(sysconfig.get_config_var("LIBDIR"))
    # its Python is that of this environment where it finds its interpreter first
    os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    program = server / "bin" / "tritonserver"
    own = ["--http-address", "127.0.0.1", "--http-port", str(given.port)]
    quiet = ["--allow-grpc", "false", "--allow-metrics", "false", "--log-info", "false"]
    where = ["--model-repository", str(models), "--backend-directory", str(backends)]
    os.execv(program, [str(program), *where, *own, *quiet])
