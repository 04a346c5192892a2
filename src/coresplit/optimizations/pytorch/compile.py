"""torch.compile with its default backend, inductor; also frozen, with images in NHWC."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch._dynamo.exc import BackendCompilerFailed
from torch._dynamo.utils import counters

from coresplit.errors import PrepareFailed
from coresplit.optimizations.base import CompiledModel, PrepareRequest
from coresplit.optimizations.libraries import root_cause, versions, without_deprecation
from coresplit.optimizations.pytorch import channels_last
from coresplit.optimizations.pytorch.eager import TorchModel

# inductor lowers convolutions differently for 1 input and from 16 inputs on
_BATCHES = (4, 1, 16)
_MOST_RECOMPILES = 64


def prepare(request: PrepareRequest) -> CompiledModel:
    """Compile the module."""
    assert request.module is not None
    return _compiled(request, request.module, freezing=False, facts={})


def prepare_frozen(request: PrepareRequest) -> CompiledModel:
    """Compile the module with its weights as constants, in NHWC if it has images."""
    facts = {"weights": "frozen"}
    try:
        module = channels_last.lay_out(request)
    except PrepareFailed:
        assert request.module is not None
        return _compiled(request, request.module, freezing=True, facts=facts)
    function = channels_last.on_nhwc(module)
    return _compiled(request, function, freezing=True, facts=facts | channels_last.FACTS)


@without_deprecation()
def _compiled(
    request: PrepareRequest, function: Callable[..., Any], *, freezing: bool, facts: dict[str, str]
) -> CompiledModel:
    """Compile ``function`` with a dynamic batch and run it, so that later batch sizes are ready.

    Inductor generates different code for 1 input and for several, with the number of threads
    built in. The code is kept in the cache, and compiled again if it is damaged. A model that only
    compiles for fixed batch sizes is compiled for each on first use. This changes settings of the
    process. Raises PrepareFailed if the model cannot be compiled at all.
    """
    _require_plain_paths(request)
    folder = _configure(request)
    try:
        return _compile(request, function, freezing=freezing, dynamic=True, facts=facts)
    except Exception as error:
        # a process that was killed while compiling leaves truncated libraries
        damaged = isinstance(error, BackendCompilerFailed | OSError | ImportError)
    if damaged:
        shutil.rmtree(folder, ignore_errors=True)
        _configure(request)
    for dynamic in (True, False) if damaged else (False,):
        torch._dynamo.reset()
        try:
            return _compile(request, function, freezing=freezing, dynamic=dynamic, facts=facts)
        except Exception as error:
            said = root_cause(getattr(error, "inner_exception", error))
    raise PrepareFailed(f"the model cannot be compiled: {said}")


def _require_plain_paths(request: PrepareRequest) -> None:
    """Refuse paths with spaces: inductor passes paths to the compiler without quotes."""
    for path in (Path(torch.__file__).parent, request.cache.root):
        if " " in str(path):
            raise PrepareFailed(
                f"torch.compile does not work because '{path}' has a space in it; move the "
                "environment or the cache (CORESPLIT_CACHE)"
            )


def _configure(request: PrepareRequest) -> Path:
    key = {**versions("torch"), "cpu": torch.backends.cpu.get_cpu_capability()}
    folder = request.cache.folder("inductor", key)
    os.environ["TORCHINDUCTOR_CACHE_DIR"] = str(folder)
    # the cache refuses files that others can write; inductor creates files by the umask
    os.umask(0o077)
    # compile in this process: worker processes would stay alive during measurements
    torch._inductor.config.compile_threads = 1
    # beyond its limit, dynamo would run eagerly, with at most a warning
    torch._dynamo.config.recompile_limit = _MOST_RECOMPILES
    torch._dynamo.config.fail_on_recompile_limit_hit = True
    return folder


def _compile(
    request: PrepareRequest,
    function: Callable[..., Any],
    *,
    freezing: bool,
    dynamic: bool,
    facts: dict[str, str],
) -> TorchModel:
    before = counters["stats"]["unique_graphs"]
    # None: dynamic only where marked, so that image sizes stay constant
    forward = torch.compile(
        function, dynamic=None if dynamic else False, options={"freezing": freezing}
    )
    prepared = TorchModel(forward, facts)
    for batch in _BATCHES if dynamic else _BATCHES[:1]:
        inputs = request.make_inputs(batch, 0)
        if dynamic and batch > 1:
            for each in inputs:
                torch._dynamo.mark_dynamic(each, 0)
        prepared.bind(inputs)()
    prepared.facts |= {
        "batch": "any" if dynamic else "compiled for each",
        "graphs": str(counters["stats"]["unique_graphs"] - before),
    }
    return prepared
