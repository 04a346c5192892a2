"""Run a user's model a few times, to refuse models that cannot be measured over batches."""

from collections.abc import Callable

import torch
from torch import Tensor

from coresplit.errors import UsageError
from coresplit.format import first_line

Tensors = tuple[Tensor, ...]
Run = Callable[[Tensors], Tensors]

BATCH = 3
_CLOSE = 1e-3
_EXPORT = "export it again with a dynamic batch"


def check_runs(model: str, run: Run, inputs: Tensors, remedy: str = _EXPORT) -> None:
    """Raise ``UsageError`` if outputs do not follow the batch size or are random.

    ``inputs`` have a batch of three; the model must not modify them. ``remedy`` says how to fix a
    model without a batch dimension.
    """
    before = tuple(each.clone() for each in inputs)
    one = _attempt(model, run, tuple(each[:1] for each in inputs), remedy)
    many = _attempt(model, run, inputs, remedy, after=one)
    if one is None:
        raise UsageError(f"{model} runs on a batch of {BATCH} but not of 1; {remedy}")
    assert many is not None
    for batch, outputs in ((1, one), (BATCH, many)):
        for index, each in enumerate(outputs):
            if each.ndim == 0 or each.shape[0] != batch:
                raise UsageError(
                    f"{model} has no batch dimension: output {index} has shape "
                    f"{list(each.shape)} for a batch of {batch}; {remedy}"
                )
    if not all(torch.equal(old, new) for old, new in zip(before, inputs, strict=True)):
        raise UsageError(f"{model} changes its inputs in place; let it work on a copy")
    again = run(inputs)
    if not all(_same(old, new) for old, new in zip(many, again, strict=True)):
        raise UsageError(
            f"the outputs of {model} are random (dropout or sampling left on?); "
            "put it into eval mode or give it a fixed seed of its own"
        )


def rows_differ(run: Run, inputs: Tensors) -> str | None:
    """How the outputs of a batch of three differ from single ones; None if they do not."""
    many = run(inputs)
    for row in range(BATCH):
        one = run(tuple(each[row : row + 1] for each in inputs))
        for index, (each, alone) in enumerate(zip(many, one, strict=True)):
            if each.ndim == 0 or each.shape[0] != BATCH or each.shape[1:] != alone.shape[1:]:
                return f"output {index} has shape {list(each.shape)} for a batch of {BATCH}"
            if not _close(each[row : row + 1], alone):
                return f"output {index} of {BATCH} inputs at once differs from that of one"
    return None


def shapes_of(tensors: Tensors) -> str:
    """Shapes and types for a message: ``[3, 128] int64, [3, 128] int64``."""
    return ", ".join(f"{list(each.shape)} {str(each.dtype)[6:]}" for each in tensors)


def _attempt(
    model: str, run: Run, inputs: Tensors, remedy: str, after: Tensors | None = None
) -> Tensors | None:
    """One run; None if a single input fails, because a batch of three may still run."""
    try:
        return run(inputs)
    except Exception as error:
        if len(inputs[0]) == 1:
            return None
        if after is not None:
            raise UsageError(
                f"{model} runs on a batch of 1 but not of {BATCH} ({first_line(error)}); {remedy}"
            ) from error
        raise UsageError(
            f"{model} cannot run on inputs of shape {shapes_of(inputs)}: {first_line(error)}"
        ) from error


def _same(first: Tensor, second: Tensor) -> bool:
    """True if both are equal, with NaN equal to NaN."""
    both = (first != first) & (second != second)  # noqa: PLR0124 (true of a NaN alone)
    return bool(((first == second) | both).all())


def _close(first: Tensor, second: Tensor) -> bool:
    if not (first.is_floating_point() or first.is_complex()):
        return torch.equal(first, second)
    finite = second[second.isfinite()]
    scale = float(finite.abs().max()) if finite.numel() else 0.0
    return torch.allclose(first, second, rtol=_CLOSE, atol=_CLOSE * scale, equal_nan=True)
