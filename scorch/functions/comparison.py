"""Whether two tensors are equal, or nearly so, wherever they store anything or not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from scorch.errors import ShapeError
from scorch.functions.elementwise import binary, operand
from scorch.functions.indexing import values_at
from scorch.functions.registry import implements
from scorch.functions.structure import entries, stored_values
from scorch.tensor import Tensor

__all__ = ["allclose", "equal"]


@implements("equal")
def equal(x: Any, other: Any) -> bool:
    """Whether shapes and all values are the same, stored or not."""
    x, other = operand(x), operand(other)
    return tuple(x.shape) == tuple(other.shape) and _agree(torch.eq, x, other)


@implements("allclose")
def allclose(x: Any, other: Any, rtol: float = 1e-05, atol: float = 1e-08, equal_nan: bool = False) -> bool:
    """Whether |x - other| <= atol + rtol * |other| everywhere, stored or not.

    >>> from scorch import tensor
    >>> A = tensor([[0.0, 1.0]], "csr")
    >>> allclose(A, A.to("coo") * 1.0000001), allclose(A, torch.ones(1, 2))
    (True, False)
    """
    x, other = operand(x), operand(other)
    if tuple(x.shape) != tuple(other.shape):
        raise ShapeError(f"allclose of shapes {tuple(x.shape)} and {tuple(other.shape)}")
    return _agree(lambda a, b: torch.isclose(a, b, rtol, atol, equal_nan), x, other)


def _agree(test: Callable[..., torch.Tensor], x: Any, other: Any) -> bool:
    """Whether a test holds at the entries of either tensor, and for what is stored in neither."""
    if isinstance(x, Tensor) and isinstance(other, Tensor):
        coords = torch.cat([entries(x).coords, entries(other).coords], dim=1)
        stored = test(values_at(x, coords), values_at(other, coords))
        return bool(stored.all()) and bool(test(_fill(x), _fill(other)).all())
    if isinstance(x, Tensor):
        places, at = entries(x).coords, other[tuple(entries(x).coords)]
        inside, outside = test(stored_values(x), at), test(_fill(x), at)
        everywhere = test(_fill(x), other)
    else:
        places, at = entries(other).coords, x[tuple(entries(other).coords)]
        inside, outside = test(at, stored_values(other)), test(at, _fill(other))
        everywhere = test(x, _fill(other))
    elsewhere = int(everywhere.sum()) - int(outside.sum())
    return bool(inside.all()) and elsewhere == everywhere.numel() - places.shape[1]


def _fill(x: Tensor) -> torch.Tensor:
    return stored_values(x).new_full((1,), x.fill)


@implements("isclose")
def isclose(x: Any, other: Any, rtol: float = 1e-05, atol: float = 1e-08, equal_nan: bool = False) -> Any:
    """Where |x - other| <= atol + rtol * |other|: dense, so with a dense tensor only."""
    text = f"(abs({{0}} - {{1}}) <= {atol!r} + {rtol!r} * abs({{1}})) | ({{0}} == {{1}})"
    if equal_nan:
        text += " | (isnan({0}) & isnan({1}))"
    return binary("isclose", "", text, lambda a, b: torch.isclose(a, b, rtol, atol, equal_nan), x, other)
