"""Keys of an array: what torch takes of the standard's, and slices that run backwards, which it does not."""

from __future__ import annotations

from typing import Any

import torch

from scorch.tensor import Tensor

__all__ = ["plain_key", "reverses", "selected"]


def plain_key(key: Any) -> Any:
    """A key with torch tensors in place of dense arrays."""
    if isinstance(key, tuple):
        return tuple(plain_key(part) for part in key)
    return Tensor.to_dense(key) if isinstance(key, Tensor) and key.format.is_dense else key


def reverses(key: Any) -> bool:
    """Whether a slice of a key has a negative step."""
    return any(_is_backward(part) for part in (key if isinstance(key, tuple) else (key,)))


def selected(x: torch.Tensor, key: Any) -> torch.Tensor:
    """The places of a key some of whose slices run backwards: those dimensions are turned round first.

    >>> selected(torch.arange(6).reshape(2, 3), (0, slice(None, None, -2)))
    tensor([2, 0])
    """
    parts = list(key) if isinstance(key, tuple) else [key]
    hidden = x.ndim - sum(map(_dimensions, parts))  # those that an ellipsis stands for
    dim = 0
    for place, part in enumerate(parts):
        if _is_backward(part):
            extent = x.shape[dim]
            start, stop, step = part.indices(extent)
            first, count = extent - 1 - start, len(range(start, stop, step))
            x, parts[place] = x.flip(dim), slice(first, first - count * step, -step) if count else slice(0, 0)
        dim += hidden if part is Ellipsis else _dimensions(part)
    return x[tuple(parts)]


def _is_backward(part: Any) -> bool:
    return isinstance(part, slice) and part.step is not None and part.step < 0


def _dimensions(part: Any) -> int:
    """How many dimensions a part of a key takes."""
    if part is None or part is Ellipsis:
        return 0
    return part.ndim if isinstance(part, torch.Tensor) and part.dtype is torch.bool else 1
