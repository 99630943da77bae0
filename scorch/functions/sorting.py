"""Order and running totals along a dimension: sort, argsort, cumsum, cumprod."""

from __future__ import annotations

from collections import namedtuple
from typing import Any

import torch

from scorch.errors import DtypeError
from scorch.functions.registry import implements
from scorch.functions.structure import assembled, carried, combined_keys, dimension, entries, stored_values
from scorch.tensor import Tensor

__all__ = ["argsort", "cumprod", "cumsum", "sort"]

Sorted = namedtuple("Sorted", ("values", "indices"))
"""What sort returns, as torch does; the indices are dense, since each absent entry has come from somewhere."""


@implements("sort")
def sort(x: Tensor, dim: int = -1, descending: bool = False, *, stable: bool = True) -> Any:
    """The values in order along a dimension, sparse, and the coordinates that they had, dense.

    Stored values that come before the fill go to the front of their line, the others to its end.

    >>> from scorch.tensor import tensor
    >>> A = tensor(torch.tensor([[0.0, 3.0, 0.0, -1.0]]), format="coo")
    >>> values, indices = sort(A)
    >>> values.coords().tolist(), values.values.tolist(), indices.tolist()
    ([[0, 0], [0, 3]], [-1.0, 3.0], [[3, 0, 2, 1]])
    """
    return Sorted(_sorted(x, dim, descending), argsort(x, dim, descending, stable=stable))


@implements("argsort")
def argsort(x: Tensor, dim: int = -1, descending: bool = False, *, stable: bool = True) -> torch.Tensor:
    """The coordinates along a dimension in the order of the values there, dense."""
    _check_order(x)
    return x.detach().to_dense().argsort(dim=dim, descending=descending, stable=stable)


@implements("cumsum")
def cumsum(x: Tensor, dim: int, *, dtype: torch.dtype | None = None) -> torch.Tensor:
    """The running sum along a dimension: dense, since it has a value wherever something stands before."""
    return x.to_dense().cumsum(dim, dtype=dtype)


@implements("cumprod")
def cumprod(x: Tensor, dim: int, *, dtype: torch.dtype | None = None) -> torch.Tensor:
    """The running product along a dimension, dense."""
    return x.to_dense().cumprod(dim, dtype=dtype)


def _check_order(x: Tensor) -> None:
    if x.dtype.is_complex:
        raise DtypeError(f"values of {x.dtype} have no order; sort A.abs() or A.real")


def _sorted(x: Tensor, dim: int, descending: bool) -> Any:
    _check_order(x)
    if x.ndim == 0:
        return x.to_dense()
    along = dimension(dim, x.ndim)
    made, values = entries(x), stored_values(x)
    lines = [row for d, row in enumerate(made.coords) if d != along]
    extents = [n for d, n in enumerate(x.shape) if d != along]
    line = combined_keys(lines, extents) if lines else torch.zeros(len(values), dtype=torch.int64)
    order = values.detach().argsort(descending=descending, stable=True)
    order = order[line[order].argsort(stable=True)]
    made, line, values = made.chosen(order), line[order], values[order]
    _, which, counts = torch.unique_consecutive(line, return_inverse=True, return_counts=True)
    place = torch.arange(len(line)) - (counts.cumsum(0) - counts)[which]
    at_end = x.shape[along] - counts[which] + place
    coords = made.coords.clone()
    coords[along] = torch.where(_before(values.detach(), x.fill, descending), place, at_end)
    return assembled(values, type(made)(coords), x.shape, carried(x, range(x.ndim), x.shape), x.fill)


def _before(values: torch.Tensor, fill: Any, descending: bool) -> torch.Tensor:
    """Whether values come before the fill; NaN is the greatest of all, as torch has it."""
    if fill != fill:
        return torch.full_like(values, False, dtype=torch.bool) if descending else ~values.isnan()
    before: torch.Tensor = ((values > fill) | values.isnan()) if descending else values < fill
    return before
