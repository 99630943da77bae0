"""Choosing SIMD lanes for a reduction over stored positions: how many, and how a row ends.

What a short row costs is its end: a scalar loop's is mispredicted wherever rows differ in length, a vector's only where
they differ in the number of vectors. CPUs with masks take what is left of a row under a mask. On others that is slow,
and the last vector is loaded whole: what lies behind a row's end is the next row, whose products are dropped.
"""

from __future__ import annotations

from collections.abc import Mapping

from scorch.formats import Format
from scorch.ir.graph import level_indices
from scorch.ir.notation import Access
from scorch.ir.plan import Tile
from scorch.ir.statement import ABSENT
from scorch.schedule.problem import Problem
from scorch.schedule.statistics import Groups
from scorch.schedule.tile import vector_lanes

__all__ = ["position_tile", "vectors_in_flight"]

PREDICTED_ROWS = 16_000  # up to so many row lengths are learned by the branch predictor, and a scalar loop is as fast
LEARNED_ROWS = 8_000  # the same where vectors reach past the end of a row
LONG_VECTORS = 3  # full vectors in a row from which on gathering always pays
LONG_ROW = 5  # vectors on average, for two of them to be in flight
SHORT_ROW = 0.4  # of a vector: sparse rows with fewer entries are not vectorised
MOST_STORED = (1 << 31) - 256  # entries: a vector's mask is made from a count of 32 bits
FEWEST_LANES = 4  # that pay for shuffling values together
FLUSHES = 2  # mispredicted branches where a row has another number of vectors: that into its loop, and that out of it
SCALAR_FLUSHES = 4  # where it has another length: LLVM makes three loops of a scalar one, by 32, by 4 and singly
LISTED = 0.85  # of a random access whose coordinate comes in a vector of them
SCALAR_WIDTH = 8  # multiply-adds that LLVM does at a time in a long row


def position_tile(problem: Problem, index: str, formats: Mapping[str, Format]) -> Tile | None:
    """Lanes for a reduction over the stored positions of one sparse operand, others gathered; None if that is not
    possible, or slower than a scalar loop."""
    walker = _walker(problem, index, formats)
    if walker is None:
        return None
    masked = problem.machine.gathers and not problem.machine.microcoded
    lanes = _masked(problem, walker) if masked else _whole(problem, walker, formats[walker.tensor])
    return Tile(lanes, 1, positions=True, past=not masked) if lanes else None


def vectors_in_flight(problem: Problem, index: str, tile: Tile, formats: Mapping[str, Format]) -> int:
    """How many vectors of stored positions to add to sums of their own, so that one need not wait for the last."""
    walker = _walker(problem, index, formats)
    assert walker is not None
    return 2 if problem.by_name[walker.tensor].statistics.row_mean >= LONG_ROW * tile.lanes else 1


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


def _masked(problem: Problem, walker: Access) -> int:
    """Lanes where gathers and masks are fast: a masked vector a row costs less than a mispredicted end, but more than a
    predicted one."""
    statistics = problem.by_name[walker.tensor].statistics
    lanes = max(1, vector_lanes(problem) // 2)  # all of a register would stay half empty
    rows = statistics.nnz / max(1e-9, statistics.row_mean)
    irregular = rows > PREDICTED_ROWS and statistics.row_mean >= lanes * SHORT_ROW
    return lanes if irregular or statistics.row_mean >= lanes * LONG_VECTORS else 0


def _whole(problem: Problem, walker: Access, format: Format) -> int:
    """The cheapest number of lanes with whole vectors up to the end of a row and past it; 0 for a scalar loop."""
    operand = problem.by_name[walker.tensor]
    if format != operand.format or operand.statistics.nnz > MOST_STORED:
        return 0  # rows of a converted operand are not known
    index = level_indices(walker, format)[-1]
    if any(a.indices != (index,) for a in problem.accesses if a != walker and index in a.indices):
        return 0  # places that have to be computed would be taken out of a vector one by one
    rows = operand.statistics.nnz / max(1e-9, operand.statistics.row_mean)
    costs = {groups.size: _row_cost(problem, groups, rows) for groups in operand.statistics.groups}
    fitting = [size for size in costs if FEWEST_LANES <= size <= vector_lanes(problem)]
    best = min(fitting, key=lambda size: costs[size], default=0)
    return best if best and costs[best] < costs.get(1, 0.0) else 0


def _row_cost(problem: Problem, groups: Groups, rows: float) -> float:
    """Nanoseconds of one of so many rows that are taken by groups of positions: values gathered one by one,
    multiply-adds, and what rows of other lengths cost."""
    prices = problem.prices
    if groups.size == 1:
        lane, step, flushes = prices.cached, prices.scalar / SCALAR_WIDTH, SCALAR_FLUSHES
    else:
        lane, step, flushes = prices.cached * LISTED, prices.vector, FLUSHES
    missed = groups.changes * flushes * prices.enter if rows > LEARNED_ROWS else 0.0
    return groups.mean * (groups.size * lane + step) + missed
