"""The levels of views: every coordinate has a position, a fixed number of positions behind the one before it.

Coordinates of several such levels may share positions, so that a tensor's windows are a view of it, without a copy.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from scorch.errors import FormatError
from scorch.formats.levels.level import Arrays, Index, Level, Nodes

__all__ = ["Adjacent", "Strided"]


@dataclass(frozen=True)
class Strided(Level):
    """Coordinate j below position p is at p + j * stride.

    >>> from types import SimpleNamespace
    >>> Strided().locate(SimpleNamespace(stride=10), 2, 3)
    32
    """

    name: ClassVar[str] = "strided"
    numbers: ClassVar[tuple[str, ...]] = ("stride",)
    full: ClassVar[bool] = True
    locates: ClassVar[bool] = True
    compact: ClassVar[bool] = False

    def bounds(self, at: Any, first: Index, last: Index) -> tuple[Index, Index]:
        raise FormatError(f"the positions of a {self.name} level are no range; its coordinates are located")

    def coordinate(self, at: Any, position: Index) -> Index:
        raise FormatError(f"a {self.name} level has no coordinate for a position")

    def locate(self, at: Any, parent: Index, coordinate: Index) -> Index:
        return parent + coordinate * at.stride

    def positions(self, parents: int, size: int, arrays: Arrays) -> int:
        return parents * size

    def validate(self, nodes: Nodes, size: int, arrays: Arrays) -> Nodes:
        return Nodes(nodes.count * size)

    def allocate(self, parents: int, positions: int, index: np.dtype[Any]) -> dict[str, tuple[int, np.dtype[Any]]]:
        raise FormatError(f"a {self.name} level is a view of memory, and is never made anew")


@dataclass(frozen=True)
class Adjacent(Strided):
    """A stride of 1: SIMD registers are loaded from it.

    >>> from types import SimpleNamespace
    >>> Adjacent().locate(SimpleNamespace(), 2, 3)
    5
    """

    name: ClassVar[str] = "adjacent"
    numbers: ClassVar[tuple[str, ...]] = ()
    contiguous: ClassVar[bool] = True

    def locate(self, at: Any, parent: Index, coordinate: Index) -> Index:
        return parent + coordinate
