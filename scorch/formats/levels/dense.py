"""The dense level: every coordinate of the dimension has a position, computed, not stored."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from scorch.formats.levels.level import Arrays, Index, Level, Nodes

__all__ = ["Dense"]


@dataclass(frozen=True)
class Dense(Level):
    """Positions of parent p are p * size ... p * size + size - 1.

    >>> from types import SimpleNamespace
    >>> Dense().locate(SimpleNamespace(size=10), 2, 3)
    23
    """

    name: ClassVar[str] = "dense"
    full: ClassVar[bool] = True
    locates: ClassVar[bool] = True
    contiguous: ClassVar[bool] = True
    appends: ClassVar[bool] = True

    def bounds(self, at: Any, first: Index, last: Index) -> tuple[Index, Index]:
        return first * at.size, last * at.size

    def coordinate(self, at: Any, position: Index) -> Index:
        return position % at.size

    def locate(self, at: Any, parent: Index, coordinate: Index) -> Index:
        return parent * at.size + coordinate

    def positions(self, parents: int, size: int, arrays: Arrays) -> int:
        return parents * size

    def validate(self, nodes: Nodes, size: int, arrays: Arrays) -> Nodes:
        return Nodes(nodes.count * size)

    def allocate(self, parents: int, positions: int, index: np.dtype[Any]) -> dict[str, tuple[int, np.dtype[Any]]]:
        return {}
