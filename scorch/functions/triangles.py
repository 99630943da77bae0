"""Diagonals and triangles: triu, tril, diagonal, diag, diag_embed, trace."""

from __future__ import annotations

from typing import Any

import torch

from scorch.errors import ShapeError
from scorch.functions.registry import implements
from scorch.functions.structure import Entries, assembled, carried, dimension, entries, moved, stored_values
from scorch.tensor import Tensor

__all__ = ["diag", "diag_embed", "diagonal", "tril", "triu"]


def _triangle(x: Tensor, upper: bool, diagonal: int) -> Any:
    if x.ndim < 2:
        raise ShapeError(f"a triangle of a tensor of {x.ndim} dimensions; it needs 2 at least")
    if x.fill != 0:
        raise ShapeError(f"a triangle of a tensor whose fill is {x.fill}, not 0; use to_dense()")

    def keep(made: Entries) -> Entries:
        offset = made.coords[-1] - made.coords[-2]
        return made.chosen(offset >= diagonal if upper else offset <= diagonal)

    return moved(x, x.shape, carried(x, range(x.ndim), x.shape), keep, ("triangle", upper, diagonal))


@implements("triu")
def triu(x: Tensor, diagonal: int = 0) -> Any:
    """The entries of the last two dimensions on and above a diagonal.

    >>> from scorch import tensor
    >>> triu(tensor([[1.0, 2.0], [3.0, 4.0]], "csr"), 1).coords().tolist()
    [[0], [1]]
    """
    return _triangle(x, True, diagonal)


@implements("tril")
def tril(x: Tensor, diagonal: int = 0) -> Any:
    """The entries of the last two dimensions on and below a diagonal."""
    return _triangle(x, False, diagonal)


@implements("diagonal", "linalg.diagonal")
def diagonal(x: Tensor, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Any:
    """The entries whose coordinates in two dimensions differ by `offset`; their new dimension is the last.

    >>> from scorch import tensor
    >>> diagonal(tensor([[1.0, 2.0], [0.0, 4.0]], "csr")).to_dense()
    tensor([1., 4.])
    """
    first, second = dimension(dim1, x.ndim), dimension(dim2, x.ndim)
    if first == second:
        raise ShapeError(f"a diagonal takes two different dimensions, not {dim1} and {dim2}")
    start = (max(-offset, 0), max(offset, 0))
    length = max(0, min(x.shape[first] - start[0], x.shape[second] - start[1]))
    others = [d for d in range(x.ndim) if d not in (first, second)]

    def along(made: Entries) -> Entries:
        made = made.chosen(made.coords[second] - made.coords[first] == offset)
        return made.at([*(made.coords[d] for d in others), made.coords[first] - start[0]])

    shape = [*(x.shape[d] for d in others), length]
    return moved(x, shape, carried(x, [*others, None], shape), along, ("diagonal", offset, first, second))


_diagonal = diagonal


@implements("diag_embed")
def diag_embed(x: Tensor, offset: int = 0, dim1: int = -2, dim2: int = -1) -> Any:
    """The last dimension as the diagonal of two dimensions, zero elsewhere."""
    first, second = dimension(dim1, x.ndim + 1), dimension(dim2, x.ndim + 1)
    if first == second or x.fill != 0:
        raise ShapeError("diag_embed takes two different dimensions and a tensor whose fill is 0")
    made, extent = entries(x), x.shape[-1] + abs(offset)
    rows, shape = list(made.coords[:-1]), list(x.shape[:-1])
    sources: list[int | None] = list(range(x.ndim - 1))
    placed = {first: made.coords[-1] + max(-offset, 0), second: made.coords[-1] + max(offset, 0)}
    for dim in sorted(placed):
        rows.insert(dim, placed[dim])
        shape.insert(dim, extent)
        sources.insert(dim, None)
    return assembled(stored_values(x), made.at(rows), shape, carried(x, sources, shape), x.fill)


@implements("diag")
def diag(x: Tensor, diagonal: int = 0) -> Any:
    """The diagonal of a matrix, or a matrix with a vector on its diagonal."""
    if x.ndim not in (1, 2):
        raise ShapeError(f"diag takes a vector or a matrix, not {x.ndim} dimensions")
    return diag_embed(x, diagonal) if x.ndim == 1 else _diagonal(x, diagonal)


@implements("trace")
def trace(x: Tensor) -> torch.Tensor:
    """The sum of a matrix's diagonal."""
    if x.ndim != 2:
        raise ShapeError(f"trace takes a matrix, not {x.ndim} dimensions")
    found = diagonal(x)
    total = stored_values(found).sum()
    return total if x.fill == 0 else total + x.fill * (found.shape[0] - found.nnz)
