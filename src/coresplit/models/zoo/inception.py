"""Inception v3, written from its paper: Szegedy et al., "Rethinking the Inception Architecture
for Computer Vision", CVPR 2016; section, figure and table numbers below are the paper's.

Attribute names are those of the widely published checkpoints, so that they load.
Every block is simple enough for ``torch.jit.script``.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

CLASSES = 1000
_EPSILON = 0.001
_IMAGENET_MEAN = (0.485, 0.456, 0.406)
_IMAGENET_STD = (0.229, 0.224, 0.225)


class BasicConv2d(nn.Module):
    """Convolution without bias, batch norm, ReLU: the unit of every block (section 7)."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int | tuple[int, int],
        stride: int = 1,
        padding: int | tuple[int, int] = 0,
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride=stride, padding=padding, bias=False)
        self.bn = nn.BatchNorm2d(outputs, eps=_EPSILON)

    def forward(self, x: Tensor) -> Tensor:
        """Shape [N, inputs, H, W] to [N, outputs, H', W']."""
        return functional.relu(self.bn(self.conv(x)), inplace=True)


def _across(inputs: int, outputs: int, length: int) -> BasicConv2d:
    return BasicConv2d(inputs, outputs, (1, length), padding=(0, length // 2))


def _down(inputs: int, outputs: int, length: int) -> BasicConv2d:
    return BasicConv2d(inputs, outputs, (length, 1), padding=(length // 2, 0))


def _smooth(x: Tensor) -> Tensor:
    return functional.avg_pool2d(x, kernel_size=3, stride=1, padding=1)


class InceptionA(nn.Module):
    """Figure 5, on the 35x35 grid: 1x1, 5x5, two stacked 3x3, and pooling side by side."""

    def __init__(self, inputs: int, pooled: int) -> None:
        super().__init__()
        self.branch1x1 = BasicConv2d(inputs, 64, 1)
        self.branch5x5_1 = BasicConv2d(inputs, 48, 1)
        self.branch5x5_2 = BasicConv2d(48, 64, 5, padding=2)
        self.branch3x3dbl_1 = BasicConv2d(inputs, 64, 1)
        self.branch3x3dbl_2 = BasicConv2d(64, 96, 3, padding=1)
        self.branch3x3dbl_3 = BasicConv2d(96, 96, 3, padding=1)
        self.branch_pool = BasicConv2d(inputs, pooled, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Shape [N, inputs, H, W] to [N, 224 + pooled, H, W]."""
        point = self.branch1x1(x)
        five = self.branch5x5_2(self.branch5x5_1(x))
        double = self.branch3x3dbl_3(self.branch3x3dbl_2(self.branch3x3dbl_1(x)))
        pool = self.branch_pool(_smooth(x))
        return torch.cat([point, five, double, pool], dim=1)


class InceptionB(nn.Module):
    """Figure 10: halves the 35x35 grid; convolutions and pooling of stride 2 side by side."""

    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.branch3x3 = BasicConv2d(inputs, 384, 3, stride=2)
        self.branch3x3dbl_1 = BasicConv2d(inputs, 64, 1)
        self.branch3x3dbl_2 = BasicConv2d(64, 96, 3, padding=1)
        self.branch3x3dbl_3 = BasicConv2d(96, 96, 3, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        """Shape [N, inputs, H, W] to [N, 480 + inputs, (H - 1) // 2, (W - 1) // 2]."""
        three = self.branch3x3(x)
        double = self.branch3x3dbl_3(self.branch3x3dbl_2(self.branch3x3dbl_1(x)))
        pool = functional.max_pool2d(x, kernel_size=3, stride=2)
        return torch.cat([three, double, pool], dim=1)


class InceptionC(nn.Module):
    """Figure 6 with n = 7, on the 17x17 grid: 7x7 kernels factorized into 1x7 and 7x1."""

    def __init__(self, inputs: int, width: int) -> None:
        super().__init__()
        self.branch1x1 = BasicConv2d(inputs, 192, 1)
        self.branch7x7_1 = BasicConv2d(inputs, width, 1)
        self.branch7x7_2 = _across(width, width, 7)
        self.branch7x7_3 = _down(width, 192, 7)
        self.branch7x7dbl_1 = BasicConv2d(inputs, width, 1)
        self.branch7x7dbl_2 = _down(width, width, 7)
        self.branch7x7dbl_3 = _across(width, width, 7)
        self.branch7x7dbl_4 = _down(width, width, 7)
        self.branch7x7dbl_5 = _across(width, 192, 7)
        self.branch_pool = BasicConv2d(inputs, 192, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Shape [N, inputs, H, W] to [N, 768, H, W]."""
        point = self.branch1x1(x)
        seven = self.branch7x7_3(self.branch7x7_2(self.branch7x7_1(x)))
        double = self.branch7x7dbl_3(self.branch7x7dbl_2(self.branch7x7dbl_1(x)))
        double = self.branch7x7dbl_5(self.branch7x7dbl_4(double))
        pool = self.branch_pool(_smooth(x))
        return torch.cat([point, seven, double, pool], dim=1)


class InceptionD(nn.Module):
    """Figure 10 again: halves the 17x17 grid, the second branch with factorized 7x7 kernels."""

    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.branch3x3_1 = BasicConv2d(inputs, 192, 1)
        self.branch3x3_2 = BasicConv2d(192, 320, 3, stride=2)
        self.branch7x7x3_1 = BasicConv2d(inputs, 192, 1)
        self.branch7x7x3_2 = _across(192, 192, 7)
        self.branch7x7x3_3 = _down(192, 192, 7)
        self.branch7x7x3_4 = BasicConv2d(192, 192, 3, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        """Shape [N, inputs, H, W] to [N, 512 + inputs, (H - 1) // 2, (W - 1) // 2]."""
        three = self.branch3x3_2(self.branch3x3_1(x))
        seven = self.branch7x7x3_3(self.branch7x7x3_2(self.branch7x7x3_1(x)))
        seven = self.branch7x7x3_4(seven)
        pool = functional.max_pool2d(x, kernel_size=3, stride=2)
        return torch.cat([three, seven, pool], dim=1)


class InceptionE(nn.Module):
    """Figure 7, on the 8x8 grid: branches that fan out into 1x3 and 3x1."""

    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.branch1x1 = BasicConv2d(inputs, 320, 1)
        self.branch3x3_1 = BasicConv2d(inputs, 384, 1)
        self.branch3x3_2a = _across(384, 384, 3)
        self.branch3x3_2b = _down(384, 384, 3)
        self.branch3x3dbl_1 = BasicConv2d(inputs, 448, 1)
        self.branch3x3dbl_2 = BasicConv2d(448, 384, 3, padding=1)
        self.branch3x3dbl_3a = _across(384, 384, 3)
        self.branch3x3dbl_3b = _down(384, 384, 3)
        self.branch_pool = BasicConv2d(inputs, 192, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Shape [N, inputs, H, W] to [N, 2048, H, W]."""
        point = self.branch1x1(x)
        three = self.branch3x3_1(x)
        double = self.branch3x3dbl_2(self.branch3x3dbl_1(x))
        pool = self.branch_pool(_smooth(x))
        return torch.cat(
            [
                point,
                self.branch3x3_2a(three),
                self.branch3x3_2b(three),
                self.branch3x3dbl_3a(double),
                self.branch3x3dbl_3b(double),
                pool,
            ],
            dim=1,
        )


class InceptionAux(nn.Module):
    """Figure 8 and section 4: the classifier on the 17x17 grid that regularizes training."""

    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.conv0 = BasicConv2d(inputs, 128, 1)
        self.conv1 = BasicConv2d(128, 768, 5)
        self.fc = nn.Linear(768, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        """Shape [N, inputs, 17, 17] to logits [N, 1000]."""
        x = functional.avg_pool2d(x, kernel_size=5, stride=3)
        x = self.conv1(self.conv0(x))
        x = functional.adaptive_avg_pool2d(x, (1, 1))
        logits: Tensor = self.fc(torch.flatten(x, 1))
        return logits


class Inception3(nn.Module):
    """Table 1. With ``auxiliary`` it has the training head, which the forward never runs."""

    def __init__(self, auxiliary: bool = False) -> None:
        super().__init__()
        self.Conv2d_1a_3x3 = BasicConv2d(3, 32, 3, stride=2)
        self.Conv2d_2a_3x3 = BasicConv2d(32, 32, 3)
        self.Conv2d_2b_3x3 = BasicConv2d(32, 64, 3, padding=1)
        self.maxpool1 = nn.MaxPool2d(kernel_size=3, stride=2)
        self.Conv2d_3b_1x1 = BasicConv2d(64, 80, 1)
        self.Conv2d_4a_3x3 = BasicConv2d(80, 192, 3)
        self.maxpool2 = nn.MaxPool2d(kernel_size=3, stride=2)
        self.Mixed_5b = InceptionA(192, pooled=32)
        self.Mixed_5c = InceptionA(256, pooled=64)
        self.Mixed_5d = InceptionA(288, pooled=64)
        self.Mixed_6a = InceptionB(288)
        self.Mixed_6b = InceptionC(768, width=128)
        self.Mixed_6c = InceptionC(768, width=160)
        self.Mixed_6d = InceptionC(768, width=160)
        self.Mixed_6e = InceptionC(768, width=192)
        if auxiliary:
            self.AuxLogits = InceptionAux(768)
        self.Mixed_7a = InceptionD(768)
        self.Mixed_7b = InceptionE(1280)
        self.Mixed_7c = InceptionE(2048)
        self.avgpool = nn.AdaptiveAvgPool2d((1, 1))
        self.dropout = nn.Dropout(p=0.5)
        self.fc = nn.Linear(2048, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        """Images [N, 3, S, S] with S of 75 or more to logits [N, 1000]."""
        x = self.Conv2d_2b_3x3(self.Conv2d_2a_3x3(self.Conv2d_1a_3x3(x)))
        x = self.maxpool1(x)
        x = self.Conv2d_4a_3x3(self.Conv2d_3b_1x1(x))
        x = self.maxpool2(x)
        x = self.Mixed_5d(self.Mixed_5c(self.Mixed_5b(x)))
        x = self.Mixed_6a(x)
        x = self.Mixed_6e(self.Mixed_6d(self.Mixed_6c(self.Mixed_6b(x))))
        x = self.Mixed_7a(x)
        x = self.Mixed_7c(self.Mixed_7b(x))
        x = self.dropout(self.avgpool(x))
        logits: Tensor = self.fc(torch.flatten(x, 1))
        return logits


def create(size: int) -> nn.Module:
    """Inception v3 for inference, without the auxiliary head; it is the same for every ``size``."""
    return Inception3()


def published_name(name: str) -> str | None:
    """The name of a key of a published checkpoint; None for those of the auxiliary head."""
    return None if name.startswith("AuxLogits.") else name


def take_imagenet_images(module: nn.Module) -> None:
    """Make a network that was trained on [-1, 1] images take images normalized like ImageNet's.

    The published weights expect this rescaling, ``x * 2 std + 2 mean - 1`` per channel, before the
    network. The first convolution has no padding and no bias, so the factor is folded into its
    weights and the offset into the mean of its batch norm: exact, and free in every forward.
    """
    assert isinstance(module, Inception3)
    first = module.Conv2d_1a_3x3
    factor = 2 * torch.tensor(_IMAGENET_STD)
    offset = 2 * torch.tensor(_IMAGENET_MEAN) - 1
    mean = first.bn.running_mean
    assert mean is not None
    with torch.no_grad():
        mean -= torch.einsum("oihw,i->o", first.conv.weight, offset)
        first.conv.weight *= factor.view(1, 3, 1, 1)
