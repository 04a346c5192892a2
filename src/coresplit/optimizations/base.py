"""The records of an optimization, of its input and of the model it prepares."""

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol

import msgspec

from coresplit.cache import Cache
from coresplit.records import Form, ModelInput

if TYPE_CHECKING:
    from torch import Tensor, nn


Forward = Callable[[], "tuple[Tensor, ...]"]
"""Runs one forward and returns its outputs."""


class Artifact(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A file from which a prepared model is loaded again.

    ``loaded_by`` is ``module:function``, imported on use; it takes the path and the logical CPUs.
    """

    path: str
    loaded_by: str

    def load(self, cpus: tuple[int, ...]) -> "CompiledModel":
        """Load the model to run on these CPUs; raises whatever the library raises."""
        module, _, function = self.loaded_by.partition(":")
        load: Callable[[Path, tuple[int, ...]], CompiledModel]
        load = getattr(import_module(module), function)
        return load(Path(self.path), cpus)


class PrepareRequest(msgspec.Struct, frozen=True, kw_only=True):
    """The model to prepare, and where it will run.

    Either ``module`` (in eval mode, takes its inputs by position, returns a tensor or a tuple of
    tensors) or ``onnx`` (a model file) is set. Models with the same ``identity`` compute the same
    outputs. ``make_inputs`` takes a batch size and a seed. The model runs on the logical ``cpus``,
    one for each intra-op thread. A library that keeps the affinity mask it was loaded under must
    be loaded under theirs. Artifacts go to ``cache``. If ``others`` will load the model too, it is
    worth storing an artifact for them.
    """

    module: "nn.Module | None"
    onnx: Path | None = None
    inputs: tuple[ModelInput, ...]
    make_inputs: Callable[[int, int], "tuple[Tensor, ...]"]
    identity: str
    cpus: tuple[int, ...]
    cache: Cache
    others: bool = False

    @property
    def threads(self) -> int:
        """Intra-op threads."""
        return len(self.cpus)

    @property
    def form(self) -> Form:
        """Whether the model is a PyTorch module or an ONNX file."""
        return "onnx" if self.module is None else "module"


class CompiledModel(Protocol):
    """A model that is ready to run.

    ``threads`` is the intra-op thread count that its library reports after preparing. ``facts``
    holds other reported values, such as version and precision, as text by name.
    """

    facts: dict[str, str]

    @property
    def threads(self) -> int:
        """Intra-op threads."""

    @property
    def artifact(self) -> Artifact | None:
        """The artifact from which others load it; None if there is none."""

    def bind(self, inputs: "tuple[Tensor, ...]", like: Forward | None = None) -> Forward:
        """Return a function that runs one forward on these inputs of any batch size.

        Inputs are not copied if the library allows it. Each call may overwrite the outputs of the
        previous one. If ``like`` is given, a forward on inputs of the same shapes, both may share
        memory, so that a call of either overwrites the outputs of the other.
        """


Makes = Literal["nothing", "export", "quantized", "compiled"]
"""What preparing leaves in the cache in any case: one export or one quantized model for all
instances, or compiled code for each thread count."""


class Optimization(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A way to prepare a model for inference.

    ``lossy`` optimizations change outputs by more than rounding, on purpose. ``takes`` lists the
    forms of a model that it supports. ``packages`` must be importable and come with ``extra``;
    ``programs`` must be on the path. ``makes`` is what it leaves in the cache, which determines
    how long preparing may take. ``prepared_by`` is ``module:function``, imported on use.
    """

    name: str
    title: str
    description: str
    lossy: bool = False
    takes: tuple[Form, ...] = ("module",)
    packages: tuple[str, ...]
    extra: str
    programs: tuple[str, ...] = ()
    makes: Makes = "nothing"
    prepared_by: str

    def prepare(self, request: PrepareRequest) -> CompiledModel:
        """Prepare the model.

        Raises PrepareFailed if this optimization does not support the model, and otherwise
        whatever the library raises.
        """
        module, _, function = self.prepared_by.partition(":")
        prepare: Callable[[PrepareRequest], CompiledModel]
        prepare = getattr(import_module(module), function)
        return prepare(request)
