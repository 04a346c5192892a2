"""A real instance of a server, and the memory its requests lie in."""

import os
import select
from collections.abc import Sequence
from pathlib import Path

import msgspec
import numpy as np
import pytest
import torch
from torch import Tensor

from coresplit.instance import Arena, Blocks, InstanceSpec, Process
from coresplit.instance.messages import Infer, Inferred, Ready, Reply, Rows, Serve, Text
from coresplit.machine.inspection import inspect
from coresplit.models import ModelSpec, parse_input

CORES = inspect().usable_cores
SIZE = 2**22
BATCHES = (1, 2, 4)
INPUTS = ("x=3x8x8", "ids=4:int64:0-49", "mask=4:bool")
MODULE = """
import torch
from torch import nn

class Three(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.embedding = nn.Embedding(50, 4)
        self.fc = nn.Linear(8, 5)

    def forward(self, x, ids, mask):
        seen = torch.relu(self.conv(x)).mean((2, 3))
        read = (self.embedding(ids) * mask.unsqueeze(-1).to(x.dtype)).sum(1)
        return self.fc(torch.cat([seen, read], 1)), ids * 2 + mask.to(torch.int64)

class Turned(nn.Module):
    def forward(self, x):
        return x.transpose(1, 2), x[:, ::2, 1:], x[:, 0, :1].expand(-1, 3)

class Crossed(nn.Module):
    def forward(self, x):
        return x @ x.T
"""


def make_importable(folder: Path, patch: pytest.MonkeyPatch) -> None:
    """The module above can be imported, by instances too."""
    (folder / "served_networks.py").write_text(MODULE)
    patch.syspath_prepend(str(folder))
    patch.setenv("PYTHONPATH", os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")]))


def model(name: str = "served_networks:Three", inputs: Sequence[str] = INPUTS) -> ModelSpec:
    return ModelSpec(name=name, inputs=tuple(map(parse_input, inputs)), trust=True)


def spec(optimization: str = "none", **changes: object) -> InstanceSpec:
    base = InstanceSpec(
        model=model(),
        optimization=optimization,
        cpus=CORES[:1],
        home=CORES[:1],
        serve=Serve(batches=BATCHES, arena_size=SIZE),
    )
    return msgspec.structs.replace(base, **changes)


class Front:
    """An instance, and the memory its requests lie in."""

    def __init__(self, wanted: InstanceSpec) -> None:
        self.arena = Arena.create(SIZE)
        self.blocks = Blocks(SIZE, 8)
        self.process = Process(wanted, self.arena)

    def reply(self) -> Reply:
        """The next reply, waited for as an event loop does."""
        while (found := self.process.poll()) is None:
            assert select.select([self.process], [], [], 120)[0]
        return found

    def ready(self) -> Ready:
        found = self.reply()
        assert isinstance(found, Ready), found
        return found

    def put(self, data: bytes) -> int:
        offset = self.blocks.take(len(data))
        assert offset is not None
        self.arena.view(offset, len(data))[:] = data
        return offset

    def raw(self, inputs: Sequence[Tensor]) -> Rows:
        """One request in binary."""
        return self.rows(len(inputs[0]), [self.put(each.numpy().tobytes()) for each in inputs])

    def text(self, text: str, skip: int = 0, rows: int | None = None) -> Text:
        data = text.encode()
        return Text(offset=self.put(data), size=len(data), skip=skip, rows=rows)

    def rows(self, count: int, inputs: Sequence[int | Text]) -> Rows:
        outputs = (self.put(b"\xff" * 20 * count), self.put(b"\xff" * 32 * count))
        return Rows(count=count, inputs=tuple(inputs), outputs=outputs)

    def infer(self, *rows: Rows) -> Inferred:
        self.process.send(Infer(rows=rows))
        found = self.reply()
        assert isinstance(found, Inferred), found
        assert len(found.refused) == len(rows)
        return found

    def outputs(self, rows: Rows) -> tuple[Tensor, Tensor]:
        """Scores [N, 5] and doubled ids [N, 4]."""
        scores = bytes(self.arena.view(rows.outputs[0], 20 * rows.count))
        ids = bytes(self.arena.view(rows.outputs[1], 32 * rows.count))
        return (
            torch.from_numpy(np.frombuffer(scores, np.float32).reshape(-1, 5).copy()),
            torch.from_numpy(np.frombuffer(ids, np.int64).reshape(-1, 4).copy()),
        )

    def close(self) -> None:
        self.process.close()
        self.arena.close()
