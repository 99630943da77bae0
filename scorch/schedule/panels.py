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
    """The ways to pack the dense operand of which all rows of a block read the same matrix, a part of each line; none
    if there is no such operand. Where the tile is as wide as the lines, they lie side by side, if they are not turned.
    """
    *above, row, reduced = order
    found = [a for a in problem.accesses if level_indices(a, formats[a.tensor])[-2:] == (reduced, tiled)]
    if len(found) != 1 or not set(found[0].indices) <= {*above, reduced, tiled}:
        return
    (access,) = found
    operand = problem.by_name[access.tensor]
    if not formats[access.tensor].is_dense or operand.dtype != problem.dtype:
        return
    if set(problem.statement.reduced) != {reduced} or row not in problem.statement.target.indices:
        return
    if block_tile(problem, tiled, rows).count is None:
        yield Panel(access)
    lanes = turned_lanes(problem)
    blocks = 1 < lanes == vector_lanes(problem) <= min(problem.extents[tiled], problem.extents[reduced])
    other_way = level_indices(access, operand.format)[-2:] == (tiled, reduced)
    if blocks and other_way and operand.format.levels[-1].contiguous:
        yield Panel(access, turned=True)
