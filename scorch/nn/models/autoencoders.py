"""Autoencoders and perceptrons: fully connected networks whose input or weights are sparse."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import nn

from scorch.errors import NotationError
from scorch.nn.bare import called
from scorch.nn.embedding import EmbeddingBag
from scorch.nn.linear import Linear
from scorch.nn.sequential import Sequential

__all__ = ["SparseInputAutoencoder", "autoencoder", "mlp"]


class SparseInputAutoencoder(nn.Module):
    """An autoencoder of samples that are mostly zero: (samples, features), sparse, to a dense reconstruction.

    The encoder reads the stored entries alone.

    >>> net = SparseInputAutoencoder(784, 256)
    >>> net(torch.eye(784).to_sparse_csr()).shape
    torch.Size([784, 784])
    """

    def __init__(self, features: int, hidden: int) -> None:
        super().__init__()
        self.encoder = EmbeddingBag(features, hidden, bias=True, activation="relu")
        nn.init.kaiming_uniform_(self.encoder.weight.t(), a=5**0.5)  # type: ignore[operator]
        self.decoder = nn.Linear(hidden, features)

    def forward(self, x: Any) -> torch.Tensor:
        """The reconstruction, in (0, 1)."""
        return called(self.decoder, self.encoder(x), "sigmoid")


def mlp(widths: Sequence[int], sparsity: float | None = None, activation: str = "relu") -> nn.Sequential:
    """Fully connected layers of these widths, with an activation between them; sparse if a sparsity is given.

    >>> mlp([8, 4, 2], sparsity=0.5)(torch.ones(3, 8)).shape
    torch.Size([3, 2])
    """
    if activation not in _ACTIVATIONS:
        raise NotationError(f"there is no activation {activation!r} here; there are {', '.join(_ACTIVATIONS)}")
    last = len(widths) - 2
    layers: list[nn.Module] = []
    for n, (inputs, outputs) in enumerate(pairwise(widths)):
        if sparsity is not None:
            layers.append(Linear(inputs, outputs, sparsity=sparsity, activation=None if n == last else activation))
        else:
            layers += [nn.Linear(inputs, outputs)] + ([] if n == last else [_ACTIVATIONS[activation]()])
    return nn.Sequential(*layers) if sparsity is None else Sequential(*layers)


def autoencoder(widths: Sequence[int] = (784, 2048, 1024), sparsity: float | None = None) -> nn.Sequential:
    """A network through these widths and back, such as 784-2048-1024-2048-784.

    >>> len(autoencoder((8, 6, 4), sparsity=0.5))
    4
    """
    return mlp([*widths, *reversed(widths[:-1])], sparsity)


_ACTIVATIONS: dict[str, type[nn.Module]] = {"relu": nn.ReLU, "gelu": nn.GELU, "silu": nn.SiLU, "tanh": nn.Tanh}
