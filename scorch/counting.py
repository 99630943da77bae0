"""Counting sorts: the entries of a tensor in another order, by one copy for each dimension that has to move.

Each copy places entries by their coordinate in one dimension and leaves the order of those that share it: together a
radix sort whose digits are coordinates (Knuth, *The Art of Computer Programming* 3, 5.2.5).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch

from scorch import engine  # mutual: copies are planned and compiled, and a plan may need its operands in another order
from scorch.formats import Compressed, Dense, Format, Pattern, Storage, coo
from scorch.formats.coordinates import sum_groups

__all__ = ["Placed", "passes", "place"]

MOST_COUNTED = 1 << 24  # coordinates of a dimension whose entries are counted; beyond that coordinates are compared
FEW = 4096  # entries in no order that are compared sooner than counted


@dataclass(frozen=True)
class Placed:
    """Entries in a new order: `pattern` has each coordinate once, `entries` a value for each entry that there was.

    `groups` tells to which stored coordinate each entry belongs; None if no coordinate was there twice.
    """

    pattern: Pattern
    entries: torch.Tensor
    groups: torch.Tensor | None = None

    @property
    def values(self) -> torch.Tensor:
        """A value for each stored coordinate: those of equal coordinates are summed."""
        return self.entries if self.groups is None else sum_groups(self.entries, self.groups)


def passes(pattern: Pattern, format: Format) -> tuple[Format, ...] | None:
    """The formats through which entries go until they are in the order of `format`; None where they must be compared.

    >>> from scorch.formats import csc, csr
    >>> p = Pattern((1, 3), csr, [{}, {"pos": np.array([0, 2]), "crd": np.array([0, 2])}])
    >>> list(map(str, passes(p, csc)))
    ['csc']
    """
    if max(pattern.shape) > MOST_COUNTED:
        return None
    if pattern.format.is_ordered and pattern.format.is_unique:
        return _of_sorted(pattern.format.order, format)
    if format.ndim != 2 or not (format.is_ordered and format.is_unique) or pattern.nnz < FEW:
        return None
    return _of_unsorted(format.order)


@lru_cache(maxsize=64)
def _of_unsorted(order: tuple[int, ...]) -> tuple[Format, ...]:
    """One pass for each dimension of a matrix; entries of equal coordinates stay apart."""
    columns = Format((Dense(), Compressed(ordered=False, unique=False)), order[::-1])
    rows = Format((Dense(), Compressed(unique=False)), order)
    return (columns, rows)


@lru_cache(maxsize=256)
def _of_sorted(old: tuple[int, ...], format: Format) -> tuple[Format, ...]:
    """One pass for each dimension that must move to the front, the last first."""
    moved = _moved(old, format.order)
    order, found = list(old), []
    for step, dimension in enumerate(reversed(moved)):
        order = [dimension, *(d for d in order if d != dimension)]
        last = step == len(moved) - 1
        direct = last and format.ndim == 2 and format.levels[0].full and not format.levels[1].full
        found.append(format if direct else coo(format.ndim, tuple(order)))
    return tuple(found)


def _moved(old: tuple[int, ...], new: tuple[int, ...]) -> tuple[int, ...]:
    """The shortest beginning of the new order after which the old order goes on as the new one does.

    >>> _moved((0, 1, 2), (1, 0, 2)), _moved((0, 1, 2), (2, 1, 0))
    ((1,), (2, 1))
    """
    for count in range(len(new) + 1):
        if [d for d in old if d not in new[:count]] == list(new[count:]):
            return new[:count]
    return new


def place(storage: Storage, targets: Sequence[Format]) -> Placed:
    """Send entries through these formats."""
    for target in targets:
        made = engine.copy(storage, target)
        assert isinstance(made, Storage)
        storage = made
    pattern, entries = storage.pattern, storage.values
    return Placed(pattern, entries) if pattern.format.is_unique else _grouped(pattern, entries)


def _grouped(pattern: Pattern, entries: torch.Tensor) -> Placed:
    """Rows of ascending coordinates, those that repeat the one before joined to it."""
    pos, crd = pattern.arrays[1]["pos"], pattern.arrays[1]["crd"]
    repeated = np.zeros(len(crd) + 1, dtype=bool)  # one more, for rows that begin behind the last entry
    np.equal(crd[1:], crd[:-1], out=repeated[1:-1])
    repeated[pos] = False
    groups = None
    if repeated.any():
        first = ~repeated[:-1]
        numbers = np.cumsum(first)
        groups = torch.from_numpy(numbers - 1)
        pos, crd = np.append(0, numbers)[pos], crd[first]
    arrays = [{}, {"pos": pos, "crd": crd}]
    return Placed(Pattern(pattern.shape, pattern.format.sorted, arrays, validate=False), entries, groups)
