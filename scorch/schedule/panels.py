"""Panels: what a tile around several rows of a dense product reads, copied so that its vectors lie side by side.

After Goto and van de Geijn, *Anatomy of High-Performance Matrix Multiplication* (2008).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from scorch.formats import Format
from scorch.ir.graph import level_indices
from scorch.ir.notation import Access
from scorch.schedule.problem import Problem
from scorch.schedule.tile import block_tile, turned_lanes, vector_lanes

__all__ = ["Panel", "panels"]


@dataclass(frozen=True)
class Panel:
    """The access of which each tile's part is copied. `turned`: it stores the tiled index above the other one, and is
    read in square blocks that are turned in registers, rather than being copied as a whole beforehand."""

    access: Access
    turned: bool = False

    def __str__(self) -> str:
        return f"panels of {self.access.tensor} packed" + (", in blocks that are turned" if self.turned else "")


def panels(
    problem: Problem, order: tuple[str, ...], tiled: str, formats: Mapping[str, Format], rows: int
) -> Iterator[Panel]:
    """The ways to pack the dense matrix of which all rows of a block read the same, a part of each line; none if there
    is no such matrix, or the tile is as wide."""
    tile = block_tile(problem, tiled, rows)
    shared = [a for a in problem.accesses if level_indices(a, formats[a.tensor]) == (order[-1], tiled)]
    if len(shared) != 1 or tile.count is not None or not formats[shared[0].tensor].is_dense:
        return
    (access,) = shared
    operand = problem.by_name[access.tensor]
    if set(problem.statement.reduced) != {order[-1]} or operand.dtype != problem.dtype:
        return
    yield Panel(access)
    lanes = turned_lanes(problem)
    blocks = 1 < lanes == vector_lanes(problem) <= min(problem.extents[tiled], problem.extents[order[-1]])
    other_way = level_indices(access, operand.format) == (tiled, order[-1]) and operand.format.levels[-1].contiguous
    if blocks and other_way:
        yield Panel(access, turned=True)
