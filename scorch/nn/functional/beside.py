"""Layers of one input, and sums of results that are stored in different orders."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch

import scorch
from scorch import engine
from scorch.functions.registry import taker
from scorch.nn.functional.chain import Link
from scorch.nn.functional.fused import is_plain_call
from scorch.nn.functional.linear import linear
from scorch.operand import Stored, is_plain_view

__all__ = ["added", "beside", "shared_product"]

LARGE = 1 << 14  # values, from which on a kernel of our own starts in less time than it gains


def beside(input: torch.Tensor, links: Sequence[Link]) -> torch.Tensor:
    """What each of several layers makes of one input, (..., in_features), as the parts of (..., out_features of all).

    Frozen sparse weights with one activation, all with a bias or none, share a product, for which a copy of them, one
    behind the other, is kept as long as they live. Raises ShapeError where numbers of features differ.

    >>> eye = scorch.tensor(torch.eye(2), "csr").freeze()
    >>> beside(torch.tensor([[1.0, 2.0]]), [Link(eye), Link(eye)])
    tensor([[1., 2., 1., 2.]])
    """
    made = shared_product(input, links)
    return torch.cat([link(input) for link in links], dim=-1) if made is None else made


def shared_product(input: torch.Tensor, links: Sequence[Link]) -> torch.Tensor | None:
    """The same of layers that share a product; None of others.

    >>> eye = scorch.tensor(torch.eye(2), "csr")
    >>> shared_product(torch.ones(1, 2), [Link(eye), Link(eye)]) is None
    True
    """
    if torch.compiler.is_compiling() or taker() is not None or len(links) < 2:
        return None
    if not all(isinstance(link.weight, Stored) for link in links):
        return None
    storages = [link.weight._storage for link in links]
    key = ("beside", *[(s.key, b is None, f) for s, (_, b, f) in zip(storages, links, strict=True)])
    weight: scorch.Tensor | None = engine.find(key)
    if weight is None:
        if not all(storage.is_frozen for storage in storages) or not _are_alike(links):
            return None
        with torch.inference_mode(False):
            weight = torch.cat([link.weight.detach() for link in links]).freeze()  # type: ignore[attr-defined]
        engine.remember(key, weight, storages)
    for storage in storages:
        _ = storage.values  # an error if they were changed in place
    biases = [link.bias for link in links if link.bias is not None]
    if not is_plain_call(input, *biases):
        return None
    return linear(input, weight, torch.cat(biases) if biases else None, links[0].activation)


def _are_alike(links: Sequence[Link]) -> bool:
    """Whether layers differ in their weights and biases only, and in how many features they have."""
    first = links[0]
    return all(
        link.weight.format == first.weight.format
        and link.weight.dtype == first.weight.dtype
        and link.weight.shape[1:] == first.weight.shape[1:]
        and (link.bias is None) == (first.bias is None)
        and link.activation == first.activation
        for link in links
    )


def added(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """x + y of one shape (..., features), stored as x is.

    Where y is stored feature after feature, as sparse layers make it, and only the value is asked for, square blocks of
    it are turned on the way, in place of single values.

    >>> added(torch.ones(2, 3), torch.ones(3, 2).T)
    tensor([[2., 2., 2.],
            [2., 2., 2.]])
    """
    if torch.compiler.is_compiling() or not _is_turned(x, y) or taker() is not None or not is_plain_call(x, y):
        return x + y
    features = x.shape[-1]
    rows, columns = x.view(-1, features), y.movedim(-1, 0).view(features, -1)
    made = scorch.compute("R[n,o] = X[n,o] + Y[o,n]", X=rows, Y=columns)
    return made.view(x.shape)


def _is_turned(x: Any, y: Any) -> bool:
    """Whether x is stored row after row, y feature after feature, and both are large."""
    if not (is_plain_view(x) and is_plain_view(y)) or x.shape != y.shape or x.dtype != y.dtype or x.ndim < 2:
        return False
    large = x.dtype in (torch.float32, torch.float64) and math.prod(x.shape) >= LARGE
    return large and x.is_contiguous() and not y.is_contiguous() and y.movedim(-1, 0).is_contiguous()
