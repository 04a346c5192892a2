"""GPT-2 (the smallest) in the implementation and default configuration of transformers:
Radford et al., "Language Models are Unsupervised Multitask Learners", 2019.

Nothing is downloaded. Attention is PyTorch's own (``sdpa``), which exports and compiles. One
forward reads a whole text: keys and values are not cached, because no token follows.
"""

import re
from typing import Any

from torch import Tensor, nn
from transformers import GPT2Config, GPT2LMHeadModel

_MASKS = re.compile(r"\.attn\.(masked_)?bias$")
_HEAD = "lm_head."
_BODY = "transformer."


class GPT2(nn.Module):
    """The decoder with its language head, which shares its weight with the token embedding."""

    def __init__(self, **changes: int) -> None:
        super().__init__()
        options: dict[str, Any] = {"attn_implementation": "sdpa", "use_cache": False, **changes}
        self.network: Any = GPT2LMHeadModel(GPT2Config(**options))

    def forward(self, input_ids: Tensor) -> tuple[Tensor]:
        """Tokens [N, L] to the logits of each next token [N, L, 50257]."""
        return (self.network(input_ids=input_ids, use_cache=False).logits,)


def create(size: int) -> nn.Module:
    """GPT-2; it is the same for every ``size``."""
    return GPT2()


def published_name(name: str) -> str | None:
    """The name in ``GPT2LMHeadModel`` of a key of a published checkpoint; None if it is no weight.

    The original file lacks the head and the prefix, and contains the causal masks.
    """
    if _MASKS.search(name):
        return None
    return name if name.startswith((_HEAD, _BODY)) else f"{_BODY}{name}"
