"""Choosing SIMD lanes for a reduction over stored positions: how many, and how a row ends.

What a short row costs is its end: a scalar loop's is mispredicted wherever rows differ in length, a vector's only where
they differ in the number of vectors. CPUs with masks load every vector of a short row under one, as if it were the
last. On others that is slow, and the last vector is loaded whole: what lies behind a row's end is the next row, whose
products are dropped.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from scorch.formats import Format
from scorch.ir.graph import level_indices
from scorch.ir.notation import Access
from scorch.ir.plan import Tile
from scorch.ir.statement import ABSENT
from scorch.schedule.ends import flush_cost, row_groups
from scorch.schedule.problem import Problem
from scorch.schedule.statistics import Groups
from scorch.schedule.tile import vector_lanes

__all__ = ["SCALAR_WIDTH", "Along", "along_positions", "vectors_in_flight"]

LONG_ROW = 5  # vectors on average: whole ones first, two of them in flight
MOST_STORED = (1 << 31) - 256  # entries: a vector's mask is made from a count of 32 bits
FEWEST_LANES = 4  # that pay for shuffling values together
MOST_LISTED = 8  # lanes of a vector whose values are loaded one by one
FLUSHES = 2  # mispredicted branches where a row has another number of vectors: that into its loop, and that out of it
SCALAR_FLUSHES = 4  # where it has another length: LLVM makes three loops of a scalar one, by 32, by 4 and singly
GATHERED = 0.55  # of a random access, as one lane of a gather
LISTED = 0.85  # of a random access whose coordinate comes in a vector of them
SCALAR_WIDTH = 8  # multiply-adds that LLVM does at a time in a long row


@dataclass(frozen=True, slots=True)
class Along:
    """How a row's stored positions are reduced: by the lanes of `tile`, or one by one if it is None.

    `row`: nanoseconds of a row whose values are near.
    """

    tile: Tile | None
    row: float


def along_positions(problem: Problem, index: str, formats: Mapping[str, Format]) -> Along | None:
    """The cheapest lanes for a reduction over the stored positions of one sparse operand, others gathered; None if that
    is not possible, or if nothing is known of its rows."""
    walker = _walker(problem, index, formats)
    if walker is None:
        return None
    masked = problem.machine.gathers and not problem.machine.microcoded
    operand = problem.by_name[walker.tensor]
    groups = row_groups(problem, walker, index, formats)
    rows = operand.statistics.nnz / max(1e-9, groups[0].mean) if groups else 0.0
    picks = sum(index in access.indices for access in problem.accesses) - 1
    costs = {group.size: _row_cost(problem, group, rows, picks, masked) for group in groups}
    if 1 not in costs:
        return None
    most = vector_lanes(problem)
    if not masked:
        most = min(most, MOST_LISTED) if _reaches_past(problem, walker, index, formats) else 0
    best = min((size for size in costs if FEWEST_LANES <= size <= most), key=lambda size: costs[size], default=1)
    if costs[best] >= costs[1]:
        return Along(None, costs[1])
    short = not _is_long(problem, walker, best)
    return Along(Tile(best, 1, masked=masked and short, positions=True, past=not masked), costs[best])


def vectors_in_flight(problem: Problem, index: str, tile: Tile, formats: Mapping[str, Format]) -> int:
    """How many vectors of stored positions to add to sums of their own, so that one need not wait for the last."""
    walker = _walker(problem, index, formats)
    assert walker is not None
    return 2 if not tile.masked and _is_long(problem, walker, tile.lanes) else 1


def _is_long(problem: Problem, walker: Access, lanes: int) -> bool:
    """Whether the end of a row matters less than its vectors do."""
    return problem.by_name[walker.tensor].statistics.row_mean >= LONG_ROW * lanes


def _walker(problem: Problem, index: str, formats: Mapping[str, Format]) -> Access | None:
    """The one sparse access that the index walks, if all others can be gathered at its coordinates."""
    if (
        problem.statement.reduce != "add"
        or problem.dtype.startswith("complex")
        or problem.dtype == "bool"
        or index in problem.statement.target.indices
        or any(index in pair for pair in problem.statement.equal)
        or not problem.is_linear
    ):
        return None
    walkers = []
    for access in [a for a in problem.accesses if index in a.indices]:
        level = formats[access.tensor].levels[-1]
        path = level_indices(access, formats[access.tensor])
        if path[-1] != index or problem.by_name[access.tensor].dtype != problem.dtype:
            return None  # lanes of another number type are gathered one by one
        if level.full and not level.contiguous:
            return None
        if not level.full:
            walkers.append(access)
    if len(walkers) != 1 or problem.by_name[walkers[0].tensor].fill not in (0, ABSENT.value):
        return None  # of another fill, places without an entry are visited too
    return walkers[0]


def _reaches_past(problem: Problem, walker: Access, index: str, formats: Mapping[str, Format]) -> bool:
    """Whether vectors may be loaded whole, past the end of a row: counted in 32 bits, with nothing to be computed from
    coordinates, which would be taken out of a vector one by one."""
    operand = problem.by_name[walker.tensor]
    if formats[walker.tensor] != operand.format or operand.statistics.nnz > MOST_STORED:
        return False
    return all(a.indices == (index,) for a in problem.accesses if a != walker and index in a.indices)


def _row_cost(problem: Problem, groups: Groups, rows: float, picks: int, masked: bool) -> float:
    """Nanoseconds of one of so many rows that are taken by groups of positions: values gathered from so many operands,
    multiply-adds, and what rows of other lengths cost."""
    prices = problem.prices
    if groups.size == 1:
        lane, step, flushes = prices.cached, prices.scalar / SCALAR_WIDTH, SCALAR_FLUSHES
    else:
        lane, step, flushes = prices.cached * (GATHERED if masked else LISTED), prices.vector, FLUSHES
    missed = groups.changes * flushes * flush_cost(problem, rows)
    return groups.mean * (groups.size * picks * lane + step) + missed
