"""What can be read off a network's tensors: the identity of its weights, its largest tensor."""

import hashlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor, nn
    from torch.utils.hooks import RemovableHandle

_DIGITS = 16


def weights_hash(module: "nn.Module") -> str:
    """First 16 hex digits of the SHA-256 over names, shapes and bytes of the state."""
    digest = hashlib.sha256()
    for name, tensor in module.state_dict().items():
        digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}\n".encode())
        digest.update(tensor.contiguous().numpy().data)
    return digest.hexdigest()[:_DIGITS]


def largest_tensor(module: "nn.Module", inputs: "Tensor") -> int:
    """Bytes per input of the largest tensor that any innermost layer puts out.

    Runs one forward over the first of ``inputs`` [N, ...] in inference mode.
    """
    from torch import Tensor, inference_mode  # noqa: PLC0415

    largest = 0

    def note(layer: "nn.Module", arguments: object, output: object) -> None:
        nonlocal largest
        outputs = output if isinstance(output, tuple | list) else (output,)
        for tensor in outputs:
            if isinstance(tensor, Tensor):
                largest = max(largest, tensor.numel() * tensor.element_size())

    hooks: list[RemovableHandle] = []
    for layer in module.modules():
        if next(layer.children(), None) is None:
            hooks.append(layer.register_forward_hook(note))
    try:
        with inference_mode():
            module(inputs[:1])
    finally:
        for hook in hooks:
            hook.remove()
    return largest
