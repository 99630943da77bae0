"""Statistics of a tensor's structure: cheap, exact where the level arrays tell, computed once and kept on the
Pattern."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from scorch.formats import Pattern

__all__ = ["Groups", "Statistics", "completeness", "statistics"]

GROUP_SIZES = (1, 4, 8, 16)  # positions that kernels take at a time
SAMPLE = 4096  # rows that are looked at where all would take long


@dataclass(frozen=True, slots=True)
class Groups:
    """The children of a parent by groups of `size`: how many groups on average, and the share of parents with another
    number of them than the parent before."""

    size: int
    mean: float
    changes: float


@dataclass(frozen=True, slots=True)
class Statistics:
    """What the schedule knows of an operand.

    `positions[d]`: positions of level d. `distinct[d]`: different coordinate tuples down to level d. `row_*`: children
    of the parents of the last level (mean over all of them, most, standard deviation). `spread`: mean distance between
    the first and last coordinate below one parent of the last level, as a share of the extent (1: everywhere, small:
    banded). `complete[d]`: whether each position of the level above has some below it in level d (not looked at below
    dense levels alone, whose rows may well be empty). `groups`: those children by groups of several sizes, none where
    that is not known.
    """

    nnz: int
    positions: tuple[int, ...]
    distinct: tuple[int, ...]
    row_mean: float
    row_max: int
    row_deviation: float
    spread: float
    complete: tuple[bool, ...] = ()
    groups: tuple[Groups, ...] = ()

    def __str__(self) -> str:
        return (
            f"nnz {self.nnz}, row mean {self.row_mean:.3g} max {self.row_max} deviation {self.row_deviation:.3g}, "
            f"spread {self.spread:.2g}, levels {' > '.join(map(str, self.distinct))}"
        )


def statistics(pattern: Pattern) -> Statistics:
    """The statistics of a pattern, from its cache if they were asked for before.

    >>> from scorch.formats import Pattern, csr
    >>> p = Pattern((2, 4), csr, [{}, {"pos": np.array([0, 3, 4]), "crd": np.array([0, 1, 3, 2])}])
    >>> statistics(p).row_mean, statistics(p).row_max
    (2.0, 3)
    """
    found = pattern.cache.get("statistics")
    if found is None:
        found = pattern.cache["statistics"] = _measure(pattern.plain.stored)
    return found


def _measure(pattern: Pattern) -> Statistics:
    distinct = tuple(_distinct(pattern, depth) for depth in range(pattern.format.ndim))
    mean, most, deviation, spread, groups = _rows(pattern)
    complete = completeness(pattern)
    return Statistics(pattern.nnz, pattern.positions, distinct, mean, most, deviation, spread, complete, groups)


def completeness(pattern: Pattern) -> tuple[bool, ...]:
    """The `complete` of a pattern's statistics alone: all of them that decides which plans are right."""
    return tuple(_complete(pattern, depth) for depth in range(pattern.format.ndim))


def _complete(pattern: Pattern, depth: int) -> bool:
    if all(level.full for level in pattern.format.levels[:depth]):
        return False
    pos = pattern.arrays[depth].get("pos")
    if pos is not None:
        return bool((pos[1:] > pos[:-1]).all())
    return pattern.format.levels[depth].branchless or pattern.extent(depth) > 0


def _distinct(pattern: Pattern, depth: int) -> int:
    """Positions, less the repetitions of a level that allows them (counted where its coordinates are one sorted
    list)."""
    level = pattern.format.levels[depth]
    count = pattern.positions[depth]
    if level.unique or count == 0:
        return count
    if depth == 0 and level.ordered:
        crd = pattern.arrays[0]["crd"]
        return int(np.count_nonzero(crd[1:] != crd[:-1])) + 1
    places = math.prod(pattern.extent(d) for d in range(depth + 1))
    return max(1, round(expected_distinct(count, places)))


def _rows(pattern: Pattern) -> tuple[float, int, float, float, tuple[Groups, ...]]:
    """Mean, largest and deviation of the last level's children per parent, how far they spread, and their groups."""
    depth = pattern.format.ndim - 1
    if depth < 0:
        return 1.0, 1, 0.0, 1.0, ()
    extent = max(1, pattern.extent(depth))
    arrays = pattern.arrays[depth]
    if "pos" in arrays:
        first, last = arrays["pos"][:-1], arrays["pos"][1:]
    elif "crd" in arrays:
        first, last = _runs(pattern)
    else:
        parents = pattern.positions[depth - 1] if depth else 1
        return pattern.nnz / max(1, parents), extent, 0.0, 1.0, ()
    lengths = last - first
    if not len(lengths) or not pattern.nnz:
        return 0.0, 0, 0.0, 0.0, ()
    filled = np.flatnonzero(lengths)
    sample = filled[:: max(1, len(filled) // SAMPLE)]
    crd = arrays["crd"]
    width = np.abs(crd[last[sample] - 1].astype(np.int64) - crd[first[sample]]) + 1
    spread = float(width.mean() / extent)
    return float(lengths.mean()), int(lengths.max()), float(lengths.std()), spread, _groups(lengths)


def _groups(lengths: np.ndarray[Any, Any]) -> tuple[Groups, ...]:
    """Groups of the lengths of a sample of parents and of those right before them.

    >>> _groups(np.array([3, 5, 4]))[1]
    Groups(size=4, mean=1.5, changes=1.0)
    """
    now = np.arange(1, len(lengths), max(1, len(lengths) // SAMPLE)) if len(lengths) > 1 else np.zeros(1, np.int64)
    before = np.maximum(now - 1, 0)
    made = []
    for size in GROUP_SIZES:
        counts, others = -(-lengths[now] // size), -(-lengths[before] // size)
        made.append(Groups(size, float(counts.mean()), float(np.count_nonzero(counts != others) / len(now))))
    return tuple(made)


def _runs(pattern: Pattern) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """First and last position of the entries that agree in all but the last coordinate, of a coordinate list."""
    change = np.zeros(max(0, pattern.nnz - 1), dtype=bool)
    for level in pattern.arrays[:-1]:
        if "crd" in level and len(level["crd"]) == pattern.nnz:
            change |= level["crd"][1:] != level["crd"][:-1]
    bounds = np.flatnonzero(change) + 1
    return np.append(0, bounds)[: max(1, pattern.nnz)], np.append(bounds, pattern.nnz)


def expected_distinct(count: float, places: float) -> float:
    """How many of `places` are hit by `count` independent uniform draws."""
    if places <= 0:
        return 0.0
    return -places * math.expm1(-count / places)


def product(values: Iterable[int]) -> float:
    """Product as a float: extents multiply far beyond 2^63 here."""
    return math.prod(map(float, values))
