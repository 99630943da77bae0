"""A decoder block of a small language model (width 576, feed-forward 1536), to be pruned and converted."""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import nn

import scorch
from scorch.nn.bare import is_bare
from scorch.nn.functional.attention import causal_attention
from scorch.nn.functional.beside import added
from scorch.nn.functional.norm import rms_norm
from scorch.nn.sequential import called_beside, called_gated

__all__ = ["DecoderBlock"]

_PLACED = "C[b,h,n,p,e] = J[h,p,e,b,n] * c[n,e] + K[h,p,e,b,n] * s[p,n,e]"
"""Each half of a head's features, turned by its positions: `J` and, the halves changed over, `K`."""


class DecoderBlock(nn.Module):
    """Causal self-attention with fewer key than query heads and rotary positions, then a gated feed-forward network.

    The seven weights are nn.Linear layers: `scorch.nn.convert` makes them sparse. The sizes are those of language
    models of 135 million parameters.

    >>> DecoderBlock(width=32, heads=4, key_heads=2, hidden=48)(torch.ones(1, 5, 32)).shape
    torch.Size([1, 5, 32])
    """

    def __init__(self, width: int = 576, heads: int = 9, key_heads: int = 3, hidden: int = 1536) -> None:
        super().__init__()
        self.heads, self.key_heads, self.depth = heads, key_heads, width // heads
        self.norm1, self.norm2 = nn.RMSNorm(width), nn.RMSNorm(width)
        self.query = nn.Linear(width, width, bias=False)
        self.key = nn.Linear(width, key_heads * self.depth, bias=False)
        self.value = nn.Linear(width, key_heads * self.depth, bias=False)
        self.out = nn.Linear(width, width, bias=False)
        self.gate = nn.Linear(width, hidden, bias=False)
        self.up = nn.Linear(width, hidden, bias=False)
        self.down = nn.Linear(hidden, width, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(batch, length, width) to the same."""
        x = self._added(x, self.out(self._attention(self._normed(self.norm1, x))))
        y = called_gated(self.gate, self.up, self.down, self._normed(self.norm2, x), "silu")
        return self._added(x, y)

    def _attention(self, x: torch.Tensor) -> torch.Tensor:
        joined = called_beside((self.query, self.key, self.value), x)
        if joined is not None:
            q, k, v = self._divided(joined)
        else:
            turns = _turns(x.shape[-2], self.depth, x.dtype)
            q = _rotated(self._headed(self.query(x), self.heads), *turns)
            k = _rotated(self._headed(self.key(x), self.key_heads), *turns)
            v = self._headed(self.value(x), self.key_heads)
        return self._attended(q, k, v).transpose(1, 2).flatten(2)

    def _divided(self, joined: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Queries and keys with their positions, and values, by heads, of one product that has them all: stored feature
        after feature, it is turned while positions are multiplied in."""
        batch, length = joined.shape[:2]
        heads = joined.movedim(-1, 0).reshape(-1, 2, self.depth // 2, batch, length)
        count = self.heads + self.key_heads
        values = heads[count:].reshape(self.key_heads, self.depth, batch, length)
        pairs, (cos, sin) = heads[:count], _kept_pairs(length, self.depth, joined.dtype)
        made = scorch.compute(_PLACED, J=pairs, K=pairs.flip(1), c=cos, s=sin)
        placed = made.view(batch, count, length, self.depth)
        return placed[:, : self.heads], placed[:, self.heads :], values.permute(2, 0, 3, 1).contiguous()

    def _normed(self, norm: nn.RMSNorm, x: torch.Tensor) -> torch.Tensor:
        return rms_norm(x, norm.weight, norm.eps) if type(norm) is nn.RMSNorm and is_bare(norm) else norm(x)

    def _added(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return added(x, y)

    def _attended(self, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        return causal_attention(q, k, v, enable_gqa=self.heads != self.key_heads)

    def _headed(self, x: torch.Tensor, heads: int) -> torch.Tensor:
        # Contiguous, which the results of sparse layers are not: torch's fast attention takes nothing else.
        return x.reshape(*x.shape[:-1], heads, self.depth).transpose(1, 2).contiguous()


def _turns(length: int, depth: int, dtype: torch.dtype) -> tuple[torch.Tensor, torch.Tensor]:
    """Cosine and sine of the angle of each position and pair of features, as `_rotated` multiplies by them: Su et al.
    (2021, arXiv 2104.09864)."""
    return _angles(length, depth, dtype) if torch.compiler.is_compiling() else _kept_turns(length, depth, dtype)


@lru_cache(maxsize=64)
def _kept_turns(length: int, depth: int, dtype: torch.dtype) -> tuple[torch.Tensor, torch.Tensor]:
    with torch.inference_mode(False):
        return _angles(length, depth, dtype)


@lru_cache(maxsize=64)
def _kept_pairs(length: int, depth: int, dtype: torch.dtype) -> tuple[torch.Tensor, torch.Tensor]:
    """The same by halves of the features: cosines that both have, and sines of each."""
    with torch.inference_mode(False):
        cos, sin = _angles(length, depth, dtype)
        return cos[:, : depth // 2].contiguous(), sin.view(length, 2, -1).movedim(1, 0).contiguous()


def _angles(length: int, depth: int, dtype: torch.dtype) -> tuple[torch.Tensor, torch.Tensor]:
    frequencies = 10000.0 ** (-torch.arange(0, depth, 2, dtype=dtype) / depth)
    angles = torch.outer(torch.arange(length, dtype=dtype), frequencies)
    cos, sin = angles.cos(), angles.sin()
    return torch.cat([cos, cos], dim=-1), torch.cat([-sin, sin], dim=-1)


def _rotated(x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
    """Queries or keys with their positions: each pair of features, half the depth apart, turned by its angle."""
    a, b = x.chunk(2, dim=-1)
    return torch.addcmul(x * cos, torch.cat([b, a], dim=-1), sin)
