"""What follows a product within a layer: a bias and an activation."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import torch
from torch.nn import functional as F

from scorch.errors import NotationError

__all__ = ["ACTIVATIONS", "Activation", "check_activation", "epilogue"]

Activation: TypeAlias = "str | Callable[[torch.Tensor], torch.Tensor] | None"

ACTIVATIONS: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "relu": torch.relu,
    "gelu": F.gelu,
    "silu": F.silu,
    "elu": F.elu,
    "leaky_relu": F.leaky_relu,
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
}


def epilogue(product: torch.Tensor, bias: torch.Tensor | None, activation: Activation) -> torch.Tensor:
    """activation(product + bias); the product, which nobody else holds, is changed where nothing is differentiated.

    Raises NotationError for an activation that has no such name.

    >>> epilogue(torch.tensor([-1.0, 1.0]), torch.tensor([0.0, 1.0]), "relu")
    tensor([0., 2.])
    """
    recorded = torch.is_grad_enabled() and (product.requires_grad or (bias is not None and bias.requires_grad))
    if bias is not None:
        product = product + bias if recorded else product.add_(bias)
    if activation is None:
        return product
    if activation == "relu" and not recorded:
        return product.relu_()
    return _function(activation)(product)


def check_activation(activation: Activation) -> None:
    """NotationError for an activation that has no such name.

    >>> check_activation("relu")
    """
    if activation is not None:
        _function(activation)


def _function(activation: Activation) -> Callable[[torch.Tensor], torch.Tensor]:
    if callable(activation):
        return activation
    known = ACTIVATIONS.get(activation) if isinstance(activation, str) else None
    if known is None:
        raise NotationError(
            f"there is no activation {activation!r}; there are {', '.join(ACTIVATIONS)}, or pass a function"
        )
    return known
