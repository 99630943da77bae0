"""Tensors put together: cat, stack, hstack, vstack, kron, block_diag."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from typing import Any

import torch

from scorch.errors import ShapeError
from scorch.functions.registry import implements
from scorch.functions.shapes import reshape, unsqueeze
from scorch.functions.structure import Entries, assembled, carried, dimension, entries, stored_values
from scorch.tensor import Tensor, tensor

__all__ = ["cat", "kron", "stack"]


def _sparse(tensors: Sequence[Any]) -> list[Tensor]:
    """The parts as sparse tensors with one fill and number type; dense ones are put in the format of the others."""
    made = next(x for x in tensors if isinstance(x, Tensor))
    fills = {x.fill for x in tensors if isinstance(x, Tensor)}
    if len(fills) > 1:
        raise ShapeError(f"tensors with the different fills {sorted(fills, key=str)} can't be joined; use to_dense()")
    dtype = reduce(torch.promote_types, (x.dtype for x in tensors))
    sparse = [x if isinstance(x, Tensor) else tensor(x, "coo", fill=made.fill) for x in tensors]
    return [x.to(dtype) for x in sparse]


@implements("cat", "concat", "concatenate")
def cat(tensors: Sequence[Any], dim: int = 0) -> Any:
    """Tensors one behind the other along a dimension, in the format of the first sparse one.

    >>> from scorch import tensor
    >>> A = tensor([[0.0, 1.0], [2.0, 0.0]], "csr")
    >>> cat([A, A], 1)
    scorch.Tensor(shape=(2, 4), format=csr, dtype=float32, nnz=4, density=0.5, memory=56 B, values=[1, 1, 2, 2])
    """
    parts = [x for x in tensors if tuple(x.shape) != (0,)] or list(tensors[:1])
    if not any(isinstance(x, Tensor) for x in parts):
        return torch.cat(parts, dim)
    at = dimension(dim, parts[0].ndim)
    for x in parts:
        if _without(x.shape, at) != _without(parts[0].shape, at):
            raise ShapeError(f"cat along dimension {dim}: shapes {[tuple(x.shape) for x in parts]} differ elsewhere")
    like = next(x for x in parts if isinstance(x, Tensor))
    sparse = _sparse(parts)
    coords, start = [], 0
    for x in sparse:
        own = entries(x).coords.clone()
        own[at] += start
        start += x.shape[at]
        coords.append(own)
    shape = [start if d == at else extent for d, extent in enumerate(like.shape)]
    values = torch.cat([stored_values(x) for x in sparse])
    made = Entries(torch.cat(coords, dim=1))
    return assembled(values, made, shape, carried(like, range(like.ndim), shape, len(values)), like.fill)


def _without(shape: Sequence[int], dim: int) -> tuple[int, ...]:
    return (*shape[:dim], *shape[dim + 1 :]) if dim < len(shape) else (-1,)


@implements("stack")
def stack(tensors: Sequence[Any], dim: int = 0) -> Any:
    """Tensors of one shape along a new dimension."""
    if len({tuple(x.shape) for x in tensors}) > 1:
        raise ShapeError(f"stack takes tensors of one shape, not of {[tuple(x.shape) for x in tensors]}")
    at = dimension(dim, tensors[0].ndim + 1)
    return cat([unsqueeze(x, at) if isinstance(x, Tensor) else x.unsqueeze(at) for x in tensors], at)


@implements("hstack", "column_stack")
def hstack(tensors: Sequence[Any]) -> Any:
    """Tensors beside each other: along the second dimension, vectors along their only one."""
    return cat(tensors, 0 if tensors[0].ndim == 1 else 1)


@implements("vstack", "row_stack")
def vstack(tensors: Sequence[Any]) -> Any:
    """Tensors below each other: along the first dimension; vectors are rows."""
    return cat([x.reshape(1, -1) if x.ndim == 1 else x for x in tensors], 0)


@implements("kron")
def kron(x: Any, other: Any) -> Any:
    """The Kronecker product: other scaled by each entry of x, (n1 m1, n2 m2, ...).

    >>> from scorch import tensor
    >>> kron(tensor([[0.0, 2.0]], "csr"), tensor([[1.0, 0.0]], "csr")).coords().tolist()
    [[0], [2]]
    """
    ndim = max(x.ndim, other.ndim)
    left, right = (_ranked(part, ndim) for part in (x, other))
    like = left if isinstance(x, Tensor) else right
    shape = tuple(m * n for m, n in zip(left.shape, right.shape, strict=True))
    if left.fill != 0 or right.fill != 0:
        raise ShapeError("kron takes tensors whose fill is 0")
    first, second = entries(left).coords, entries(right).coords
    m, n = first.shape[1], second.shape[1]
    extents = torch.tensor(right.shape, dtype=torch.int64)[:, None, None]
    coords = (first[:, :, None] * extents + second[:, None, :]).reshape(ndim, m * n)
    values = (stored_values(left)[:, None] * stored_values(right)[None, :]).reshape(-1)
    return assembled(values, Entries(coords), shape, carried(like, range(ndim), shape, m * n))


def _ranked(x: Any, ndim: int) -> Tensor:
    sparse = x if isinstance(x, Tensor) else tensor(x, "coo")
    made: Tensor = reshape(sparse, (1,) * (ndim - x.ndim) + tuple(x.shape)) if x.ndim < ndim else sparse
    return made


@implements("block_diag")
def block_diag(*tensors: Any) -> Any:
    """Matrices along the diagonal of a larger one, zero elsewhere."""
    parts = _sparse([x.reshape(1, -1) if x.ndim < 2 else x for x in tensors])
    like, coords, row, column = parts[0], [], 0, 0
    for x in parts:
        coords.append(entries(x).coords + torch.tensor([[row], [column]]))
        row, column = row + x.shape[0], column + x.shape[1]
    values = torch.cat([stored_values(x) for x in parts])
    shape = (row, column)
    return assembled(
        values, Entries(torch.cat(coords, dim=1)), shape, carried(like, (0, 1), shape, len(values)), like.fill
    )
