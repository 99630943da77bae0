"""Embedding and EmbeddingBag: layers over sparse input, with a dense or a sparse table."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

import scorch
from scorch.nn import functional
from scorch.nn.functional.embedding import check_mode
from scorch.nn.functional.epilogue import Activation, check_activation
from scorch.nn.weight import SparseWeight, random_weight

__all__ = ["Embedding", "EmbeddingBag"]


class _Table(nn.Module):
    """A table of rows, dense, or sparse if a sparsity is given."""

    def __init__(self, rows: int, features: int, sparsity: float | None) -> None:
        super().__init__()
        self.num_embeddings, self.embedding_dim = rows, features
        self.weight: nn.Parameter | SparseWeight
        if sparsity is None:
            self.weight = nn.Parameter(torch.randn(rows, features))
        else:
            self.weight = SparseWeight(random_weight((rows, features), sparsity))

    def table(self) -> torch.Tensor | scorch.Tensor:
        """The table as an operand."""
        return self.weight() if isinstance(self.weight, SparseWeight) else self.weight

    def extra_repr(self) -> str:
        return f"{self.num_embeddings}, {self.embedding_dim}"


class Embedding(_Table):
    """Rows of a table by index; with `sparsity`, of a sparse table.

    >>> Embedding(10, 4, sparsity=0.5)(torch.tensor([[1, 2, 3]])).shape
    torch.Size([1, 3, 4])
    """

    def __init__(self, num_embeddings: int, embedding_dim: int, *, sparsity: float | None = None) -> None:
        super().__init__(num_embeddings, embedding_dim, sparsity)

    def forward(self, indices: torch.Tensor) -> torch.Tensor:
        """Integer indices (...) to (..., embedding_dim)."""
        return functional.embedding(indices, self.table())


class EmbeddingBag(_Table):
    """Sums, means or maxima of a table's rows, weighted by a sparse input; with a bias and an activation, the first
    layer of a network whose input is mostly zero (bags of words, images of ink).

    >>> layer = EmbeddingBag(10, 4, bias=True, activation="relu")
    >>> layer(torch.eye(10).to_sparse_csr()).shape
    torch.Size([10, 4])
    >>> layer(torch.tensor([1, 2, 4]), torch.tensor([0, 2])).shape
    torch.Size([2, 4])
    """

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        mode: str = "sum",
        *,
        bias: bool = False,
        activation: Activation = None,
        sparsity: float | None = None,
    ) -> None:
        check_mode(mode)
        check_activation(activation)
        super().__init__(num_embeddings, embedding_dim, sparsity)
        self.mode, self.activation = mode, activation
        self.bias = nn.Parameter(torch.zeros(embedding_dim)) if bias else None

    def forward(self, bag: Any, offsets: torch.Tensor | None = None) -> torch.Tensor:
        """A sparse (samples, num_embeddings), or indices (samples, length), or indices (count,) and where each sample
        begins, to (samples, embedding_dim)."""
        return functional.embedding_bag(bag, self.table(), self.mode, self.bias, self.activation, offsets)
