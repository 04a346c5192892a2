"""Networks that are prepared in no time, and what an optimization gets of them."""

import os
import warnings
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

from coresplit.cache import Cache
from coresplit.optimizations import PrepareRequest
from coresplit.records import ModelInput


class Images(nn.Module):
    """A convolution with what freezing and folding change, and scores of 30 classes."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3, bias=False)
        self.bn = nn.BatchNorm2d(8)
        self.fc = nn.Linear(800, 30)

    def forward(self, x: Tensor) -> Tensor:
        scores: Tensor = self.fc(torch.relu(self.bn(self.conv(x))).flatten(1))
        return scores


class Texts(nn.Module):
    """Tokens and a mask, both integers, to a tuple of two outputs."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(50, 16)
        self.hidden = nn.Linear(16, 32)
        self.scores = nn.Linear(32, 25)

    def forward(self, tokens: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        hidden = torch.relu(self.hidden(self.embedding(tokens)))
        hidden = hidden * mask.unsqueeze(-1).to(hidden.dtype)
        return self.scores(hidden), hidden.mean(1)


class Gathered(nn.Module):
    """Takes its inputs as one list of arguments, as a wrapper around another module does."""

    def __init__(self) -> None:
        super().__init__()
        self.network = Texts()

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        return tuple(self.network(*inputs))


class Convolution(nn.Module):
    """What oneDNN's tensors pass through from end to end."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU())

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.layers(x)
        return result


class Branches(nn.Module):
    """Two convolutions side by side and joined, as Inception has them."""

    def __init__(self) -> None:
        super().__init__()
        self.one = nn.Conv2d(3, 4, 3)
        self.other = nn.Conv2d(3, 4, 3)

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([self.one(x), self.other(x)], dim=1)


class Branching(nn.Module):
    """Neither scripted nor exported: its path depends on values, and its code on the type."""

    def forward(self, x: Tensor) -> Tensor:
        return x * 2 if float(x.sum()) > 0 and type(x).__name__ == "Tensor" else x - 1


class Counting(nn.Module):
    """Neither scripted nor traced: a trace takes the batch for a constant, and says nothing."""

    def forward(self, x: Tensor) -> Tensor:
        return x * len(x) if type(x).__name__ == "Tensor" else x


class Checking(nn.Module):
    """Traced, but not scripted: it looks at values, and at names of types."""

    @property
    def old_name(self) -> int:
        """What TorchScript reads, though nobody asked for it."""
        warnings.warn("`old_name` is deprecated", FutureWarning, stacklevel=1)
        return 1

    def forward(self, x: Tensor) -> Tensor:
        if bool((x > 1e9).any()) or type(x).__name__ != "Tensor":
            return x
        return x * 2


class Fixed(nn.Module):
    """Asks for its batch as a number, so that no code can be for any."""

    def forward(self, x: Tensor) -> Tensor:
        return x * range(1, 40)[len(x)]


IMAGES = (ModelInput(name="x", shape=(3, 12, 12)),)
VECTORS = (ModelInput(name="x", shape=(5,)),)
TEXTS = (
    ModelInput(name="tokens", shape=(6,), dtype="int64", low=0, high=49),
    ModelInput(name="mask", shape=(6,), dtype="int64", low=0, high=1),
)

NETWORKS: dict[str, tuple[Callable[[], nn.Module], tuple[ModelInput, ...]]] = {
    "images": (Images, IMAGES),
    "texts": (Texts, TEXTS),
    "gathered": (Gathered, TEXTS),
    "convolution": (Convolution, IMAGES),
    "branches": (Branches, IMAGES),
    "fixed": (Fixed, VECTORS),
    "branching": (Branching, VECTORS),
    "counting": (Counting, VECTORS),
    "checking": (Checking, VECTORS),
}


def subject_of(network: str, cache: Path, threads: int = 1) -> PrepareRequest:
    """The subject of a network with seeded weights; its batch norms have seen something."""
    create, inputs = NETWORKS[network]
    torch.manual_seed(0)
    module = create()
    draw = maker(inputs)
    with torch.no_grad():
        module.train()(*draw(32, 99))
    return PrepareRequest(
        module=module.eval(),
        inputs=inputs,
        make_inputs=draw,
        identity=network,
        cpus=tuple(sorted(os.sched_getaffinity(0)))[:threads],
        cache=Cache(cache),
    )


def maker(inputs: tuple[ModelInput, ...]) -> Callable[[int, int], tuple[Tensor, ...]]:
    """Draws inputs of a batch and a seed."""

    def draw(batch: int, seed: int) -> tuple[Tensor, ...]:
        generator = torch.Generator().manual_seed(seed)
        return tuple(_draw(each, batch, generator) for each in inputs)

    return draw


def _draw(each: ModelInput, batch: int, generator: torch.Generator) -> Tensor:
    shape = (batch, *each.shape)
    if each.low is None or each.high is None:
        return torch.randn(shape, generator=generator)
    return torch.randint(each.low, each.high + 1, shape, generator=generator)
