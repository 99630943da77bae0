"""Copies in which blocks of rows share their coordinates: which rows have each of them decides its group."""

from __future__ import annotations

import numpy as np

from scorch.formats import Format, Pattern
from scorch.formats.levels import Grouped
from scorch.formats.storage import Array

__all__ = ["grouped"]


def grouped(pattern: Pattern, format: Format) -> tuple[Pattern, Array]:
    """A pattern of a dense and a compressed level with the second one grouped, and which value stands at each place.

    `format` has a `Grouped` level whose rows divide the extent of the level above it; coordinates are stored once.

    >>> from scorch.formats import Dense, csr
    >>> p = Pattern((2, 3), csr, [{}, {"pos": np.array([0, 2, 3]), "crd": np.array([0, 2, 2])}])
    >>> made, order = grouped(p, Format((Dense(), Grouped(rows=2))))
    >>> made.arrays[1]["starts"].tolist(), made.arrays[1]["crd"].tolist(), order.tolist()
    ([0, 1, 1, 2], [0, 2], [0, 1, 2])
    """
    level = format.levels[1]
    assert isinstance(level, Grouped)
    rows, extent = level.rows, pattern.extent(1)
    groups, blocks = (1 << rows) - 1, pattern.extent(0) // rows
    pos, crd = pattern.arrays[1]["pos"], pattern.arrays[1]["crd"]
    parent = np.repeat(np.arange(pattern.extent(0), dtype=np.int64), np.diff(pos))
    # By block and coordinate; a stable sort leaves the parents of each coordinate in their order.
    place = parent // rows * extent + crd
    order = np.argsort(place, kind="stable")
    place, bit = place[order], np.left_shift(1, parent[order] % rows)
    begin = np.flatnonzero(np.diff(place, prepend=-1))
    members = np.bitwise_or.reduceat(bit, begin) if len(begin) else bit
    coordinate, block = place[begin] % extent, place[begin] // extent
    group = block * groups + members - 1
    by_group = np.argsort(group, kind="stable")
    held = np.bitwise_count(members[by_group]).astype(np.int64)
    ends = np.cumsum(held)
    values = np.repeat(begin[by_group] - (ends - held), held) + np.arange(len(place))
    starts = np.zeros(blocks * groups + 1, dtype=np.int64)
    np.cumsum(np.bincount(group, minlength=blocks * groups), out=starts[1:])
    arrays = {
        "starts": starts,
        "crd": coordinate[by_group].astype(f"int{level.bits('crd', extent)}"),
        "first": np.ascontiguousarray(pos[::rows], dtype=np.int64),
    }
    return Pattern(pattern.shape, format, [{}, arrays], validate=False), order[values]
