"""Tiny networks and files of them, for the tests of users' own models."""

import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import msgspec
import onnx
import pytest
import torch
from onnx import TensorProto, helper
from torch import Tensor, nn

from coresplit.errors import CoresplitError
from coresplit.models import BuiltModel, ModelSpec, build, parse_input

Shapes = tuple[object, ...] | None
BATCH = torch.export.Dim("batch")


class Net(nn.Module):
    """Convolution, batch norm and a linear layer on 3x8x8 images."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.bn = nn.BatchNorm2d(4)
        self.fc = nn.Linear(4 * 6 * 6, 5)

    def forward(self, x: Tensor) -> Tensor:
        """Shape [N, 3, 8, 8] to [N, 5]."""
        x = torch.relu(self.bn(self.conv(x)))
        return self.fc(x.view(x.size(0), -1))  # type: ignore[no-any-return]


class Texts(nn.Module):
    """Embedding, and a mask of the same length."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(50, 8)
        self.fc = nn.Linear(8, 4)

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        """Shapes [N, L] and [N, L] to [N, L, 4]."""
        return self.fc(self.embedding(ids) * mask.unsqueeze(-1))  # type: ignore[no-any-return]


def built(name: object, *inputs: str, **fields: object) -> BuiltModel:
    """The model of that name, trusted, with the inputs as ``--input`` gives them."""
    given = tuple(parse_input(text) for text in inputs)
    return build(
        msgspec.convert({"name": str(name), "inputs": given, "trust": True} | fields, ModelSpec)
    )


def refused(name: object, *inputs: str, **fields: object) -> str:
    """The one line that refuses the model."""
    with pytest.raises(CoresplitError) as caught:
        built(name, *inputs, **fields)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def outputs(model: BuiltModel, batch: int = 3) -> tuple[Tensor, ...]:
    """What a module puts out for seeded inputs."""
    assert model.module is not None
    with torch.inference_mode():
        found = model.module(*model.make_inputs(batch, 0))
    return found if isinstance(found, tuple) else (found,)


@contextmanager
def exporting() -> Iterator[None]:
    """Without the notes of torch's exporters, which say nothing about the model."""
    logger = logging.getLogger("torch.onnx._internal.exporter._registration")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


def save_onnx(module: nn.Module, path: Path, *example: Tensor, shapes: Shapes = None) -> Path:
    """Export a module, with a batch fixed at that of the example unless ``shapes`` free it."""
    with exporting():
        program = torch.onnx.export(
            module.eval(), example, dynamo=True, verbose=False, dynamic_shapes=shapes
        )
    assert program is not None
    program.save(path)
    return path


def save_program(module: nn.Module, path: Path, *example: Tensor, shapes: Shapes = None) -> Path:
    """Save a program of torch.export."""
    program = torch.export.export(module.eval(), example, dynamic_shapes=shapes)
    torch.export.save(program, path)
    return path


def save_script(module: nn.Module, path: Path) -> Path:
    """Save a TorchScript archive."""
    with exporting():
        torch.jit.save(torch.jit.script(module.eval()), path)
    return path


def save_graph(
    path: Path,
    nodes: Sequence[onnx.NodeProto],
    inputs: dict[str, Sequence[int | str | None]],
    results: dict[str, Sequence[int | str | None]],
    *,
    kind: int = TensorProto.FLOAT,
    weights: Sequence[TensorProto] = (),
) -> Path:
    """Write an ONNX file by hand."""
    graph = helper.make_graph(
        nodes,
        "graph",
        [helper.make_tensor_value_info(name, kind, shape) for name, shape in inputs.items()],
        [helper.make_tensor_value_info(name, kind, shape) for name, shape in results.items()],
        weights,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.save(model, path)
    return path
