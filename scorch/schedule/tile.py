"""Choosing the SIMD tile: which dense index is vectorised, and in how many registers."""

from __future__ import annotations

from scorch.formats import dtypes
from scorch.ir.graph import level_indices
from scorch.ir.notation import Access
from scorch.ir.plan import Tile
from scorch.schedule.problem import Problem

__all__ = ["can_tile", "choose_tile", "vector_lanes"]

MOST_VECTORS = 16  # of 32 registers: as many accumulators as leave room for operands


def vector_lanes(dtype: str, bits: int = 512) -> int:
    """Values of a number type in one vector register."""
    return max(1, bits // 8 // dtypes.itemsize(dtype))


def can_tile(problem: Problem, index: str, formats: dict[str, object]) -> bool:
    """Whether a loop over the index can be vectorised: every access that has it stores it last and densely.

    The result too, unless the index is reduced by a sum.
    """
    if problem.dtype.startswith("complex") or problem.dtype == "bool":
        return False
    if any(index in pair for pair in problem.statement.equal):
        return False
    seen = False
    for access in problem.accesses:
        if index not in access.indices:
            continue
        format = formats.get(access.tensor, problem.format(access))
        path = level_indices(access, format)  # type: ignore[arg-type]
        seen = True
        if path[-1] != index or not format.levels[-1].full:  # type: ignore[attr-defined]
            return False
        if _cast_needed(problem, access):
            return False
    return seen and (index in problem.statement.target.indices or problem.statement.reduce == "add")


def _cast_needed(problem: Problem, access: Access) -> bool:
    """Vectors of another number type would need another number of registers each."""
    return problem.by_name[access.tensor].dtype != problem.dtype


def choose_tile(problem: Problem, index: str, reduced: bool, gathers: bool) -> Tile:
    """The tile of an index: one pass over all of it where it fits in registers, else equal passes and a masked rest.

    `gathers`: rows are picked by nonzeros, so that prefetching the next ones pays.
    """
    lanes = vector_lanes(problem.dtype)
    extent = problem.extents[index]
    while lanes > 1 and extent <= lanes // 2:
        lanes //= 2
    whole, tail = divmod(extent, lanes)
    vectors = whole + (tail > 0)
    most = 8 if reduced else MOST_VECTORS
    ahead = 8 if gathers else 0
    if vectors <= most:
        if tail == 0:
            return Tile(lanes, max(1, vectors), count=1 if extent else None, prefetch=ahead)
        return Tile(lanes, vectors, rest=vectors, masked=True, count=0, prefetch=ahead)
    passes = -(-vectors // most)
    wide = -(-vectors // passes)
    left = extent % (wide * lanes)
    return Tile(lanes, wide, rest=-(-left // lanes), masked=left % lanes > 0, prefetch=ahead)
