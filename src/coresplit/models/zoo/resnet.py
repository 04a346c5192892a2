"""ResNet-50, written from its paper: He et al., "Deep Residual Learning for Image Recognition",
CVPR 2016; section, figure and table numbers below are the paper's.

One thing differs, as in the widely published checkpoints ("v1.5"): a block that halves the grid
does so in its 3x3 convolution, not in the 1x1 before it (Goyal et al., "Accurate, Large Minibatch
SGD", 2017, section 5.1). Attribute names are those of these checkpoints.
"""

import torch
from torch import Tensor, nn

CLASSES = 1000
_EXPANSION = 4


class Bottleneck(nn.Module):
    """Figure 5, right: 1x1 to fewer channels, 3x3, 1x1 to four times as many, plus a shortcut."""

    def __init__(self, inputs: int, width: int, stride: int) -> None:
        super().__init__()
        outputs = width * _EXPANSION
        self.conv1 = nn.Conv2d(inputs, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride=stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, outputs, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(outputs)
        self.relu = nn.ReLU(inplace=True)
        self.downsample: nn.Module | None = None
        if stride > 1 or inputs != outputs:
            self.downsample = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride=stride, bias=False), nn.BatchNorm2d(outputs)
            )

    def forward(self, x: Tensor) -> Tensor:
        """Shape [N, inputs, H, W] to [N, 4 width, H / stride, W / stride], rounded up."""
        shortcut = x
        if self.downsample is not None:
            shortcut = self.downsample(x)
        x = self.relu(self.bn1(self.conv1(x)))
        x = self.relu(self.bn2(self.conv2(x)))
        x = self.bn3(self.conv3(x))
        result: Tensor = self.relu(x + shortcut)
        return result


def _stage(inputs: int, width: int, blocks: int, stride: int) -> nn.Sequential:
    outputs = width * _EXPANSION
    first = Bottleneck(inputs, width, stride)
    return nn.Sequential(first, *(Bottleneck(outputs, width, 1) for _ in range(blocks - 1)))


class ResNet50(nn.Module):
    """Table 1, the column of 50 layers."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(kernel_size=3, stride=2, padding=1)
        self.layer1 = _stage(64, 64, blocks=3, stride=1)
        self.layer2 = _stage(256, 128, blocks=4, stride=2)
        self.layer3 = _stage(512, 256, blocks=6, stride=2)
        self.layer4 = _stage(1024, 512, blocks=3, stride=2)
        self.avgpool = nn.AdaptiveAvgPool2d((1, 1))
        self.fc = nn.Linear(512 * _EXPANSION, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        """Images [N, 3, S, S] to logits [N, 1000]."""
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        logits: Tensor = self.fc(torch.flatten(self.avgpool(x), 1))
        return logits


def create(size: int) -> nn.Module:
    """ResNet-50; it is the same for every ``size``."""
    return ResNet50()
