"""Fetching a sparse operand's own rows ahead of the loop that walks them.

The caches fetch ahead by themselves what is read line by line. Short rows are read by fits and starts, each of them
ended by a branch that is mispredicted, and a matrix that comes from memory then arrives at less than half the speed.
"""

from __future__ import annotations

from collections.abc import Mapping

from scorch.formats import Format, dtypes
from scorch.ir.graph import walks
from scorch.ir.notation import Access
from scorch.schedule.problem import Problem

__all__ = ["fetched_ahead"]

AHEAD = 256  # positions: 1 KiB of coordinates
SHARE = 1 / 4  # of the last cache, from which on an operand is taken to come from memory: others use it too
LONG_ROW = 32  # entries on average, of rows that the caches fetch ahead by themselves


def fetched_ahead(problem: Problem, index: str, formats: Mapping[str, Format]) -> tuple[Access, int] | None:
    """The operand whose rows a loop over the index walks alone, if they are better fetched ahead, and by how many
    stored positions."""
    if problem.lattice(index, formats).only() is None:
        return None
    walkers = [access for access in problem.sparse if walks(access, index, formats[access.tensor])]
    if len(walkers) != 1:
        return None
    operand, format = problem.by_name[walkers[0].tensor], formats[walkers[0].tensor]
    if format != operand.format or format.levels[-1].block > 1 or "crd" not in format.levels[-1].arrays:
        return None
    bits = dict(zip(format.levels[-1].arrays, operand.bits[-1], strict=True))["crd"]
    size = operand.statistics.nnz * (bits // 8 + dtypes.itemsize(operand.dtype))
    small = size < SHARE * problem.machine.far_bytes
    return None if small or operand.statistics.row_mean >= LONG_ROW else (walkers[0], AHEAD)
