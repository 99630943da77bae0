"""Questions that need no arithmetic: sizes, number types, where entries are."""

from __future__ import annotations

from typing import Any

import torch

from scorch.formats.storage import checked_size
from scorch.functions.registry import implements
from scorch.functions.structure import combined_keys, dimension, stored_values
from scorch.tensor import Tensor

__all__ = ["nonzero", "numel"]


@implements("numel", takes_repeated=True)
def numel(x: Tensor) -> int:
    """The number of places."""
    return checked_size(x.shape)


@implements("Tensor.dim", takes_repeated=True)
def dim(x: Tensor) -> int:
    """The number of dimensions."""
    return x.ndim


@implements("Tensor.size", takes_repeated=True)
def size(x: Tensor, dim: int | None = None) -> Any:
    """The shape, or one extent."""
    return torch.Size(x.shape) if dim is None else x.shape[dimension(dim, x.ndim)]


@implements("is_floating_point", takes_repeated=True)
def is_floating_point(x: Tensor) -> bool:
    """Whether the values are real floating-point numbers."""
    return x.dtype.is_floating_point


@implements("is_complex", takes_repeated=True)
def is_complex(x: Tensor) -> bool:
    """Whether the values are complex."""
    return x.dtype.is_complex


@implements("result_type", takes_repeated=True)
def result_type(x: Any, other: Any) -> torch.dtype:
    """The number type of arithmetic on two operands, by torch's rules."""
    return torch.result_type(*(sample(part) for part in (x, other)))


def sample(x: Any) -> Any:
    """A small tensor that promotes as `x` does: of its number type, with dimensions or without; numbers as they are."""
    if isinstance(x, Tensor | torch.Tensor):
        return torch.ones((1,) if x.ndim else (), dtype=x.dtype)
    return x


@implements("is_nonzero")
def is_nonzero(x: Tensor) -> bool:
    """The truth of a tensor of one place."""
    return bool(x)


@implements("nonzero", "argwhere")
def nonzero(x: Tensor, *, as_tuple: bool = False) -> Any:
    """The coordinates of the values that are not zero, (n, ndim), in lexicographic order.

    >>> from scorch import tensor
    >>> nonzero(tensor([[0.0, 1.0], [2.0, 0.0]], "csc"))
    tensor([[0, 1],
            [1, 0]])
    """
    if x.fill != 0:
        places = torch.nonzero(x.to_dense())
        return tuple(places.T) if as_tuple else places
    coords = x.coords()[:, stored_values(x) != 0]
    coords = coords[:, torch.argsort(combined_keys(list(coords), x.shape))]
    return tuple(coords) if as_tuple else coords.T.contiguous()
