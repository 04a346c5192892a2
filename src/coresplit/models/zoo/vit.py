"""ViT-B/16, written from its paper: Dosovitskiy et al., "An Image is Worth 16x16 Words:
Transformers for Image Recognition at Scale", ICLR 2021; equation and table numbers are the paper's.

Attribute names are those of the widely published checkpoints.
"""

from collections import OrderedDict

import torch
from torch import Tensor, nn
from torch.nn import functional

CLASSES = 1000
PATCH = 16
_WIDTH, _LAYERS, _HEADS, _MLP = 768, 12, 12, 3072
_EPSILON = 1e-6
_OLD_NAMES = {".mlp.linear_1.": ".mlp.0.", ".mlp.linear_2.": ".mlp.3."}


class SelfAttention(nn.Module):
    """Multi-head self-attention (appendix A) with its three projections in one matrix.

    The parameters are those of ``nn.MultiheadAttention``, whose fused path for inference cannot
    be exported.
    """

    def __init__(self) -> None:
        super().__init__()
        self.heads, self.width = _HEADS, _WIDTH // _HEADS
        self.in_proj_weight = nn.Parameter(torch.empty(3 * _WIDTH, _WIDTH))
        self.in_proj_bias = nn.Parameter(torch.zeros(3 * _WIDTH))
        self.out_proj = nn.Linear(_WIDTH, _WIDTH)
        nn.init.xavier_uniform_(self.in_proj_weight)

    def forward(self, x: Tensor) -> Tensor:
        """Shape [N, L, 768] to the same."""
        projected = functional.linear(x, self.in_proj_weight, self.in_proj_bias)
        split = projected.reshape(x.shape[0], x.shape[1], 3, self.heads, self.width)
        parts = split.permute(2, 0, 3, 1, 4)
        seen = functional.scaled_dot_product_attention(parts[0], parts[1], parts[2])
        joined: Tensor = self.out_proj(seen.transpose(1, 2).flatten(2))
        return joined


class EncoderBlock(nn.Module):
    """Equations 2 and 3: attention and a multilayer perceptron, each after a layer norm."""

    def __init__(self) -> None:
        super().__init__()
        self.ln_1 = nn.LayerNorm(_WIDTH, eps=_EPSILON)
        self.self_attention = SelfAttention()
        self.ln_2 = nn.LayerNorm(_WIDTH, eps=_EPSILON)
        self.mlp = nn.Sequential(
            nn.Linear(_WIDTH, _MLP),
            nn.GELU(),
            nn.Dropout(p=0.0),
            nn.Linear(_MLP, _WIDTH),
            nn.Dropout(p=0.0),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Shape [N, L, 768] to the same."""
        x = x + self.self_attention(self.ln_1(x))
        result: Tensor = x + self.mlp(self.ln_2(x))
        return result


class Encoder(nn.Module):
    """The position embedding (equation 1), all blocks, and the last layer norm (equation 4)."""

    def __init__(self, length: int) -> None:
        super().__init__()
        self.pos_embedding = nn.Parameter(torch.zeros(1, length, _WIDTH))
        self.layers = nn.Sequential(
            OrderedDict((f"encoder_layer_{index}", EncoderBlock()) for index in range(_LAYERS))
        )
        self.ln = nn.LayerNorm(_WIDTH, eps=_EPSILON)
        nn.init.normal_(self.pos_embedding, std=0.02)

    def forward(self, x: Tensor) -> Tensor:
        """Shape [N, length, 768] to the same."""
        result: Tensor = self.ln(self.layers(x + self.pos_embedding))
        return result


class VisionTransformer(nn.Module):
    """Table 1, ViT-Base, for images of ``size`` pixels, a multiple of 16."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.class_token = nn.Parameter(torch.zeros(1, 1, _WIDTH))
        self.conv_proj = nn.Conv2d(3, _WIDTH, PATCH, stride=PATCH)
        self.encoder = Encoder((size // PATCH) ** 2 + 1)
        self.heads = nn.Sequential(OrderedDict(head=nn.Linear(_WIDTH, CLASSES)))

    def forward(self, x: Tensor) -> Tensor:
        """Images [N, 3, size, size] to logits [N, 1000]."""
        patches = self.conv_proj(x).flatten(2).transpose(1, 2)
        tokens = torch.cat([self.class_token.expand(x.shape[0], -1, -1), patches], dim=1)
        logits: Tensor = self.heads(self.encoder(tokens)[:, 0])
        return logits


def create(size: int) -> nn.Module:
    """ViT-B/16 for images of ``size`` pixels."""
    return VisionTransformer(size)


def published_name(name: str) -> str:
    """The name here of a key of a published checkpoint, which may have an older layout."""
    for old, new in _OLD_NAMES.items():
        name = name.replace(old, new)
    return name
