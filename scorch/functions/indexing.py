"""x[key]: integers, slices, None, ..., integer tensors and masks, in any mixture, as torch reads them."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from scorch.errors import ShapeError, UnsupportedError
from scorch.functions.outermost import has_ranges, narrowed
from scorch.functions.registry import implements
from scorch.functions.structure import Entries, assembled, carried, combined_keys, entries, moved, stored_values
from scorch.operand import Stored
from scorch.tensor import Tensor

__all__ = ["getitem", "joined", "picked"]


@dataclass(frozen=True)
class _Slice:
    """count coordinates from start on, by step (which may be negative)."""

    start: int
    step: int
    count: int


_NEW = object()


@implements("Tensor.__getitem__")
def getitem(x: Any, key: Any) -> Any:
    """What torch's indexing gives: sparse, in the operand's format where its dimensions remain.

    A scorch mask gives the values at its True entries as a torch tensor.

    >>> from scorch import tensor
    >>> A = tensor([[0.0, 1.0, 2.0], [0.0, 0.0, 3.0]], "csr")
    >>> getitem(A, (slice(None), 2)).to_dense(), getitem(A, (0, 1))
    (tensor([2., 3.]), tensor(1.))
    """
    if isinstance(key, Tensor) and not key.format.is_dense:
        return _masked(x, key)
    if not isinstance(x, Tensor):
        raise UnsupportedError("a dense tensor can be indexed by a sparse mask alone")
    parts = _completed(x, key if isinstance(key, tuple) else (key,))
    x, parts = _outermost(x, parts)
    lists = [part for part in parts if isinstance(part, torch.Tensor)]
    if all(part == _Slice(0, 1, extent) for part, extent in zip(parts, x.shape, strict=False)) and len(parts) == x.ndim:
        return x
    made, dims, shape = _basic(x, parts)
    if not lists:
        return moved(x, shape, carried(x, dims, shape), lambda _: made)
    return picked(
        x, made, dims, shape, [d for d, part in enumerate(_kept(parts)) if isinstance(part, torch.Tensor)], lists
    )


@implements("Tensor.__setitem__")
def setitem(x: Any, key: Any, value: Any) -> None:
    """Refused for sparse tensors; a dense one takes a sparse value."""
    if isinstance(x, torch.Tensor) and isinstance(value, Tensor) and not _sparse_in(key):
        x[key] = value.to_dense()
        return
    if isinstance(x, torch.Tensor) and isinstance(key, Tensor) and not isinstance(value, Stored):
        x[tuple(_true_coords(key))] = value
        return
    raise UnsupportedError(
        "the pattern of a scorch.Tensor doesn't change; make another one by torch.where, x.with_values(...) or "
        "scorch.from_coo, or write into x.to_dense()"
    )


def _sparse_in(key: Any) -> bool:
    return any(isinstance(part, Stored) for part in (key if isinstance(key, tuple) else (key,)))


# --- masks --------------------------------------------------------------------------------------------------


def _true_coords(mask: Tensor) -> torch.Tensor:
    if mask.dtype is not torch.bool or mask.fill:
        raise UnsupportedError(f"a sparse mask is of bool, False where nothing is stored; this one is {mask.dtype}")
    coords = mask.coords()[:, stored_values(mask)]
    return coords[:, torch.argsort(combined_keys(list(coords), mask.shape))] if mask.ndim else coords


def _masked(x: Any, mask: Tensor) -> torch.Tensor:
    """The values at the True entries of a mask of the same shape, in row-major order."""
    if tuple(x.shape) != mask.shape:
        raise ShapeError(f"the mask has shape {mask.shape}, the tensor {tuple(x.shape)}")
    coords = _true_coords(mask)
    return values_at(x, coords)


def values_at(x: Any, coords: torch.Tensor) -> torch.Tensor:
    """The values of a tensor at coordinates (ndim, n): (n,), the fill where nothing is stored."""
    if isinstance(x, torch.Tensor):
        return x[tuple(coords)]
    values, fill = stored_values(x), stored_values(x).new_full((1,), x.fill)
    if not x.ndim:
        return torch.cat([values, fill])[:1].expand(coords.shape[1])
    numbers, places = joined(entries(x).coords, coords, x.shape)
    where = torch.full((coords.shape[1],), len(values), dtype=torch.int64)
    where[numbers] = places
    return torch.cat([values, fill])[where]


def joined(stored: torch.Tensor, asked: torch.Tensor, extents: Sequence[int]) -> tuple[torch.Tensor, torch.Tensor]:
    """Every pair of a column of `asked` and an equal column of `stored`: the numbers of both, in order of the first."""
    count = stored.shape[1]
    both = [torch.cat([old.to(torch.int64), new]) for old, new in zip(stored, asked, strict=True)]
    keys = combined_keys(both, extents)
    known, wanted = keys[:count], keys[count:]
    known, order = torch.sort(known, stable=True)
    first = torch.searchsorted(known, wanted)
    found = torch.searchsorted(known, wanted, right=True) - first
    numbers = torch.repeat_interleave(torch.arange(len(wanted)), found)
    within = torch.arange(len(numbers)) - torch.repeat_interleave(found.cumsum(0) - found, found)
    return numbers, order[torch.repeat_interleave(first, found) + within]


# --- the key ------------------------------------------------------------------------------------------------


def _completed(x: Tensor, key: tuple[Any, ...]) -> list[Any]:
    """One part for each dimension of `x` (int, _Slice or index tensor) and _NEW for each None."""
    parts = [_read(part) for part in key]
    taken = sum(_dims_of(part) for part in parts)
    dots = [n for n, part in enumerate(parts) if part is Ellipsis]
    if taken > x.ndim:
        raise IndexError(f"too many indices: {taken} for a tensor of {x.ndim} dimensions")
    if len(dots) > 1:
        raise IndexError("an index can have one ellipsis only")
    at = dots[0] if dots else len(parts)
    whole = [slice(None)] * (x.ndim - taken)
    parts = [*parts[:at], *whole, *parts[at + bool(dots) :]]
    made: list[Any] = []
    for part in parts:
        dim = sum(1 for p in made if p is not _NEW)
        made += _for_dimension(part, x.shape, dim)
    return made


def _read(part: Any) -> Any:
    """A part of a key as None, ..., an int, a slice or an index tensor."""
    if part is None or part is Ellipsis or isinstance(part, slice):
        return part
    if isinstance(part, bool | np.bool_):
        raise UnsupportedError("True and False as an index are not available; write x[None] or x[:0]")
    if isinstance(part, Stored):
        raise UnsupportedError("a sparse index stands alone in the brackets; pass it dense, x[mask.to_dense(), ...]")
    if isinstance(part, int | np.integer):
        return int(part)
    index = part if isinstance(part, torch.Tensor) else torch.as_tensor(np.asarray(part))
    if index.numel() == 0 and index.dtype.is_floating_point:
        index = index.to(torch.int64)
    if index.dtype.is_floating_point or index.dtype.is_complex:
        raise IndexError("tensors used as indices must be of integers or bool")
    if index.ndim == 0 and index.dtype is not torch.bool:
        return int(index)
    return index


def _dims_of(part: Any) -> int:
    if part is None or part is Ellipsis:
        return 0
    return part.ndim if isinstance(part, torch.Tensor) and part.dtype is torch.bool else 1


def _for_dimension(part: Any, shape: tuple[int, ...], dim: int) -> list[Any]:
    if part is None:
        return [_NEW]
    if isinstance(part, torch.Tensor) and part.dtype is torch.bool:
        extents = shape[dim : dim + part.ndim]
        if tuple(part.shape) != extents:
            raise IndexError(f"the mask of shape {tuple(part.shape)} doesn't fit dimensions {extents}")
        return list(part.nonzero(as_tuple=True))
    extent = shape[dim]
    if isinstance(part, slice):
        start, stop, step = part.indices(extent)
        return [_Slice(start, step, len(range(start, stop, step)))]
    if isinstance(part, int):
        return [bounded(part, extent, dim)]
    return [wrapped(part, extent)]


def bounded(index: int, extent: int, dim: int = 0) -> int:
    """An index counted from the front; IndexError outside the extent."""
    if not -extent <= index < extent:
        raise IndexError(f"index {index} is out of bounds for dimension {dim} with size {extent}")
    return operator.index(index) % extent


def wrapped(index: torch.Tensor, extent: int) -> torch.Tensor:
    """Indices counted from the front; IndexError if one is outside the extent."""
    index = index.to(torch.int64)
    outside = (index < -extent) | (index >= extent)
    if bool(outside.any()):
        raise IndexError(f"index {int(index[outside][0])} is out of bounds for a dimension with size {extent}")
    return torch.where(index < 0, index + extent, index)


def _kept(parts: list[Any]) -> list[Any]:
    """The parts that leave a dimension."""
    return [part for part in parts if not isinstance(part, int)]


def _outermost(x: Tensor, parts: list[Any]) -> tuple[Tensor, list[Any]]:
    """The tensor cut to what the key leaves of the outermost level, and the key for what is left."""
    if not has_ranges(x):
        return x, parts
    at = [n for n, part in enumerate(parts) if part is not _NEW][x.format.order[0]]
    part = parts[at]
    if isinstance(part, int):
        return narrowed(x, part, part + 1), [*parts[:at], 0, *parts[at + 1 :]]
    if isinstance(part, _Slice) and part.step == 1 and part.count < x.shape[x.format.order[0]]:
        whole = _Slice(0, 1, part.count)
        return narrowed(x, part.start, part.start + part.count), [*parts[:at], whole, *parts[at + 1 :]]
    return x, parts


# --- entries ------------------------------------------------------------------------------------------------


def _basic(x: Tensor, parts: list[Any]) -> tuple[Entries, list[int | None], list[int]]:
    """Integers, slices and None applied: the entries that are left, the dimension that each row is of, the shape."""
    made, dim = entries(x), 0
    rows: list[tuple[Any, int | None, int]] = []  # part, source dimension, extent
    for part in parts:
        if part is _NEW:
            rows.append((part, None, 1))
            continue
        if isinstance(part, int):
            made = made.chosen(made.coords[dim] == part)
        elif isinstance(part, _Slice) and part != _Slice(0, 1, x.shape[dim]):
            made = _sliced(made, dim, part)
        if not isinstance(part, int):
            rows.append((part, dim, part.count if isinstance(part, _Slice) else x.shape[dim]))
        dim += 1
    zeros = torch.zeros(made.coords.shape[1], dtype=torch.int64)
    coords = [zeros if source is None else made.coords[source] for _, source, _ in rows]
    return made.at(coords), [source for _, source, _ in rows], [extent for *_, extent in rows]


def _sliced(made: Entries, dim: int, part: _Slice) -> Entries:
    offset = made.coords[dim] - part.start
    number = torch.div(offset, part.step, rounding_mode="floor")
    inside = (number >= 0) & (number < part.count) & (number * part.step == offset)
    coords = made.coords.clone()
    coords[dim] = number
    return made.at(coords).chosen(inside) if made.places is not None else Entries(coords).chosen(inside)


def picked(
    x: Tensor, made: Entries, dims: Sequence[int | None], shape: Sequence[int], at: Sequence[int], lists: list[Any]
) -> Any:
    """Index tensors `lists` applied to the dimensions `at`; their broadcast shape stands where the first was.

    As in torch it comes first if other dimensions stand between those dimensions.
    """
    try:
        new = np.broadcast_shapes(*(tuple(index.shape) for index in lists))
    except ValueError:
        shapes = ", ".join(str(tuple(index.shape)) for index in lists)
        raise IndexError(f"index tensors of shapes {shapes} can't be broadcast together") from None
    asked = torch.stack([index.expand(new).reshape(-1) for index in lists])
    numbers, found = joined(made.coords[list(at)], asked, [shape[d] for d in at])
    made = made.chosen(found)
    unraveled: list[torch.Tensor] = []
    for extent in reversed(new):
        unraveled.insert(0, numbers % extent)
        numbers = numbers // extent
    together = list(at) == list(range(at[0], at[0] + len(at)))
    front = at[0] if together else 0
    others = [d for d in range(len(shape)) if d not in at]
    before, after = others[:front], others[front:]
    coords = [*(made.coords[d] for d in before), *unraveled, *(made.coords[d] for d in after)]
    inside: list[int | None] = [dims[at[0]]] if len(new) == 1 else [None] * len(new)
    sources = [*(dims[d] for d in before), *inside, *(dims[d] for d in after)]
    sizes = [*(shape[d] for d in before), *new, *(shape[d] for d in after)]
    return assembled(stored_values(x), made.at(coords), sizes, carried(x, sources, sizes, len(found)), x.fill)
