"""The compressed level: the stored coordinates of each parent, one range of `crd` a parent, delimited by `pos`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from scorch.errors import FormatError
from scorch.formats.levels.level import Arrays, Index, Level, Nodes, check_coordinates, check_order

__all__ = ["Compressed"]


@dataclass(frozen=True)
class Compressed(Level):
    """Positions of parent p are pos[p] ... pos[p + 1] - 1; their coordinates are in crd.

    >>> from types import SimpleNamespace
    >>> Compressed().bounds(SimpleNamespace(pos=[0, 2, 5]), 1, 2)
    (2, 5)
    """

    name: ClassVar[str] = "compressed"
    arrays: ClassVar[tuple[str, ...]] = ("pos", "crd")
    appends: ClassVar[bool] = True

    def bounds(self, at: Any, first: Index, last: Index) -> tuple[Index, Index]:
        return at.pos[first], at.pos[last]

    def coordinate(self, at: Any, position: Index) -> Index:
        return at.crd[position]

    def store_coordinate(self, position: Index, coordinate: Index) -> tuple[tuple[str, Index, Index], ...]:
        return (("crd", position, coordinate),)

    def store_end(self, parent: Index, end: Index) -> tuple[tuple[str, Index, Index], ...]:
        return (("pos", parent + 1, end),)

    def positions(self, parents: int, size: int, arrays: Arrays) -> int:
        return int(arrays["pos"][parents])

    def validate(self, nodes: Nodes, size: int, arrays: Arrays) -> Nodes:
        pos, crd = arrays["pos"], arrays["crd"]
        if pos.dtype.kind not in "iu" or pos.ndim != 1 or crd.ndim != 1:
            raise FormatError(f"pos and crd must be one-dimensional integer arrays, got {pos.dtype} and {crd.dtype}")
        if len(pos) != nodes.count + 1:
            raise FormatError(
                f"pos must have {nodes.count + 1} entries, one more than there are parents; it has {len(pos)}"
            )
        if pos[0] != 0 or pos[-1] != len(crd):
            raise FormatError(
                f"pos must run from 0 to the number of coordinates {len(crd)}; it runs from {pos[0]} to {pos[-1]}"
            )
        if (pos[1:] < pos[:-1]).any():
            p = int(np.argmax(pos[1:] < pos[:-1]))
            raise FormatError(f"pos runs backwards: pos[{p}] = {pos[p]} but pos[{p + 1}] = {pos[p + 1]}")
        check_coordinates(crd, size)
        starts = np.zeros(len(crd), dtype=bool)
        begin = pos[:-1]
        starts[begin[begin < len(crd)]] = True
        return Nodes(len(crd), check_order(self, crd, starts))

    def allocate(self, parents: int, positions: int, index: np.dtype[Any]) -> dict[str, tuple[int, np.dtype[Any]]]:
        return {"pos": (parents + 1, np.dtype(np.int64)), "crd": (positions, index)}
