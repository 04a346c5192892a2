"""Random weights that make the outputs of a network depend on its input.

With torch's own initial values every input gives nearly the same output, so comparing the outputs
of two optimizations would prove nothing. Three known remedies are combined here:

- weights are uniform with the variance of He et al., "Delving Deep into Rectifiers" (ICCV 2015),
  which keeps the scale of activations over the layers;
- the mean of every filter of a convolution or hidden linear layer is subtracted (Qiao et al.,
  "Micro-Batch Training with Weight Standardization", 2019): otherwise the activations of an image
  brighter than the calibration images grow by up to a fifth in every layer and drown all others;
- batch norm takes its mean and variance, and a linear layer its bias, from one forward over
  structured images (the data-dependent start of Salimans and Kingma, NeurIPS 2016).

The last two are for networks with batch norm. A layer norm takes its statistics from the input
itself, so networks with layer norm need only the first.
"""

import math

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from coresplit.models.inputs import structured_images

_TILE = 75
_TILES = 16
_LARGEST_CALIBRATION = 299
_RANDOM_FILLS = {"uniform_", "normal_", "trunc_normal_", "kaiming_uniform_"}


class WithoutFirstValues(TorchFunctionMode):
    """Modules created in this context skip random initial values that are overwritten anyway."""

    def __torch_function__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        """Call ``func`` unless it fills a tensor with random values."""
        kwargs = kwargs or {}
        if getattr(func, "__name__", "") in _RANDOM_FILLS:
            return args[0] if args else kwargs["tensor"]
        return func(*args, **kwargs)


@torch.no_grad()
def fill(module: nn.Module, seed: int) -> None:
    """Draw all weights except those of norms, which stay one; zero all biases.

    The result is bit-identical in every process, on any number of threads and on any CPU: one
    generator, one order, and steps of one rounding each, which a fused multiply-add cannot change.
    """
    generator = torch.Generator().manual_seed(seed)
    for layer in module.modules():
        for name, parameter in layer.named_parameters(recurse=False):
            if parameter.ndim > 1:
                bound = math.sqrt(6 / _terms(layer, parameter))
                parameter.uniform_(generator=generator).sub_(0.5).mul_(2 * bound)
            elif name.endswith("bias"):
                parameter.zero_()


def _terms(layer: nn.Module, weight: Tensor) -> int:
    """The number of products that each output of a layer sums; for embeddings, their width."""
    if type(layer).__name__ == "Conv1D":
        # the linear layer of transformers, whose weight is [inputs, outputs]
        return weight.shape[0]
    return weight[0].numel() if isinstance(layer, nn.Conv2d) else weight.shape[-1]


@torch.no_grad()
def calibrate(module: nn.Module, size: int, seed: int) -> None:
    """Centre the filters, then set batch norm and linear biases from one forward in eval mode.

    ``size`` is the side of the images that the network is for; the share of padding in the deep
    layers depends on it. Costs about one forward of 299 pixels for any size. Does nothing to a
    network without batch norm.
    """
    layers = list(module.modules())
    if not any(isinstance(layer, nn.BatchNorm2d) for layer in layers):
        return
    linear = [layer for layer in layers if isinstance(layer, nn.Linear)]
    for layer in layers:
        # a depthwise filter with zero mean would only respond to edges
        if isinstance(layer, nn.Conv2d) and layer.groups == 1:
            layer.weight -= layer.weight.mean(dim=(1, 2, 3), keepdim=True)
    for layer in linear[:-1]:
        layer.weight -= layer.weight.mean(dim=1, keepdim=True)
    hooks = [
        layer.register_forward_pre_hook(hook)
        for layer in layers
        for kind, hook in ((nn.BatchNorm2d, _take_statistics), (nn.Linear, _take_bias))
        if isinstance(layer, kind)
    ]
    try:
        module(calibration_images(min(size, _LARGEST_CALIBRATION), seed))
    finally:
        for hook in hooks:
            hook.remove()


def calibration_images(size: int, seed: int) -> Tensor:
    """Images [N, 3, size, size], each a mosaic of k x k scenes, where N k^2 is 9 to 16.

    One image of 299 pixels costs as much as sixteen of 75 pixels; the mosaic makes it as diverse.
    """
    side = min(4, -(-size // _TILE))
    scenes = structured_images(_TILES, size, seed)
    images = scenes[: _TILES // side**2].clone()
    edges = [size * step // side for step in range(side + 1)]
    for row in range(side):
        for column in range(side):
            part = (..., slice(*edges[row : row + 2]), slice(*edges[column : column + 2]))
            first = (row * side + column) * len(images)
            images[part] = scenes[first : first + len(images)][part]
    return images


def _take_statistics(layer: nn.Module, inputs: tuple[Tensor]) -> None:
    assert isinstance(layer, nn.BatchNorm2d)
    variance, mean = torch.var_mean(inputs[0], dim=(0, 2, 3), correction=0)
    assert layer.running_mean is not None and layer.running_var is not None
    layer.running_mean.copy_(mean)
    layer.running_var.copy_(variance)


def _take_bias(layer: nn.Module, inputs: tuple[Tensor]) -> None:
    assert isinstance(layer, nn.Linear)
    if layer.bias is not None:
        layer.bias.copy_(-nn.functional.linear(inputs[0], layer.weight).mean(dim=0))
