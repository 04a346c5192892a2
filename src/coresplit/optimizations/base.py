"""What an optimization is, what it is given, and what it gives back."""

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol

import msgspec

from coresplit.cache import Cache
from coresplit.records import Form, ModelInput

if TYPE_CHECKING:
    from torch import Tensor, nn


class PrepareRequest(msgspec.Struct, frozen=True, kw_only=True):
    """The model to prepare, and where it will run.

    Either ``module`` (in eval mode, its inputs by position, a tensor or a tuple of tensors as its
    output) or ``onnx`` (a model file) is set. ``identity`` names what the model computes: equal
    text, equal outputs. ``make_inputs`` takes a batch and a seed. It will run on the logical
    ``cpus``, one for each of its intra-op threads: a library that keeps to the affinity mask it
    was loaded under must be loaded under theirs. Artefacts go to ``cache``.
    """

    module: "nn.Module | None"
    onnx: Path | None = None
    inputs: tuple[ModelInput, ...]
    make_inputs: Callable[[int, int], "tuple[Tensor, ...]"]
    identity: str
    cpus: tuple[int, ...]
    cache: Cache

    @property
    def threads(self) -> int:
        """Intra-op threads."""
        return len(self.cpus)

    @property
    def form(self) -> Form:
        """What the model came as."""
        return "onnx" if self.module is None else "module"


class CompiledModel(Protocol):
    """A model that is ready to run.

    ``threads`` is the intra-op thread count as its library states it when asked after preparing,
    ``facts`` what else it states, such as its version and precision: text by name.
    """

    facts: dict[str, str]

    @property
    def threads(self) -> int:
        """Intra-op threads."""

    def bind(self, inputs: "tuple[Tensor, ...]") -> "Callable[[], tuple[Tensor, ...]]":
        """One forward over these inputs, of any batch, without copies where the library can.

        What a call returns may be overwritten by the next one.
        """


Makes = Literal["nothing", "export", "quantized", "compiled"]
"""What preparing leaves in the cache: one export or one quantized model for all instances, or code
that a compiler makes for each thread count."""


class Optimization(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A way to prepare a model for inference.

    ``lossy`` says that outputs differ from eager by more than rounding, on purpose. ``takes`` are
    the forms of a model it can start from. ``packages`` must be importable for it, and come with
    ``extra``; ``programs`` must be on the path. What preparing it ``makes`` tells how long that may
    take. ``prepared_by`` names a function as ``module:function``; it is imported when it is used.
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
        """The prepared model.

        Raises PrepareFailed where this optimization is known not to fit the model, and otherwise
        what the library raises: the caller knows what it was doing.
        """
        module, _, function = self.prepared_by.partition(":")
        prepare: Callable[[PrepareRequest], CompiledModel]
        prepare = getattr(import_module(module), function)
        return prepare(request)
