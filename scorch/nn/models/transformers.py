"""Text classifiers with sparse attention: Longformer and BigBird, in the sizes of their benchmarks here."""

from __future__ import annotations

import torch
from torch import nn

from scorch.errors import ShapeError
from scorch.nn.attention import Block, Global, Mask, SparseAttention, Window
from scorch.nn.bare import fed_forward

__all__ = ["EncoderLayer", "SparseTransformer", "bigbird", "longformer"]


class EncoderLayer(nn.Module):
    """Sparse attention and a feed-forward network, each normalised before and added to its input.

    >>> EncoderLayer(16, 4, 32, Window(2))(torch.ones(1, 6, 16)).shape
    torch.Size([1, 6, 16])
    """

    def __init__(self, width: int, heads: int, hidden: int, mask: Mask, dropout: float = 0.0) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention = SparseAttention(width, heads, mask)
        self.feed_forward = nn.Sequential(nn.Linear(width, hidden), nn.GELU(), nn.Linear(hidden, width))
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(batch, length, width) to the same."""
        x = x + self.dropout(self.attention(self.norm1(x)))
        result: torch.Tensor = x + self.dropout(fed_forward(self.feed_forward, self.norm2(x)))
        return result


class SparseTransformer(nn.Module):
    """Classifies sequences of tokens, (batch, length) integers to (batch, classes) logits; token 0 is padding.

    >>> net = SparseTransformer(100, 2, width=16, heads=2, layers=1, hidden=32, mask=Window(2), longest=8)
    >>> net(torch.ones(3, 8, dtype=torch.int64)).shape
    torch.Size([3, 2])
    """

    def __init__(
        self,
        vocabulary: int,
        classes: int,
        *,
        width: int,
        heads: int,
        layers: int,
        hidden: int,
        mask: Mask,
        longest: int,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.tokens = nn.Embedding(vocabulary, width, padding_idx=0)
        self.positions = nn.Parameter(torch.randn(longest, width) * 0.02)
        self.layers = nn.Sequential(*(EncoderLayer(width, heads, hidden, mask, dropout) for _ in range(layers)))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, classes)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """Logits, from the mean over the tokens that are no padding."""
        if tokens.shape[-1] > len(self.positions):
            raise ShapeError(f"the model takes up to {len(self.positions)} tokens, these are {tokens.shape[-1]}")
        x = self.norm(self.layers(self.tokens(tokens) + self.positions[: tokens.shape[1]]))
        real = (tokens != 0)[..., None].to(x.dtype)
        logits: torch.Tensor = self.head((x * real).sum(1) / real.sum(1).clamp(min=1))
        return logits


def longformer(vocabulary: int, classes: int, longest: int = 4096, window: int = 64) -> SparseTransformer:
    """Beltagy et al. (2020, arXiv 2004.05150): a window on each side and one global token; 4 layers, 8 heads of 32.

    >>> longformer(100, 2, longest=16).layers[0].attention
    SparseAttention(
      heads=8, mask=Union(parts=(Window(radius=64), Global(count=1)))
      ...
    """
    mask = Window(window) | Global(1)
    return SparseTransformer(vocabulary, classes, width=256, heads=8, layers=4, hidden=1024, mask=mask, longest=longest)


def bigbird(vocabulary: int, classes: int, longest: int = 1024, block: int = 16) -> SparseTransformer:
    """Zaheer et al. (2020, arXiv 2007.14062): neighbouring, random and global blocks; 2 layers, 4 heads of 32.

    >>> bigbird(100, 2, longest=64).layers[0].attention.num_heads
    4
    """
    mask = Block(block, neighbours=1, random=2) | Global(block)
    return SparseTransformer(vocabulary, classes, width=128, heads=4, layers=2, hidden=256, mask=mask, longest=longest)
