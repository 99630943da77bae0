"""Small networks for the estimator and the benchmark: a multi-layer perceptron and a convolutional one."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import nn

__all__ = ["Mixture", "Standardise", "mlp", "small_cnn"]


class Standardise(nn.Module):
    """Takes off each feature's mean and divides by its standard deviation, both from the training data.

    >>> Standardise(torch.tensor([[0.0], [2.0]]))(torch.tensor([[2.0]]))
    tensor([[1.]])
    """

    mean: torch.Tensor
    scale: torch.Tensor

    def __init__(self, x: torch.Tensor) -> None:
        super().__init__()
        spread = x.std(dim=0, correction=0)
        self.register_buffer("mean", x.mean(dim=0))
        # A constant feature carries nothing; dividing by its spread would only blow up what is new at prediction.
        self.register_buffer("scale", torch.where(spread > 1e-12, spread, torch.ones_like(spread)))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(n, features) to (n, features)."""
        return (x - self.mean) / self.scale


def mlp(features: int, hidden: Sequence[int], classes: int) -> nn.Sequential:
    """Linear layers of the given widths with ReLU between them.

    >>> mlp(4, (8,), 3)(torch.zeros(2, 4)).shape
    torch.Size([2, 3])
    """
    widths = [features, *hidden, classes]
    layers: list[nn.Module] = []
    for number, (inputs, outputs) in enumerate(pairwise(widths)):
        layers += [nn.ReLU()] if number else []
        layers.append(nn.Linear(inputs, outputs))
    return nn.Sequential(*layers)


def small_cnn(channels: int, height: int, width: int, classes: int, filters: int = 8) -> nn.Sequential:
    """Two 3 x 3 convolutions, each halving the image, and a linear layer.

    >>> small_cnn(1, 8, 8, 10)(torch.zeros(2, 1, 8, 8)).shape
    torch.Size([2, 10])
    """
    return nn.Sequential(
        nn.Conv2d(channels, filters, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.Conv2d(filters, 2 * filters, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(2 * filters * ((height + 3) // 4) * ((width + 3) // 4), 64),
        nn.ReLU(),
        nn.Linear(64, classes),
    )


class Mixture(nn.Module):
    """A randomised classifier: each network's vote, in proportion to its share, as log-probabilities.

    >>> even = Mixture([nn.Identity(), nn.Identity()], [0.5, 0.5])
    >>> even(torch.tensor([[1.0, 0.0]])).exp().round()
    tensor([[1., 0.]])
    """

    shares: torch.Tensor

    def __init__(self, networks: Sequence[nn.Module], shares: Sequence[float]) -> None:
        super().__init__()
        self.networks = nn.ModuleList(networks)
        self.register_buffer("shares", torch.tensor(list(shares), dtype=torch.float32))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(n, ...) to (n, classes) logarithms of the share of votes."""
        votes = []
        for network in self.networks:
            logits = network(x)
            votes.append(torch.nn.functional.one_hot(logits.argmax(dim=1), logits.shape[1]))
        share = torch.einsum("k,knc->nc", self.shares, torch.stack(votes).to(self.shares.dtype))
        return torch.log(share.clamp(min=1e-7))
