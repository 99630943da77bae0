"""The grouped level: the coordinates of several parents together, in groups by which of these parents have them.

A coordinate that several parents have is stored once for all of them, with a value for each, so that whoever takes
those parents side by side reads what belongs to the coordinate once: *Register Tiling for Unstructured Sparsity in
Neural Network Inference* (Wilkinson, Cheshmi and Dehnavi, PLDI 2023). Copies of frozen tensors have such a level;
kernels read it, and none writes it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from scorch.errors import FormatError
from scorch.formats.levels.level import Arrays, Index, Level, Nodes, check_coordinates

__all__ = ["Grouped"]

NARROW = 1 << 15  # coordinates that 16 bits hold


@dataclass(frozen=True)
class Grouped(Level):
    """`rows` parents in a row make a block; their coordinates are in groups, one for each set of them.

    Group g = 1 ... 2^rows - 1 of block b are the coordinates that its parents n have for which bit n of g is set, and
    no others have: crd[p] for p from starts[b * (2^rows - 1) + g - 1] to the next start. Each has as many values as g
    has bits, parent after parent; those of block b begin at first[b]. `parents` is a multiple of `rows`.

    >>> from types import SimpleNamespace
    >>> at = SimpleNamespace(starts=[0, 1, 1, 3], first=[0, 5])  # parent 0 alone has one coordinate, both have two
    >>> Grouped(rows=2).group(at, 0, 3), Grouped(rows=2).positions(2, 9, {"first": np.array([0, 5])})
    ((1, 3), 5)
    """

    rows: int = 1

    name: ClassVar[str] = "grouped"
    arrays: ClassVar[tuple[str, ...]] = ("starts", "crd", "first")

    @property
    def block(self) -> int:
        return self.rows

    def group(self, at: Any, block: Index, members: int) -> tuple[Index, Index]:
        """The range of coordinates that just these parents of a block have; bit n of `members` stands for the n-th."""
        first = block * ((1 << self.rows) - 1)
        return at.starts[first + (members - 1)], at.starts[first + members]

    def bounds(self, at: Any, first: Index, last: Index) -> tuple[Index, Index]:
        raise FormatError(
            f"one parent's coordinates are no range in a {self} level: blocks of parents are read together"
        )

    def coordinate(self, at: Any, position: Index) -> Index:
        return at.crd[position]

    def bits(self, part: str, extent: int) -> int:
        return 16 if part == "crd" and extent <= NARROW else super().bits(part, extent)

    def positions(self, parents: int, size: int, arrays: Arrays) -> int:
        return int(arrays["first"][-1])

    def validate(self, nodes: Nodes, size: int, arrays: Arrays) -> Nodes:
        starts, crd, first = arrays["starts"], arrays["crd"], arrays["first"]
        groups = (1 << self.rows) - 1
        blocks = nodes.count // self.rows
        if nodes.count % self.rows or len(starts) != blocks * groups + 1 or len(first) != blocks + 1:
            raise FormatError(f"{nodes.count} parents don't make {len(first) - 1} blocks of {self.rows}")
        check_coordinates(crd, size)
        counts = np.diff(starts).reshape(blocks, groups) @ np.bitwise_count(np.arange(1, groups + 1)).astype(np.int64)
        if starts[0] != 0 or starts[-1] != len(crd) or not np.array_equal(np.cumsum(counts), first[1:]):
            raise FormatError("the groups of each block must hold a coordinate for as many values as they have members")
        return Nodes(int(first[-1]))

    def allocate(self, parents: int, positions: int, index: np.dtype[Any]) -> dict[str, tuple[int, np.dtype[Any]]]:
        raise FormatError(f"a {self} level is made from a compressed one")

    def __str__(self) -> str:
        return f"{self.name}({self.rows} rows)"
