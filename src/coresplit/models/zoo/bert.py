"""BERT base in the implementation and default configuration of transformers: Devlin et al.,
"BERT: Pre-training of Deep Bidirectional Transformers", NAACL 2019.

Nothing is downloaded. Attention is PyTorch's own (``sdpa``), which exports and compiles.
"""

from typing import Any

from torch import Tensor, nn
from transformers import BertConfig, BertModel

_OLD_NAMES = {"LayerNorm.gamma": "LayerNorm.weight", "LayerNorm.beta": "LayerNorm.bias"}
_IGNORED = ("cls.", "embeddings.position_ids", "embeddings.token_type_ids")


class Bert(nn.Module):
    """The encoder with its pooler; every token is in the first segment, the default."""

    def __init__(self, **changes: int) -> None:
        super().__init__()
        options: dict[str, Any] = {"attn_implementation": "sdpa", **changes}
        self.network: Any = BertModel(BertConfig(**options))

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> tuple[Tensor, Tensor]:
        """Tokens and mask [N, L] to the last hidden state [N, L, 768] and the pooled [N, 768]."""
        found = self.network(input_ids=input_ids, attention_mask=attention_mask)
        return found.last_hidden_state, found.pooler_output


def create(size: int) -> nn.Module:
    """BERT base; it is the same for every ``size``."""
    return Bert()


def published_name(name: str) -> str | None:
    """The name in ``BertModel`` of a key of a published checkpoint; None if it is not part of it.

    The original files come from a network with pre-training heads, and name the weights of layer
    norms like TensorFlow did.
    """
    name = name.removeprefix("bert.")
    if name.startswith(_IGNORED):
        return None
    for old, new in _OLD_NAMES.items():
        name = name.replace(old, new)
    return name
