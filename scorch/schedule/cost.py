"""Estimated time of a loop nest, in nanoseconds: iterations of each loop prefix times what one iteration costs.

The prices are those of a current x86 core, measured on kernels of this compiler; they need to rank plans, not to
predict.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import takewhile

from scorch.formats import Format, dtypes
from scorch.ir.graph import level_indices, walks
from scorch.ir.notation import Access
from scorch.schedule.problem import Problem
from scorch.schedule.tile import vector_lanes

__all__ = ["Prices", "bound_cost", "conversion_cost", "count_cost", "nest_cost", "scatter_cost"]


LINE = 64  # bytes of a cache line


@dataclass(frozen=True)
class Prices:
    """Nanoseconds."""

    loop: float = 0.6  # one more iteration of a plain loop
    sparse: float = 0.7  # fetch a coordinate and a value
    enter: float = 3.0  # begin a loop over stored coordinates, whose end is mispredicted
    merge: float = 2.5  # one step of a merge, mispredicted branch included
    scalar: float = 0.4  # a multiply and an add
    vector: float = 0.45  # the same on a SIMD register, data in cache
    next: float = 0.2  # read the value after the last one
    cached: float = 0.5  # random access within the first cache
    near: float = 1.5  # random access within the second cache
    far: float = 8.0  # random access beyond it
    line: float = 1.6  # stream one cache line from beyond the second cache
    scatter: float = 2.0  # add to a sparse row accumulator
    sort: float = 3.5  # times log2 of the row length, an entry
    word: float = 0.6  # test one word of a bitmap
    visit: float = 4.0  # read the bits of a word that has some, mispredicted end included
    append: float = 1.5  # write one coordinate and value of a sparse result
    move: float = 0.5  # one coordinate and value of a result, to close a gap
    room: float = 0.05  # an entry of room that stays empty
    place: float = 4.0  # count an entry, and write it to a place that jumps
    convert: float = 12.0  # reorder one nonzero, its share of counting and prefix sums included
    reorder: float = 20_000.0  # begin to reorder an operand
    gather: float = 1.5  # take one value through a permutation
    launch: float = 5_000.0  # enter a parallel region


PRICES = Prices()


def conversion_cost(problem: Problem, access: Access, format: Format) -> float:
    """Reordering an operand once; its permutation is kept, so that later calls only gather the values."""
    operand = problem.by_name[access.tensor]
    if format in operand.converted:
        return PRICES.gather * operand.statistics.nnz
    return PRICES.reorder + PRICES.convert * operand.statistics.nnz + PRICES.next * _places(format, operand.shape)


def _places(format: Format, shape: tuple[int, ...]) -> float:
    """Places of the dense levels above the first sparse one, each of which has an end of its positions."""
    leading = takewhile(lambda level: level[0].full, zip(format.levels, format.order, strict=True))
    return math.prod(float(shape[dimension]) for _, dimension in leading)


def nest_cost(problem: Problem, order: tuple[str, ...], tiled: str | None, formats: dict[str, Format]) -> float:
    """Loops and arithmetic of a nest with the tiled index innermost."""
    total = 0.0
    for depth, index in enumerate(order):
        visits = problem.visits(order[: depth + 1])
        walkers = [a for a in problem.sparse if walks(a, index, formats[a.tensor])]
        total += visits * (PRICES.sparse if walkers else PRICES.loop)
        total += problem.visits(order[:depth]) * PRICES.enter if walkers else 0.0
        if len(walkers) > 1:
            total += (
                problem.visits(order[:depth]) * PRICES.merge * sum(_children(problem, a, order, depth) for a in walkers)
            )
    inner = problem.visits(order)
    if tiled is None:
        return total + inner * (PRICES.scalar + _access_cost(problem, order, formats))
    lanes = vector_lanes(problem)
    vectors = max(1.0, math.ceil(problem.extents[tiled] / lanes))
    return total + inner * (vectors * PRICES.vector + _row_cost(problem, order, tiled, formats))


def _children(problem: Problem, access: Access, order: tuple[str, ...], depth: int) -> float:
    """Stored coordinates of an access at one loop, below one node of the loops outside it."""
    inside = frozenset(order[: depth + 1]) & set(access.indices)
    outside = frozenset(order[:depth]) & set(access.indices)
    return problem.distinct(access, inside) / max(1.0, problem.distinct(access, outside))


def _access_cost(problem: Problem, order: tuple[str, ...], formats: dict[str, Format]) -> float:
    """Scalar reads of dense operands (and updates of a dense result) that jump in memory at each innermost
    iteration."""
    total = 0.0
    for access in [a for a in problem.accesses if a not in problem.sparse]:
        total += _jump(problem, access, level_indices(access, formats[access.tensor]), order)
    return total + _jump(problem, problem.statement.target, problem.statement.target.indices, order)


def _jump(problem: Problem, access: Access, path: tuple[str, ...], order: tuple[str, ...]) -> float:
    """One scalar access: next to the last one if the innermost loop is dense and runs along the last level, else a
    jump, to cache lines that are used again where the last level is walked just outside the innermost loop."""
    innermost = order[-1] if order else None
    if innermost not in path:
        return 0.0
    picked = any(innermost in a.indices for a in problem.sparse)
    if path[-1] == innermost and not picked:
        return PRICES.next
    size = dtypes.itemsize(problem.dtype) * math.prod(problem.extents[v] for v in path)
    if size <= problem.machine.near_bytes:
        return PRICES.cached
    jump = PRICES.far if size > problem.machine.far_bytes else PRICES.near
    if path[-1] not in order[-2:-1]:
        return jump
    together = min(problem.extents[path[-1]], LINE // dtypes.itemsize(problem.dtype))
    return PRICES.cached + (jump - PRICES.cached) / max(1, together)


def _row_cost(problem: Problem, order: tuple[str, ...], tiled: str, formats: dict[str, Format]) -> float:
    """Bringing rows of dense operands to the core, by how far away they can be expected."""
    total = 0.0
    innermost = order[-1] if order else None
    itemsize = dtypes.itemsize(problem.dtype)
    lines = problem.extents[tiled] * itemsize / 64
    for access in problem.accesses:
        if tiled in access.indices and innermost in access.indices:
            size = itemsize * math.prod(problem.extents[v] for v in access.indices)
            total += lines * PRICES.line if size > problem.machine.near_bytes else 0.0
    if {tiled, innermost} <= set(problem.statement.target.indices):
        total += lines * PRICES.line  # a reduction outside: the result row is read and written at each step
    return total


def scatter_cost(kind: str, products: float, entries: float, rows: float, width: float, ordered: bool) -> float:
    """A sparse row accumulator: products added, entries read back, in order if that is wanted."""
    per_row = entries / max(1.0, rows)
    if kind == "bitmap":
        words = max(1.0, width / 64)
        held = -words * math.expm1(-per_row / words)  # words with a bit, if entries were spread evenly
        reading = PRICES.word * words / 64 + PRICES.visit * held
        return products * PRICES.scatter + rows * reading + entries * PRICES.append
    sorting = entries * PRICES.sort * math.log2(max(2.0, per_row)) if ordered else 0.0
    probe = 2.0 if kind == "hash" else 0.1  # of a key, or of a mark beside the value
    listed = 2.0 if kind == "hash" else 0.5
    return products * (PRICES.scatter + probe) + entries * (PRICES.append + listed) + sorting


def count_cost(kind: str, products: float, rows: float, width: float) -> float:
    """A count phase before the fill: the products once more, without values, order or output."""
    words = rows * PRICES.word * width / 4096 / 2 if kind == "bitmap" else 0.0
    return products * PRICES.scatter * (0.6 if kind == "bitmap" else 0.9) + words


def bound_cost(products: float, entries: float, visits: float) -> float:
    """Counting products by the row, touching room for them, and closing up the result."""
    return visits * PRICES.sparse + entries * PRICES.move + (products - entries) * PRICES.room
