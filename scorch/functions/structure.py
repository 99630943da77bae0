"""Tensors from a list of coordinates and the places of their values in another tensor.

What only moves entries (indexing, cat, reshape, triu ...) computes coordinates with torch's integer operations and
takes the values by `values[places]`: gradients flow through it, and nothing becomes dense.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import torch

from scorch import exchange
from scorch.errors import ShapeError
from scorch.formats import Format, Pattern, Storage, coo
from scorch.formats.coordinates import coordinates, pack
from scorch.formats.levels import Compressed, Dense, Level
from scorch.formats.storage import INDEX_LIMIT, checked_size
from scorch.reorder import reorder
from scorch.tensor import Tensor

__all__ = [
    "Entries", "assembled", "carried", "combined_keys", "dimension", "entries", "moved", "stored_values",
]  # fmt: skip

Sources: TypeAlias = "Sequence[int | None]"
SPARE_ROWS = 4  # places of dense levels that a result may have for each that its source had, or for each entry


@dataclass(frozen=True)
class Entries:
    """Stored entries: `coords` (ndim, n), and the place of each entry's value among the source's; None: as they are."""

    coords: torch.Tensor
    places: torch.Tensor | None = None

    def chosen(self, which: torch.Tensor) -> Entries:
        """The entries that a mask or a list of numbers selects."""
        numbers = which.nonzero()[:, 0] if which.dtype is torch.bool else which
        return Entries(self.coords[:, numbers], numbers if self.places is None else self.places[numbers])

    def at(self, coords: torch.Tensor | Sequence[torch.Tensor]) -> Entries:
        """The same values at other coordinates."""
        if not isinstance(coords, torch.Tensor):
            count = self.coords.shape[1] if self.places is None else len(self.places)
            coords = torch.stack(list(coords)) if len(coords) else torch.empty((0, count), dtype=torch.int64)
        return Entries(coords, self.places)


def entries(x: Tensor) -> Entries:
    """The entries of a tensor in stored order."""
    return Entries(torch.from_numpy(coordinates(x._storage.pattern)))


def stored_values(x: Tensor) -> torch.Tensor:
    """The stored values of a tensor in one dimension."""
    return exchange.stored_order(x._storage)


def dimension(dim: int, ndim: int) -> int:
    """A dimension counted from the front; IndexError, as torch's, if there is no such dimension."""
    if not -max(ndim, 1) <= dim < max(ndim, 1):
        raise IndexError(f"dimension {dim} is out of range for a tensor of {ndim} dimensions")
    return dim % max(ndim, 1)


def assembled(
    values: torch.Tensor, made: Entries, shape: Sequence[int], format: Format, fill: Any = 0
) -> torch.Tensor | Tensor:
    """The tensor with these entries: values at equal coordinates are summed. Without dimensions: a torch tensor."""
    pattern, take = _arranged(made, tuple(shape), format)
    return _filled(pattern, take(values, fill), fill)


def moved(
    x: Tensor,
    shape: Sequence[int],
    format: Format,
    move: Callable[[Entries], Entries],
    key: Hashable = None,
) -> torch.Tensor | Tensor:
    """The tensor whose entries are those of `x`, moved. With a key, the new pattern is kept on the old one."""
    pattern = x._storage.pattern
    kept = ("function", key, tuple(shape), format)
    found = pattern.cache.get(kept) if key is not None else None
    if found is None:
        found = _arranged(move(entries(x)), tuple(shape), format)
        if key is not None:
            pattern.cache[kept] = found
    made, take = found
    return _filled(made, take(stored_values(x), x.fill), x.fill)


def _filled(pattern: Pattern | None, values: torch.Tensor, fill: Any) -> torch.Tensor | Tensor:
    return values if pattern is None else Tensor(Storage(pattern, values, fill))


def _arranged(
    made: Entries, shape: tuple[int, ...], format: Format
) -> tuple[Pattern | None, Callable[[torch.Tensor, Any], torch.Tensor]]:
    """The pattern of the entries, and the function of values and fill that gives its values."""
    if not shape:
        return None, lambda values, fill: _scalar(values if made.places is None else values[made.places], fill)
    packing = pack(made.coords, shape)
    reordering = reorder(packing.pattern, format)

    def take(values: torch.Tensor, fill: Any) -> torch.Tensor:
        chosen = values if made.places is None else values[made.places]
        return reordering.values(packing.gather(chosen), fill)

    return reordering.pattern, take


def _scalar(values: torch.Tensor, fill: Any) -> torch.Tensor:
    return values[0] if len(values) else values.new_full((), fill)


# --- formats of results -------------------------------------------------------------------------------------


def carried(x: Tensor, sources: Sources, shape: Sequence[int], count: int | None = None) -> Format:
    """The format of a result whose dimension d comes from dimension sources[d] of `x`, or is new (None).

    Dimensions keep their levels and these their order. A new dimension stands below the one before it, dense if all
    above it is. Dense levels far larger than the operand are compressed; `count` is the number of entries.
    """
    format = x.format.grid  # a result need not be divisible into blocks
    if not shape:
        return Format("")
    if any(level.branchless for level in format.levels):
        return coo(len(shape))
    depths = {dim: depth for depth, dim in enumerate(format.order)}
    order = _ordered([None if dim is None else depths[dim] for dim in sources])
    levels: list[Level] = []
    for d in order:
        dim = sources[d]
        full = format.levels[0].full if dim is None else format.levels[depths[dim]].full
        levels.append(Dense() if full and all(level.full for level in levels) else Compressed())
    if all(level.full for level in levels):
        levels[-1] = Compressed()
    return _affordable(x, Format(tuple(levels), tuple(order)), shape, x.nnz if count is None else count)


def _ordered(depths: list[int | None]) -> list[int]:
    """The result's dimensions by their depth; a new one behind the dimension before it."""
    keys: list[tuple[int, int]] = []
    for depth in depths:
        above = keys[-1] if keys else (-1, 0)
        keys.append((above[0], above[1] + 1) if depth is None else (depth, 0))
    return sorted(range(len(depths)), key=lambda d: keys[d])


def _affordable(x: Tensor, format: Format, shape: Sequence[int], count: int) -> Format:
    places, before = 1, 1
    for level, dim in zip(format.levels, format.order, strict=True):
        if level.full:
            places *= shape[dim]
    for level, dim in zip(x.format.grid.levels, x.format.grid.order, strict=True):
        if level.full:
            before *= x.shape[dim]
    if places <= SPARE_ROWS * max(before, count) + 1024:
        return format
    return Format((Compressed(),) * len(shape), format.order)


# --- keys ---------------------------------------------------------------------------------------------------


def combined_keys(rows: Sequence[torch.Tensor], extents: Sequence[int]) -> torch.Tensor:
    """One integer a column of the rows, equal where the columns are, and ascending lexicographically.

    >>> combined_keys([torch.tensor([0, 1, 1]), torch.tensor([2, 0, 2])], (2, 3))
    tensor([2, 3, 5])
    """
    keys, size = rows[0].to(torch.int64), int(extents[0])
    for row, extent in zip(rows[1:], extents[1:], strict=True):
        row = row.to(torch.int64)
        if size * extent > INDEX_LIMIT:
            keys, row = (torch.unique(part, return_inverse=True)[1] for part in (keys, row))
            size, extent = len(keys), len(keys)
        keys, size = keys * extent + row, size * extent
    return keys


def linear_size(shape: Sequence[int]) -> int:
    """The number of places; ShapeError if they can't be counted in 63 bits."""
    try:
        return checked_size(shape)
    except ShapeError as error:
        raise ShapeError(f"{error}; reshape in smaller steps, or merge fewer dimensions") from None
