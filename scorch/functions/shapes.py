"""Shapes: reshape, view, flatten, squeeze, unsqueeze, permute, transpose, broadcast_to and their like."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from itertools import chain
from typing import Any

import torch

from scorch.errors import ShapeError, UnsupportedError
from scorch.functions.registry import implements
from scorch.functions.structure import Entries, carried, dimension, linear_size, moved
from scorch.tensor import Tensor

__all__ = ["broadcast_to", "permute", "reshape", "squeeze", "unsqueeze"]


def as_sizes(sizes: Sequence[Any]) -> tuple[int, ...]:
    """Sizes given as arguments or as one sequence."""
    given = sizes[0] if len(sizes) == 1 and isinstance(sizes[0], Sequence) else sizes
    return tuple(operator.index(size) for size in given)


@implements("reshape", "view", "Tensor.reshape_as", "Tensor.view_as")
def reshape(x: Tensor, *shape: Any) -> Any:
    """The entries in the same row-major order in another shape; one extent may be -1.

    >>> A = torch.eye(4).to_sparse_csr()
    >>> from scorch import tensor
    >>> reshape(tensor(A), 2, 8).coords().tolist()
    [[0, 0, 1, 1], [0, 5, 2, 7]]
    """
    if len(shape) == 1 and isinstance(shape[0], torch.dtype):
        raise UnsupportedError(
            "a view as another number type is not available; use x.with_values(x.values.view(dtype))"
        )
    sizes = tuple(shape[0].shape) if len(shape) == 1 and hasattr(shape[0], "shape") else as_sizes(shape)
    total = linear_size(x.shape)
    sizes = _inferred(sizes, total, x.shape)
    if sizes == x.shape:
        return x
    sources = list(range(x.ndim)) if len(sizes) == x.ndim else [None] * len(sizes)
    return moved(x, sizes, carried(x, sources, sizes), lambda made: _raveled(made, x.shape, sizes), "reshape")


def _inferred(sizes: tuple[int, ...], total: int, shape: tuple[int, ...]) -> tuple[int, ...]:
    known = 1
    for size in sizes:
        known *= 1 if size == -1 else size
    free = sizes.count(-1)
    if free == 1 and known and total % known == 0:
        sizes = tuple(total // known if size == -1 else size for size in sizes)
    elif free or known != total or any(size < 0 for size in sizes):
        raise ShapeError(f"shape {sizes} is invalid for a tensor of shape {shape}, which has {total} places")
    return sizes


def _raveled(made: Entries, shape: Sequence[int], sizes: Sequence[int]) -> Entries:
    """Coordinates through the row-major number of each place."""
    numbers = torch.zeros(made.coords.shape[1], dtype=torch.int64)
    for row, extent in zip(made.coords, shape, strict=True):
        numbers = numbers * extent + row
    rows: list[torch.Tensor] = []
    for size in reversed(sizes):
        rows.insert(0, numbers % size)
        numbers = numbers // size
    return made.at(rows)


@implements("flatten", "ravel")
def flatten(x: Tensor, start_dim: int = 0, end_dim: int = -1) -> Any:
    """Dimensions start_dim ... end_dim as one."""
    first, last = dimension(start_dim, x.ndim), dimension(end_dim, x.ndim)
    if first > last:
        raise ShapeError(f"start_dim {start_dim} comes after end_dim {end_dim}")
    return reshape(x, (*x.shape[:first], -1 if 0 not in x.shape else 0, *x.shape[last + 1 :])) if x.ndim else x


@implements("unflatten")
def unflatten(x: Tensor, dim: int, sizes: Sequence[int]) -> Any:
    """One dimension as several."""
    at = dimension(dim, x.ndim)
    return reshape(x, (*x.shape[:at], *_inferred(tuple(sizes), x.shape[at], x.shape), *x.shape[at + 1 :]))


@implements("squeeze")
def squeeze(x: Tensor, dim: int | Sequence[int] | None = None) -> Any:
    """Without the dimensions of extent 1, or without those of them that are named."""
    named = range(x.ndim) if dim is None else (dim,) if isinstance(dim, int) else dim
    gone = {d for d in (dimension(d, x.ndim) for d in named) if x.shape[d] == 1}
    kept = [d for d in range(x.ndim) if d not in gone]
    if not gone:
        return x
    shape = [x.shape[d] for d in kept]
    return moved(x, shape, carried(x, kept, shape), lambda made: made.at(made.coords[kept]), ("squeeze", tuple(kept)))


@implements("unsqueeze")
def unsqueeze(x: Tensor, dim: int) -> Any:
    """With a new dimension of extent 1."""
    at = dimension(dim, x.ndim + 1)
    sources: list[int | None] = [*range(at), None, *range(at, x.ndim)]
    shape = [*x.shape[:at], 1, *x.shape[at:]]

    def insert(made: Entries) -> Entries:
        zeros = made.coords.new_zeros((1, made.coords.shape[1]))
        return made.at(torch.cat([made.coords[:at], zeros, made.coords[at:]]))

    return moved(x, shape, carried(x, sources, shape), insert, ("unsqueeze", at))


@implements("permute")
def permute(x: Tensor, *dims: Any) -> Tensor:
    """Dimension dims[d] as the d-th, without a copy."""
    return Tensor.permute(x, *dims)


@implements("transpose", "swapaxes", "swapdims")
def transpose(x: Tensor, dim0: int, dim1: int) -> Tensor:
    """Two dimensions swapped, without a copy."""
    order = list(range(x.ndim))
    first, second = dimension(dim0, x.ndim), dimension(dim1, x.ndim)
    order[first], order[second] = second, first
    return x.permute(order)


@implements("t")
def t(x: Tensor) -> Tensor:
    """The last two dimensions swapped."""
    if x.ndim < 2:
        return x
    return transpose(x, -2, -1)


@implements("adjoint")
def adjoint(x: Tensor) -> Tensor:
    """The last two dimensions swapped, and complex values conjugated."""
    return t(x.conj() if x.is_complex() else x)


@implements("movedim", "moveaxis")
def movedim(x: Tensor, source: int | Sequence[int], destination: int | Sequence[int]) -> Tensor:
    """Dimensions moved to other positions, the others in their order."""
    sources = [dimension(d, x.ndim) for d in ([source] if isinstance(source, int) else source)]
    targets = [dimension(d, x.ndim) for d in ([destination] if isinstance(destination, int) else destination)]
    if len(sources) != len(targets) or len(set(sources)) < len(sources) or len(set(targets)) < len(targets):
        raise ShapeError(f"movedim: {source} and {destination} are not as many different dimensions")
    order = [d for d in range(x.ndim) if d not in sources]
    for target, moving in sorted(zip(targets, sources, strict=True)):
        order.insert(target, moving)
    return x.permute(order)


@implements("broadcast_to", "Tensor.expand")
def broadcast_to(x: Tensor, *shape: Any) -> Any:
    """Entries repeated along dimensions of extent 1 and new ones; -1 keeps an extent."""
    sizes = as_sizes(shape)
    new = len(sizes) - x.ndim
    if new < 0:
        raise ShapeError(f"a tensor of shape {x.shape} can't be expanded to the {len(sizes)} dimensions of {sizes}")
    old = (1,) * new + x.shape
    sizes = tuple(
        was if size == -1 and d >= new else size for d, (was, size) in enumerate(zip(old, sizes, strict=True))
    )
    if any(was not in (1, size) or size < 0 for was, size in zip(old, sizes, strict=True)):
        raise ShapeError(f"a tensor of shape {x.shape} can't be expanded to {sizes}")
    repeated = [d for d in range(len(sizes)) if old[d] != sizes[d] or d < new]
    if not repeated:
        return x
    copies = linear_size([sizes[d] for d in repeated])
    sources: list[int | None] = [None if d < new else d - new for d in range(len(sizes))]
    format = carried(x, sources, sizes, x.nnz * copies)
    return moved(x, sizes, format, lambda made: _repeated(made, new, sizes, repeated), "broadcast")


def _repeated(made: Entries, new: int, sizes: Sequence[int], repeated: Sequence[int]) -> Entries:
    count = made.coords.shape[1]
    places = torch.arange(count) if made.places is None else made.places
    copies = linear_size([sizes[d] for d in repeated])
    number = torch.arange(copies).repeat_interleave(count)
    rows = [None] * new + [row.repeat(copies) for row in made.coords]
    for d in reversed(repeated):
        rows[d], number = number % sizes[d], number // sizes[d]
    return Entries(torch.stack([row for row in rows if row is not None]), places.repeat(copies))


@implements("Tensor.expand_as")
def expand_as(x: Tensor, other: Any) -> Any:
    """Expanded to the shape of another tensor."""
    return broadcast_to(x, tuple(other.shape))


@implements("tile", "Tensor.repeat")
def tile(x: Tensor, *dims: Any) -> Any:
    """Copies beside each other, so many along each dimension."""
    counts = as_sizes(dims)
    counts = (1,) * (x.ndim - len(counts)) + counts
    new = len(counts) - x.ndim
    parts = tuple(chain.from_iterable(zip(counts, (1,) * new + x.shape, strict=True)))
    spread = reshape(x, tuple(chain.from_iterable((1, extent) for extent in (1,) * new + x.shape)))
    sizes = tuple(count * extent for count, extent in zip(counts, (1,) * new + x.shape, strict=True))
    return reshape(broadcast_to(spread, parts), sizes)
