"""Parts of tensors by name: select, narrow, index_select, gather, masked_select, split, chunk, unbind, flip, roll."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import torch

from scorch.errors import ShapeError
from scorch.functions.indexing import getitem, values_at, wrapped
from scorch.functions.registry import implements
from scorch.functions.structure import Entries, carried, dimension, moved
from scorch.tensor import Tensor

__all__ = ["gather", "index_select", "narrow", "select"]


def _along(x: Tensor, dim: int, part: Any) -> Any:
    return getitem(x, (slice(None),) * dimension(dim, x.ndim) + (part,))


@implements("select")
def select(x: Tensor, dim: int, index: int) -> Any:
    """One coordinate of a dimension, which goes."""
    return _along(x, dim, int(index))


@implements("narrow")
def narrow(x: Tensor, dim: int, start: int, length: int) -> Any:
    """`length` coordinates of a dimension from `start` on."""
    extent = x.shape[dimension(dim, x.ndim)]
    first = int(start) + extent if int(start) < 0 else int(start)
    if not 0 <= first <= first + length <= extent:
        raise ShapeError(f"start {start} and length {length} leave dimension {dim}, of extent {extent}")
    return _along(x, dim, slice(first, first + length))


@implements("index_select")
def index_select(x: Tensor, dim: int, index: torch.Tensor) -> Any:
    """The coordinates of a dimension that a list names, in its order.

    >>> from scorch import tensor
    >>> index_select(tensor([[0.0, 1.0], [2.0, 0.0]], "csr"), 0, torch.tensor([1, 1])).to_dense()
    tensor([[2., 0.],
            [2., 0.]])
    """
    if index.ndim > 1:
        raise ShapeError(f"index_select takes a list of indices, not a tensor of shape {tuple(index.shape)}")
    return _along(x, dim, index.reshape(-1))


@implements("gather")
def gather(x: Tensor, dim: int, index: torch.Tensor, *, sparse_grad: bool = False) -> torch.Tensor:
    """out[i, j, ...] = x[i, index[i, j, ...], ...] for the dimension 1, say: as many values as `index` has, dense."""
    at = dimension(dim, x.ndim)
    if index.ndim != x.ndim or any(n > m for d, (n, m) in enumerate(zip(index.shape, x.shape, strict=True)) if d != at):
        raise ShapeError(f"gather: the index has shape {tuple(index.shape)}, the tensor {x.shape}")
    rows = list(torch.meshgrid(*(torch.arange(extent) for extent in index.shape), indexing="ij"))
    rows[at] = wrapped(index, x.shape[at])
    return values_at(x, torch.stack([row.reshape(-1) for row in rows])).reshape(index.shape)


@implements("take_along_dim")
def take_along_dim(x: Tensor, indices: torch.Tensor, dim: int | None = None) -> torch.Tensor:
    """`gather`, with indices broadcast along the other dimensions; without `dim` of the flattened tensor."""
    if dim is None:
        return take(x, indices.reshape(-1))
    at = dimension(dim, x.ndim)
    sizes = [n if d == at else max(n, m) for d, (n, m) in enumerate(zip(indices.shape, x.shape, strict=True))]
    return gather(x, dim, indices.expand(sizes))


@implements("take")
def take(x: Tensor, index: torch.Tensor) -> torch.Tensor:
    """The values at places of the flattened tensor, in the shape of `index`."""
    number = wrapped(index, x._storage.pattern.size).reshape(-1)
    rows: list[torch.Tensor] = []
    for extent in reversed(x.shape):
        rows.insert(0, number % extent)
        number = number // extent
    return values_at(x, torch.stack(rows)).reshape(index.shape)


@implements("masked_select")
def masked_select(x: Any, mask: Any) -> Any:
    """x[mask], in row-major order."""
    return getitem(x, mask)


@implements("split", "Tensor.split_with_sizes")
def split(x: Tensor, split_size_or_sections: int | Sequence[int], dim: int = 0) -> tuple[Any, ...]:
    """Parts of so many coordinates of a dimension; the last may be smaller."""
    extent = x.shape[dimension(dim, x.ndim)]
    if isinstance(split_size_or_sections, int):
        size = split_size_or_sections
        if size <= 0:
            raise ShapeError(f"split: a part of {size} coordinates")
        sizes = [min(size, extent - start) for start in range(0, extent, size)] or [0]
    else:
        sizes = list(split_size_or_sections)
    if sum(sizes) != extent:
        raise ShapeError(f"split: parts of {sizes} coordinates don't make up the extent {extent} of dimension {dim}")
    starts = [sum(sizes[:n]) for n in range(len(sizes))]
    return tuple(_along(x, dim, slice(start, start + size)) for start, size in zip(starts, sizes, strict=True))


@implements("chunk")
def chunk(x: Tensor, chunks: int, dim: int = 0) -> tuple[Any, ...]:
    """At most so many parts of one size; the last may be smaller."""
    extent = x.shape[dimension(dim, x.ndim)]
    if chunks <= 0:
        raise ShapeError(f"chunk: {chunks} parts")
    return split(x, max(1, -(-extent // chunks)), dim)


@implements("tensor_split")
def tensor_split(x: Tensor, indices_or_sections: int | Sequence[int], dim: int = 0) -> tuple[Any, ...]:
    """Parts of nearly one size, or between the indices."""
    extent = x.shape[dimension(dim, x.ndim)]
    if isinstance(indices_or_sections, int):
        each, more = divmod(extent, indices_or_sections)
        ends = [n * each + min(n, more) for n in range(indices_or_sections + 1)]
    else:
        ends = [0, *(int(n) for n in indices_or_sections), extent]
    return tuple(_along(x, dim, slice(start, end)) for start, end in pairwise(ends))


@implements("unbind")
def unbind(x: Tensor, dim: int = 0) -> tuple[Any, ...]:
    """Each coordinate of a dimension."""
    return tuple(select(x, dim, n) for n in range(x.shape[dimension(dim, x.ndim)]))


@implements("flip")
def flip(x: Tensor, *dims: Any) -> Any:
    """The coordinates of dimensions in reverse."""
    given = dims[0] if len(dims) == 1 and isinstance(dims[0], Sequence) else dims
    turned = [dimension(d, x.ndim) for d in given]

    def reverse(made: Entries) -> Entries:
        return made.at([x.shape[d] - 1 - row if d in turned else row for d, row in enumerate(made.coords)])

    return moved(x, x.shape, carried(x, range(x.ndim), x.shape), reverse, ("flip", tuple(turned)))


@implements("roll")
def roll(x: Tensor, shifts: int | Sequence[int], dims: int | Sequence[int] | None = None) -> Any:
    """Coordinates moved on along dimensions, from the end to the front; without `dims` in the flattened tensor."""
    if dims is None:
        flat = x.reshape(-1)
        return roll(flat, shifts, 0).reshape(x.shape)
    steps = [shifts] if isinstance(shifts, int) else list(shifts)
    named = [dims] if isinstance(dims, int) else list(dims)
    if len(steps) != len(named):
        raise ShapeError(f"roll: {len(steps)} shifts for {len(named)} dimensions")
    moves = [0] * x.ndim
    for step, dim in zip(steps, named, strict=True):
        moves[dimension(dim, x.ndim)] += step

    def turn(made: Entries) -> Entries:
        return made.at([(row + by) % extent for row, by, extent in zip(made.coords, moves, x.shape, strict=True)])

    return moved(x, x.shape, carried(x, range(x.ndim), x.shape), turn, ("roll", tuple(moves)))


@implements("repeat_interleave")
def repeat_interleave(x: Tensor, repeats: Any, dim: int | None = None, *, output_size: int | None = None) -> Any:
    """Each coordinate of a dimension several times."""
    if dim is None:
        return repeat_interleave(x.reshape(-1), repeats, 0)
    extent = x.shape[dimension(dim, x.ndim)]
    counts = torch.as_tensor(repeats).expand(extent)
    numbers = torch.repeat_interleave(torch.arange(extent), counts)
    return _along(x, dim, numbers)
