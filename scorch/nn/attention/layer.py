"""SparseAttention: multi-head attention at the cost of the pairs of a mask, not of the square of the length."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from scorch.errors import ShapeError
from scorch.nn import functional
from scorch.nn.attention.masks import Causal, Explicit, Mask
from scorch.nn.bare import called, called_in_parts
from scorch.nn.device import check_cpu

__all__ = ["SparseAttention"]


class SparseAttention(nn.Module):
    """Multi-head self-attention over the pairs of a mask.

    `mask` is a Mask (Window, Block, Global, Causal, their unions) or a matrix for sequences of its own length: dense
    bool, scipy, torch.sparse or scorch. `causal` leaves out the keys after each query. The sequences of a batch have
    the same length.

    >>> from scorch.nn.attention import Global, Window
    >>> layer = SparseAttention(16, 4, Window(2) | Global(1))
    >>> layer(torch.ones(2, 10, 16)).shape
    torch.Size([2, 10, 16])
    """

    def __init__(
        self,
        embed_dim: int,
        num_heads: int,
        mask: Mask | Any,
        *,
        causal: bool = False,
        bias: bool = True,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        if num_heads < 1 or embed_dim % num_heads:
            raise ShapeError(f"{embed_dim} features cannot be divided among {num_heads} heads")
        self.num_heads, self.dropout = num_heads, dropout
        rule = mask if isinstance(mask, Mask) else Explicit(mask)
        self.mask = Causal(rule) if causal else rule
        self.qkv = nn.Linear(embed_dim, 3 * embed_dim, bias=bias)
        self.out = nn.Linear(embed_dim, embed_dim, bias=bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(batch, length, embed_dim), or without a batch, to the same shape."""
        check_cpu(x, self.qkv.weight)
        shape = tuple(getattr(x, "shape", ()))
        if not isinstance(x, torch.Tensor) or len(shape) < 2 or shape[-1] != self.qkv.in_features:
            given = shape if isinstance(x, torch.Tensor) else f"a {type(x).__name__}"
            raise ShapeError(f"attention takes (batch, length, {self.qkv.in_features}), the input is {given}")
        # The heads go first, for one product a head: (heads, ..., length, d).
        q, k, v = called_in_parts(self.qkv, x, 3 * self.num_heads).chunk(3)
        dropout = self.dropout if self.training else 0.0
        heads = functional.attention(q, k, v, self.mask(shape[-2]), dropout=dropout)
        return called(self.out, heads.movedim(0, -2).flatten(-2))

    def extra_repr(self) -> str:
        return f"heads={self.num_heads}, mask={self.mask}"
