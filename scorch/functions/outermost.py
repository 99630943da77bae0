"""A range of the coordinates of the outermost level: a part of each array, without a look at the other entries."""

from __future__ import annotations

import operator

import numpy as np

from scorch.formats import Pattern, Storage
from scorch.formats.levels import Level
from scorch.formats.storage import Array
from scorch.tensor import Tensor

__all__ = ["has_ranges", "narrowed"]


def has_ranges(x: Tensor) -> bool:
    """Whether the entries of neighbouring outermost coordinates lie together, in arrays that can be cut."""
    levels = x.format.levels
    known = all(level.full or level.branchless or set(level.arrays) == {"pos", "crd"} for level in levels)
    return known and not x.format.blocks and x.ndim > 0 and (levels[0].full or levels[0].ordered)


def narrowed(x: Tensor, first: int, last: int) -> Tensor:
    """The coordinates first ... last - 1 of the dimension that the outermost level stores; shares memory.

    >>> from scorch import tensor
    >>> A = tensor([[0.0, 1.0], [2.0, 0.0], [0.0, 3.0]], "csr")
    >>> narrowed(A, 1, 3).coords().tolist(), narrowed(A, 1, 3).values.data_ptr() == A.values[1:].data_ptr()
    ([[0, 1], [0, 1]], True)
    """
    pattern = x._storage.pattern
    arrays: list[dict[str, Array]] = []
    start, stop = 0, 1
    for depth, (level, own) in enumerate(zip(x.format.levels, pattern.arrays, strict=True)):
        made, start, stop = _cut(level, own, start, stop, pattern.extent(depth), (first, last) if depth == 0 else None)
        arrays.append(made)
    outer = x.format.order[0]
    shape = tuple(last - first if d == outer else extent for d, extent in enumerate(x.shape))
    values = x._storage.values.reshape(-1)[start:stop]
    return Tensor(Storage(Pattern(shape, x.format, arrays, validate=False), values, x.fill))


def _cut(
    level: Level, arrays: dict[str, Array], start: int, stop: int, extent: int, only: tuple[int, int] | None
) -> tuple[dict[str, Array], int, int]:
    """The part of a level below the parent positions start ... stop - 1, and its positions; `only` some coordinates."""
    if level.full:
        return ({}, *only) if only is not None else ({}, start * extent, stop * extent)
    crd = arrays["crd"]
    if level.branchless:
        return {"crd": crd[start:stop]}, start, stop
    pos = arrays["pos"]
    if only is None:
        lo, hi = operator.index(pos[start]), operator.index(pos[stop])
        return {"pos": pos[start : stop + 1] - pos[start], "crd": crd[lo:hi]}, lo, hi
    lo, hi = (int(np.searchsorted(crd, bound)) for bound in only)
    ends = np.array([0, hi - lo], dtype=pos.dtype)
    return {"pos": ends, "crd": crd[lo:hi] - np.asarray(only[0], dtype=crd.dtype)}, lo, hi
