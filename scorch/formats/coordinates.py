"""Coordinate lists: packing one into a coo pattern, and listing the coordinates of any pattern."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from scorch.errors import FormatError
from scorch.formats.blocks import joined
from scorch.formats.format import Format
from scorch.formats.levels import Dense
from scorch.formats.named import coo
from scorch.formats.storage import INDEX_LIMIT, Array, Pattern, bindable

__all__ = ["Packing", "coordinates", "listed", "pack", "sum_groups"]


FIRST = 64  # coordinates that tell of most lists that they are not sorted


@dataclass(frozen=True)
class Packing:
    """How a list of coordinates became a sorted `pattern` without duplicates; `gather` does it with values.

    `order` is the permutation that sorts the list (None: it was sorted), `groups` the number of the stored
    coordinate to which each sorted entry belongs (None: there were no duplicates).
    """

    pattern: Pattern
    order: torch.Tensor | None
    groups: torch.Tensor | None

    @property
    def is_direct(self) -> bool:
        """Whether the values are stored as they came."""
        return self.order is None and self.groups is None

    def gather(self, values: torch.Tensor) -> torch.Tensor:
        """The values in stored order, duplicates summed; `values` has one row for each packed coordinate.

        Differentiable; bool values are combined by "or".
        """
        if self.order is not None:
            values = values[self.order]
        if self.groups is not None:
            values = sum_groups(values, self.groups)
        return values.reshape(-1)


def sum_groups(values: torch.Tensor, groups: torch.Tensor) -> torch.Tensor:
    """Values summed by the number of their group, which ascends from 0; bool values are combined by "or".

    >>> sum_groups(torch.tensor([1.0, 2.0, 3.0]), torch.tensor([0, 1, 1]))
    tensor([1., 5.])
    """
    count = int(groups[-1]) + 1
    wide = values.to(torch.int32) if values.dtype is torch.bool else values
    total = wide.new_zeros((count, *values.shape[1:])).index_add(0, groups, wide)
    return total != 0 if values.dtype is torch.bool else total


def pack(coords: torch.Tensor, shape: Sequence[int], trailing: int = 0) -> Packing:
    """Sort coordinates lexicographically and merge duplicates into a coo pattern.

    `coords` is (n, nnz), int32 or int64, for the first n >= 1 dimensions of `shape`; the last `trailing`
    dimensions are dense below each coordinate. A list that is already sorted without duplicates is used as it
    is, without a copy. Raises FormatError for a coordinate outside its dimension.

    >>> packing = pack(torch.tensor([[1, 0, 1], [2, 1, 2]]), (2, 3))
    >>> coordinates(packing.pattern).tolist(), packing.gather(torch.tensor([1.0, 2.0, 3.0])).tolist()
    ([[0, 1], [1, 2]], [2.0, 4.0])
    """
    rank = len(shape) - trailing
    _check_range(coords, shape)
    order, repeated = _sorting(coords, [int(extent) for extent in shape[:rank]])
    if order is not None:
        coords = coords[:, order]
    groups = None
    if repeated is not None:
        groups = torch.cat([repeated.new_zeros(1, dtype=torch.int64), (~repeated).cumsum(0)])
        coords = torch.cat([coords[:, :1], coords[:, 1:][:, ~repeated]], dim=1)
    format = Format((*coo(rank).levels, *(Dense() for _ in range(trailing))))
    rows = coords.numpy()
    ends = np.array([0, rows.shape[1]], dtype=np.int64)
    arrays = [{"crd": row} for row in rows]
    arrays[0]["pos"] = ends
    return Packing(Pattern(shape, format, [*arrays, *({} for _ in range(trailing))], validate=False), order, groups)


def listed(coords: torch.Tensor, shape: Sequence[int]) -> Pattern:
    """The pattern of coordinates as they come, on their memory: coo if they are sorted and there is none twice.

    `coords` is (ndim, nnz), int32 or int64, ndim >= 1. Raises FormatError for a coordinate outside its dimension.

    >>> listed(torch.tensor([[1, 0], [2, 1]]), (2, 3))
    Pattern(shape=(2, 3), format=coo(unsorted), nnz=2)
    """
    _check_range(coords, shape)
    format = coo(len(shape))
    arrays = [{"crd": row} for row in coords.numpy()]
    arrays[0]["pos"] = np.array([0, coords.shape[1]], dtype=np.int64)
    return Pattern(shape, format if _is_sorted(coords) else format.unsorted, arrays, validate=False)


def _is_sorted(coords: torch.Tensor) -> bool:
    """Whether coordinates ascend, row by row, none of them twice. Where they don't, the first ones mostly tell."""
    rows = coords.unbind()
    return _ascend([row[:FIRST].numpy() for row in rows]) and (coords.shape[1] <= FIRST or _ascend(rows))


def _ascend(rows: Sequence[Any]) -> bool:
    """Whether tuples ascend, given a torch tensor or a numpy array for each of their places."""
    *outer, last = rows
    apart = None  # where a place before has grown
    for row in outer:
        falls, grows = row[1:] < row[:-1], row[1:] > row[:-1]
        if bool((falls if apart is None else falls & ~apart).any()):
            return False
        apart = grows if apart is None else apart | grows
    grows = last[1:] > last[:-1]
    return bool((grows if apart is None else grows | apart).all())


def _check_range(coords: torch.Tensor, shape: Sequence[int]) -> None:
    if not coords.shape[1]:
        return
    for dimension, row in enumerate(coords.unbind()):
        lowest, highest = (bound.item() for bound in torch.aminmax(row))
        if lowest < 0 or highest >= shape[dimension]:
            entry = int(((row < 0) | (row >= shape[dimension])).nonzero()[0])
            raise FormatError(
                f"coordinate {int(row[entry])} of entry {entry} is outside "
                f"dimension {dimension} of extent {shape[dimension]}"
            )


def _sorting(coords: torch.Tensor, shape: list[int]) -> tuple[torch.Tensor | None, torch.Tensor | None]:
    """The permutation that sorts and the marks of entries that repeat the one before; None for none."""
    size = 1
    for extent in shape:
        size *= extent
    if size > INDEX_LIMIT:
        return _sorting_by_rows(coords)
    keys = coords[0].to(torch.int64)
    for row, extent in zip(coords[1:], shape[1:], strict=True):
        keys = keys * extent + row
    if bool((keys[1:] > keys[:-1]).all()):
        return None, None
    order = None
    if bool((keys[1:] < keys[:-1]).any()):
        keys, order = torch.sort(keys, stable=True)
    return order, _if_any(keys[1:] == keys[:-1])


def _sorting_by_rows(coords: torch.Tensor) -> tuple[torch.Tensor | None, torch.Tensor | None]:
    # The coordinates don't fit one 64-bit key.
    order = torch.from_numpy(np.lexsort(coords.flip(0).numpy()))
    ordered = coords[:, order]
    unchanged = bool((order == torch.arange(len(order))).all())
    return None if unchanged else order, _if_any((ordered[:, 1:] == ordered[:, :-1]).all(0))


def _if_any(marks: torch.Tensor) -> torch.Tensor | None:
    return marks if bool(marks.any()) else None


def coordinates(pattern: Pattern) -> Array:
    """Coordinates of the stored values, (ndim, nnz) int64, a row for each dimension, in stored order.

    Shares memory with the level arrays where they are the rows of one int64 array (a coo tensor from torch),
    so the result is to be read, not written.

    >>> from scorch.formats import csr
    >>> p = Pattern((2, 3), csr, [{}, {"pos": np.array([0, 2, 3]), "crd": np.array([0, 2, 1])}])
    >>> coordinates(p).tolist()
    [[0, 0, 1], [0, 2, 1]]
    """
    if pattern.format.blocks:
        return joined(coordinates(pattern.stored), pattern.format.blocks)
    pattern = pattern.plain
    levels = pattern.format.levels
    rows: list[Array] = []
    for depth, level in enumerate(levels):
        arrays, count = pattern.arrays[depth], pattern.positions[depth]
        if level.full:
            extent = pattern.extent(depth)
            parents = count // extent if extent else 0
            rows = [np.repeat(row[:parents], extent) for row in rows]
            rows.append(np.tile(np.arange(extent, dtype=np.int64), parents))
            continue
        if not level.branchless:
            rows = [np.repeat(row, np.diff(arrays["pos"])) for row in rows]
        rows.append(arrays["crd"])
    whole = _common_rows(rows, pattern.format.order)
    if whole is not None:
        return whole
    listed = np.empty((len(levels), pattern.nnz), dtype=np.int64)
    for depth, row in enumerate(rows):
        listed[pattern.format.order[depth]] = row
    return listed


def _common_rows(rows: list[Array], order: tuple[int, ...]) -> Array | None:
    """The int64 array whose rows these are, if there is one."""
    whole = rows[0].base if rows else None
    if not isinstance(whole, np.ndarray) or whole.dtype != np.int64 or whole.shape != (len(rows), len(rows[0])):
        return None
    if order != tuple(range(len(rows))) or not whole.flags.c_contiguous:
        return None
    same = all(row.ctypes.data == part.ctypes.data for row, part in zip(rows, whole, strict=True))
    return bindable(whole) if same else None
