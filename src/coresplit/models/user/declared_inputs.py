"""Combine the inputs that a model declares with those that the user describes."""

from collections.abc import Sequence

import msgspec

from coresplit.errors import UsageError
from coresplit.models.input_spec import UNNAMED
from coresplit.records import ModelInput


class Stated(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One input as a model declares it.

    ``shape`` is without the batch; text in it names a dynamic dimension, and equal texts the same
    dimension. ``default`` is the shape if none is given.
    """

    name: str
    shape: tuple[int | str, ...]
    dtype: str = "float32"
    low: int | None = None
    high: int | None = None
    default: tuple[int, ...] | None = None

    def __str__(self) -> str:
        """Format it for ``parse_input``, with dynamic dimensions by name."""
        sizes = "x".join(map(str, self.shape)) or "scalar"
        return f"{self.name}={sizes}:{self.dtype}"

    def of(self, shape: tuple[int, ...]) -> ModelInput:
        """The input with this shape."""
        return ModelInput(
            name=self.name, shape=shape, dtype=self.dtype, low=self.low, high=self.high
        )


def settle(
    model: str, stated: Sequence[Stated], given: Sequence[ModelInput]
) -> tuple[ModelInput, ...]:
    """The inputs of a model in its order, as declared, completed by those given.

    Raises ``UsageError`` for a name, shape or type that does not fit, and for a dynamic dimension
    without a size.
    """
    by_name = named(model, [each.name for each in stated], given, " ".join(map(str, stated)))
    known: dict[str, int] = {}
    for each in stated:
        if each.name in by_name:
            _bind(model, each, by_name[each.name], known)
    return tuple(_settled(model, each, by_name.get(each.name), known) for each in stated)


def named(
    model: str, names: Sequence[str], given: Sequence[ModelInput], takes: str
) -> dict[str, ModelInput]:
    """The given inputs by name; a single unnamed one gets the first of ``names``.

    Raises ``UsageError`` for a name that is given twice or not in ``names``.
    """
    found: dict[str, ModelInput] = {}
    for each in given:
        name = each.name
        if name not in names and name == UNNAMED and len(given) == 1 and names:
            name = names[0]
        if name in found:
            raise UsageError(
                f"input '{name}' is given twice; {model} takes {takes}", option="input"
            )
        if name not in names:
            raise UsageError(f"{model} has no input '{name}'; it takes {takes or 'none'}")
        found[name] = msgspec.structs.replace(each, name=name)
    return found


def _bind(model: str, stated: Stated, given: ModelInput, known: dict[str, int]) -> None:
    """Check one input and record the dynamic dimensions that it determines."""
    fits = len(stated.shape) == len(given.shape) and stated.dtype == given.dtype
    for wanted, size in zip(stated.shape, given.shape, strict=False):
        fits = (
            fits and (known.setdefault(wanted, size) if isinstance(wanted, str) else wanted) == size
        )
    if not fits:
        raise UsageError(
            f"input {given} does not fit {model}, which takes {stated}", option="input"
        )


def _settled(
    model: str, stated: Stated, given: ModelInput | None, known: dict[str, int]
) -> ModelInput:
    if given is not None:
        if given.low is not None:
            return given
        return stated.of(given.shape)
    sizes = [known.get(size) if isinstance(size, str) else size for size in stated.shape]
    shape = tuple(size for size in sizes if size is not None)
    if len(shape) == len(sizes):
        return stated.of(shape)
    if stated.default is not None:
        return stated.of(stated.default)
    free = stated.shape[sizes.index(None)]
    example = stated.of(tuple(128 if size is None else size for size in sizes))
    raise UsageError(
        f"{model}: dimension '{free}' of input '{stated.name}' is dynamic",
        "give it: {option}",
        f"input={example}",
    )
