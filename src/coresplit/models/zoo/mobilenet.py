"""MobileNetV3-Large, written from its paper: Howard et al., "Searching for MobileNetV3",
ICCV 2019; section, figure and table numbers below are the paper's.

Attribute names are those of the widely published checkpoints. Squeeze-and-excite is Hu et al.,
"Squeeze-and-Excitation Networks", CVPR 2018.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn

CLASSES = 1000
_EPSILON, _MOMENTUM = 0.001, 0.01
_LAST = 1280
_DIVISOR = 8


class _Row(NamedTuple):
    """A block of table 1; ``excite`` means squeeze-and-excite."""

    kernel: int
    expanded: int
    outputs: int
    excite: bool
    hard_swish: bool
    stride: int


_TABLE_1 = (
    _Row(3, 16, 16, False, False, 1),
    _Row(3, 64, 24, False, False, 2),
    _Row(3, 72, 24, False, False, 1),
    _Row(5, 72, 40, True, False, 2),
    _Row(5, 120, 40, True, False, 1),
    _Row(5, 120, 40, True, False, 1),
    _Row(3, 240, 80, False, True, 2),
    _Row(3, 200, 80, False, True, 1),
    _Row(3, 184, 80, False, True, 1),
    _Row(3, 184, 80, False, True, 1),
    _Row(3, 480, 112, True, True, 1),
    _Row(3, 672, 112, True, True, 1),
    _Row(5, 672, 160, True, True, 2),
    _Row(5, 960, 160, True, True, 1),
    _Row(5, 960, 160, True, True, 1),
)


def _rounded(channels: float) -> int:
    """The nearest multiple of eight, at most a tenth below ``channels`` (code of section 6.1)."""
    nearest = max(_DIVISOR, int(channels + _DIVISOR / 2) // _DIVISOR * _DIVISOR)
    return nearest + _DIVISOR if nearest < 0.9 * channels else nearest


def _activation(hard_swish: bool) -> nn.Module:
    return nn.Hardswish(inplace=True) if hard_swish else nn.ReLU(inplace=True)


def _unit(
    inputs: int,
    outputs: int,
    kernel: int,
    *,
    stride: int = 1,
    groups: int = 1,
    activation: nn.Module | None = None,
) -> nn.Sequential:
    """Convolution without bias, batch norm, and an activation if there is one."""
    layers: list[nn.Module] = [
        nn.Conv2d(
            inputs,
            outputs,
            kernel,
            stride=stride,
            padding=kernel // 2,
            groups=groups,
            bias=False,
        ),
        nn.BatchNorm2d(outputs, eps=_EPSILON, momentum=_MOMENTUM),
    ]
    return nn.Sequential(*layers, *([activation] if activation is not None else []))


class SqueezeExcitation(nn.Module):
    """Section 5.3: every channel is scaled by a gate computed from the means of all channels."""

    def __init__(self, channels: int, squeezed: int) -> None:
        super().__init__()
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc1 = nn.Conv2d(channels, squeezed, 1)
        self.fc2 = nn.Conv2d(squeezed, channels, 1)
        self.activation = nn.ReLU()
        self.scale_activation = nn.Hardsigmoid()

    def forward(self, x: Tensor) -> Tensor:
        """Shape [N, channels, H, W] to the same."""
        gate: Tensor = self.fc2(self.activation(self.fc1(self.avgpool(x))))
        gate = self.scale_activation(gate)
        return gate * x


class InvertedResidual(nn.Module):
    """Figure 4: expand, depthwise convolution, squeeze-and-excite, project, plus a shortcut."""

    def __init__(self, inputs: int, row: _Row) -> None:
        super().__init__()
        wide = row.expanded
        layers: list[nn.Module] = []
        if wide != inputs:
            layers.append(_unit(inputs, wide, 1, activation=_activation(row.hard_swish)))
        layers.append(
            _unit(
                wide,
                wide,
                row.kernel,
                stride=row.stride,
                groups=wide,
                activation=_activation(row.hard_swish),
            )
        )
        if row.excite:
            layers.append(SqueezeExcitation(wide, _rounded(wide / 4)))
        layers.append(_unit(wide, row.outputs, 1))
        self.block = nn.Sequential(*layers)
        self.residual = row.stride == 1 and inputs == row.outputs

    def forward(self, x: Tensor) -> Tensor:
        """Shape [N, inputs, H, W] to [N, outputs, H / stride, W / stride], rounded up."""
        result: Tensor = self.block(x)
        return result + x if self.residual else result


class MobileNetV3Large(nn.Module):
    """Table 1."""

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = [_unit(3, 16, 3, stride=2, activation=_activation(True))]
        inputs = 16
        for row in _TABLE_1:
            layers.append(InvertedResidual(inputs, row))
            inputs = row.outputs
        layers.append(_unit(inputs, 6 * inputs, 1, activation=_activation(True)))
        self.features = nn.Sequential(*layers)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Sequential(
            nn.Linear(6 * inputs, _LAST),
            nn.Hardswish(inplace=True),
            nn.Dropout(p=0.2, inplace=True),
            nn.Linear(_LAST, CLASSES),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Images [N, 3, S, S] to logits [N, 1000]."""
        x = self.avgpool(self.features(x))
        logits: Tensor = self.classifier(torch.flatten(x, 1))
        return logits


def create(size: int) -> nn.Module:
    """MobileNetV3-Large; it is the same for every ``size``."""
    return MobileNetV3Large()
