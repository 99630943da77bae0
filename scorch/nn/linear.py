"""Linear: a fully connected layer with a sparse weight."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

import scorch
from scorch.errors import ShapeError, UnsupportedError
from scorch.nn import functional
from scorch.nn.functional.epilogue import Activation, check_activation
from scorch.nn.weight import SparseWeight, random_weight

__all__ = ["Linear"]


class Linear(nn.Module):
    """activation(x @ weight.T + bias) with a sparse weight of shape (out_features, in_features).

    A new layer begins with a random pattern; `from_dense` keeps the entries of a trained one that are not zero,
    `from_weight` takes any sparse matrix. `activation` is a name ("relu", "gelu", ...) or a function.

    >>> layer = Linear(8, 4, sparsity=0.75, activation="relu")
    >>> layer(torch.ones(3, 8)).shape
    torch.Size([3, 4])
    >>> layer.weight().nnz
    8
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        *,
        sparsity: float = 0.9,
        activation: Activation = None,
        dtype: torch.dtype | None = None,
        generator: torch.Generator | None = None,
    ) -> None:
        weight = random_weight((out_features, in_features), sparsity, dtype, generator)
        self._set(weight, torch.zeros(out_features, dtype=weight.dtype) if bias else None, activation)

    def _set(self, weight: scorch.Tensor, bias: torch.Tensor | None, activation: Activation) -> None:
        super().__init__()
        check_activation(activation)
        if bias is not None and tuple(bias.shape) != (weight.shape[0],):
            raise ShapeError(f"the weight has {weight.shape[0]} outputs, the bias is {tuple(bias.shape)}")
        self.out_features, self.in_features = weight.shape
        self.weight = SparseWeight(weight)
        self.bias = None if bias is None else nn.Parameter(bias.detach().clone())
        self.activation = activation

    @classmethod
    def from_weight(cls, weight: Any, bias: torch.Tensor | None = None, activation: Activation = None) -> Linear:
        """The layer of a sparse matrix: anything that `scorch.tensor` takes; a dense one keeps what is not zero.

        >>> Linear.from_weight(torch.eye(3)).weight().nnz
        3
        """
        matrix = scorch.tensor(weight.detach() if isinstance(weight, torch.Tensor) else weight)
        if matrix.ndim != 2:
            raise ShapeError(f"a Linear layer's weight is (out_features, in_features), this is {tuple(matrix.shape)}")
        layer = cls.__new__(cls)
        layer._set(matrix.to("csr") if matrix.format.is_dense else matrix.detach(), bias, activation)
        return layer

    @classmethod
    def from_dense(cls, layer: nn.Linear, activation: Activation = None) -> Linear:
        """A torch.nn.Linear with its zeros left out; masks of torch.nn.utils.prune and of scorch.nn.prune included.

        >>> dense = nn.Linear(4, 2)
        >>> Linear.from_dense(dense).weight().nnz
        8
        """
        if not isinstance(layer, nn.Linear):
            raise UnsupportedError(f"Linear.from_dense takes a torch.nn.Linear, not a {type(layer).__name__}")
        return cls.from_weight(layer.weight, layer.bias, activation)

    def forward(self, input: Any) -> torch.Tensor:
        """(..., in_features), or a sparse (batch, in_features), to a dense (..., out_features)."""
        return functional.linear(input, self.weight(), self.bias, self.activation)

    def extra_repr(self) -> str:
        return f"in_features={self.in_features}, out_features={self.out_features}, activation={self.activation}"
