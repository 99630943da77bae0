"""The units of a phase, and chunk bounds that give every chunk about the same number of nonzeros, or of products."""

from __future__ import annotations

from bisect import bisect_left
from typing import Any, TypeAlias

import numpy as np

from scorch.formats import Pattern

__all__ = ["chunk_bounds", "merge_rows", "unit_count"]

Array: TypeAlias = "np.ndarray[Any, Any]"
FEW = 9  # bounds that are found sooner one by one
ROW = 2  # a unit costs about as much as this many nonzeros, whatever it holds


def unit_count(unit: str, extent: int, pattern: Pattern | None, width: int) -> int:
    """How many units there are: coordinates of the index, positions of the pattern's first level, tiles
    of `width`, or rows and nonzeros of a merge path."""
    if unit == "positions":
        assert pattern is not None
        return pattern.positions[0]
    if unit == "merge-path":
        assert pattern is not None
        return extent + pattern.positions[1]
    if unit == "tiles":
        return -(-extent // width)
    return extent


def chunk_bounds(
    unit: str, units: int, chunks: int, pattern: Pattern | None, together: int = 1, rows: Pattern | None = None
) -> Array:
    """Bounds b of `chunks` chunks b[c] ... b[c + 1] - 1 of the units, ascending int64, some perhaps empty.

    With a pattern, chunks hold equal numbers of its nonzeros, or, where each selects one of the `rows` of another
    pattern, of all that they select; runs of one coordinate are not divided. Where units are taken so many `together`,
    chunks hold multiples of that.

    >>> chunk_bounds("coordinates", 10, 2, None, together=4).tolist()
    [0, 4, 10]
    """
    if unit == "merge-path":
        return _even(units, chunks)
    ends = _second_level_ends(pattern, units) if pattern is not None else None
    if ends is not None and pattern is not None and rows is not None:
        ends = _selected_ends(ends, pattern.arrays[1]["crd"], rows.arrays[1]["pos"])
    if ends is None:
        bounds = _even(units, chunks)
    else:
        total = int(ends[units]) + ROW * units
        bounds = _search(ends, units, _even(total, chunks))
    if together > 1:
        bounds -= bounds % together
    bounds[0], bounds[-1] = 0, units
    if (
        unit == "positions"
        and pattern is not None
        and not pattern.format.levels[0].unique
        and pattern.format.levels[0].ordered
    ):
        crd = pattern.arrays[0]["crd"]
        inner = bounds[1:-1]
        inside = inner[inner < units]
        inner[inner < units] = np.searchsorted(crd, crd[inside], side="left")
    return bounds


def _even(total: int, chunks: int) -> Array:
    """The bounds of equal shares, rounded down.

    >>> _even(10, 4).tolist()
    [0, 2, 5, 7, 10]
    """
    return np.array([total * chunk // chunks for chunk in range(chunks + 1)], dtype=np.int64)


def merge_rows(bounds: Array, pattern: Pattern) -> Array:
    """The row at which each bound of a merge path lies: the first row r with r + pos[r + 1] >= bound, or behind all."""
    pos = pattern.arrays[1]["pos"]
    rows = len(pos) - 1
    low, high = np.zeros(len(bounds), dtype=np.int64), np.full(len(bounds), rows, dtype=np.int64)
    while (low < high).any():
        middle = (low + high) >> 1
        reached = pos[np.minimum(middle + 1, rows)] + middle >= bounds
        high = np.where(reached, middle, high)
        low = np.where(reached, low, np.minimum(middle + 1, high))
    return low


def _selected_ends(ends: Array, selected: Array, pos: Array) -> Array:
    """Where units end if each of their nonzeros counts as many as there are in the row that it selects.

    >>> _selected_ends(np.array([0, 2, 3]), np.array([0, 1, 1]), np.array([0, 5, 7]))
    array([0, 7, 9])
    """
    before = np.zeros(len(selected) + 1, dtype=np.int64)
    np.cumsum(np.diff(pos)[selected], out=before[1:])
    return before[ends]


def _second_level_ends(pattern: Pattern, units: int) -> Array | None:
    if pattern.format.ndim < 2 or "pos" not in pattern.arrays[1]:
        return None
    pos = pattern.arrays[1]["pos"]
    return pos if len(pos) == units + 1 else None


def _search(ends: Array, units: int, wanted: Array) -> Array:
    """For each wanted weight the first unit u with ends[u] + ROW * u >= wanted; many are bisected all at once."""
    if len(wanted) <= FEW:
        found = [bisect_left(range(units), weight, key=lambda u: int(ends[u]) + ROW * u) for weight in wanted.tolist()]
        return np.array(found, dtype=np.int64)
    low = np.zeros(len(wanted), dtype=np.int64)
    high = np.full(len(wanted), units, dtype=np.int64)
    while (low < high).any():
        middle = (low + high) >> 1
        reached = ends[middle] + ROW * middle >= wanted
        high = np.where(reached, middle, high)
        low = np.where(reached, low, np.minimum(middle + 1, high))
    return low
