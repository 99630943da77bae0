"""The singleton level: one coordinate for each parent position, as in the trailing levels of a COO tensor."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from scorch.errors import FormatError
from scorch.formats.levels.level import Arrays, Index, Level, Nodes, check_coordinates, check_order

__all__ = ["Singleton"]


@dataclass(frozen=True)
class Singleton(Level):
    """Position p of the parent is position p here; its coordinate is crd[p].

    >>> from types import SimpleNamespace
    >>> Singleton().bounds(SimpleNamespace(crd=[7, 8, 9]), 1, 3)
    (1, 3)
    """

    name: ClassVar[str] = "singleton"
    arrays: ClassVar[tuple[str, ...]] = ("crd",)
    branchless: ClassVar[bool] = True
    appends: ClassVar[bool] = True

    def bounds(self, at: Any, first: Index, last: Index) -> tuple[Index, Index]:
        return first, last

    def coordinate(self, at: Any, position: Index) -> Index:
        return at.crd[position]

    def store_coordinate(self, position: Index, coordinate: Index) -> tuple[tuple[str, Index, Index], ...]:
        return (("crd", position, coordinate),)

    def positions(self, parents: int, size: int, arrays: Arrays) -> int:
        return parents

    def validate(self, nodes: Nodes, size: int, arrays: Arrays) -> Nodes:
        crd = arrays["crd"]
        if crd.ndim != 1 or len(crd) != nodes.count:
            raise FormatError(
                f"crd of a singleton level must have one entry for each of {nodes.count} parents, got shape {crd.shape}"
            )
        check_coordinates(crd, size)
        starts = np.ones(len(crd), dtype=bool) if nodes.starts is None else nodes.starts
        return Nodes(len(crd), check_order(self, crd, starts))

    def allocate(self, parents: int, positions: int, index: np.dtype[Any]) -> dict[str, tuple[int, np.dtype[Any]]]:
        return {"crd": (positions, index)}
