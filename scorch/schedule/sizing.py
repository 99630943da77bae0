"""How the rows of a sparse result are collected, and how it gets its room: its entries are counted first, or there is
room for as many as there can be."""

from __future__ import annotations

from dataclasses import dataclass, replace

from scorch.formats import Format, dtypes
from scorch.ir.graph import level_indices
from scorch.schedule.assembly import Writing
from scorch.schedule.cost import count_cost, merge_cost, room_cost, scatter_cost, sorted_cost
from scorch.schedule.merging import merges, steps
from scorch.schedule.problem import Problem

__all__ = ["Collector", "Sizing", "accumulators", "merges_rows", "size_merged", "size_scattered"]

ENTRY_BYTES = 16  # of a coordinate and a value, at most
MOST_BYTES = 1 << 32  # of addresses that a result may have room for, of which it takes memory for what there is
DENSE = ("bitmap", "marked bitmap", "list")  # accumulators with a place for every coordinate
DENSE_ROW_BYTES = 64 << 20  # a row accumulator of dense values may take, for each thread


@dataclass(frozen=True, slots=True)
class Collector:
    """The kind of a sparse row accumulator; rows of at most `few` products are sorted instead."""

    kind: str
    few: int = 0

    def __str__(self) -> str:
        return self.kind + (f", rows of at most {self.few} products sorted" if self.few else "")


def accumulators(problem: Problem, order: tuple[str, ...], writing: Writing) -> dict[Collector, float]:
    """What each sparse row accumulator costs for the rows expected, and each with rows of few products apart."""
    assert writing.scatter is not None
    target, prices = problem.statement.target.indices, problem.prices
    rows = max(1.0, problem.visits(tuple(v for v in target if v != writing.scatter)))
    products, entries = problem.products, problem.entries(target)
    width = problem.extents[writing.scatter]

    def cost(kind: str, products: float, entries: float, rows: float) -> float:
        added = scatter_cost(prices, kind, products, entries, rows, width, writing.format.is_ordered)
        return added + (entries * _away(problem, width) if kind in DENSE else 0.0)

    kinds = (*DENSE, "hash") if width * 8 <= DENSE_ROW_BYTES else ("hash",)
    costs = {Collector(kind): cost(kind, products, entries, rows) for kind in kinds}
    sample = problem.sample
    if sample is None or sample.row not in order[: writing.split]:
        return costs
    counted = problem.visits(order[:-1]) * prices.sparse + rows * prices.enter
    for few in sample.few:
        least = products * few.products  # a row of few products seldom has two in one place
        apart = sorted_cost(prices, least, few.length)
        for kind in kinds if few.rows > 0.0 else ():
            many = cost(kind, products - least, max(0.0, entries - least), rows * (1.0 - few.rows))
            costs[Collector(kind, few.most)] = counted + apart + many
    return costs


def _away(problem: Problem, width: int) -> float:
    """What a value of a dense row takes for not being in the first cache, once a row of the result."""
    size = width * dtypes.itemsize(problem.dtype) * problem.reach
    prices, machine = problem.prices, problem.machine
    if size <= machine.near_bytes:
        return 0.0
    return (prices.far if size > machine.far_bytes else prices.near) - prices.cached


@dataclass(frozen=True, slots=True)
class Sizing:
    """How a sparse result gets its room, and what that costs."""

    writing: Writing
    cost: float = 0.0


def size_scattered(
    problem: Problem, order: tuple[str, ...], writing: Writing, accumulator: str, bounded: bool | None
) -> Sizing:
    """Whether to count the entries first, or to make room for every product: cheaper where few of them fall together.

    `bounded` decides, if it is given, where both are possible.
    """
    target = problem.statement.target.indices
    rows = max(1.0, problem.visits(tuple(v for v in target if v != writing.scatter)))
    width = problem.extents[str(writing.scatter)]
    entries = problem.entries(target)
    count = count_cost(problem.prices, accumulator, problem.products, entries, rows, width)
    if not _has_whole_rows(writing):
        return Sizing(writing, count)
    return _sized(problem, writing, count, problem.visits(order[:-1]), problem.products, bounded)


def size_merged(
    problem: Problem,
    order: tuple[str, ...],
    tiled: str | None,
    formats: dict[str, Format],
    writing: Writing,
    bounded: bool | None,
) -> Sizing:
    """Whether to count what a merge gives first, or to make room for every step of it; `bounded` decides if given."""
    last = len(order) - 1
    rows = problem.visits(order[:last])
    most = rows * steps(problem, order, last, formats)
    return _sized(problem, writing, merge_cost(problem, order, last, tiled, formats), rows, most, bounded)


def _sized(
    problem: Problem, writing: Writing, count: float, visits: float, most: float, bounded: bool | None
) -> Sizing:
    """The cheaper of a count, which costs so much, and room for `most` entries, found in so many visits."""
    room = room_cost(problem.prices, visits, problem.entries(problem.statement.target.indices))
    if bounded is None:
        bounded = room < count
    if bounded and most * ENTRY_BYTES < MOST_BYTES:
        return Sizing(replace(writing, assembly=replace(writing.assembly, bounded=True), most=most), room)
    return Sizing(writing, count)


def merges_rows(problem: Problem, order: tuple[str, ...], formats: dict[str, Format], writing: Writing) -> bool:
    """Whether each row of the result is what its innermost loop merges."""
    if writing.assembly.kind != "append" or writing.scatter is not None or not _has_whole_rows(writing):
        return False
    last = len(order) - 1
    inside = level_indices(problem.statement.target, writing.format)[-1] == order[last]
    return inside and merges(problem, order, last, formats)


def _has_whole_rows(writing: Writing) -> bool:
    """Whether rows can be moved with their chunk. Those that a sparse loop skips could not: its units are positions,
    not rows."""
    *above, last = writing.format.levels
    return all(level.full for level in above) and not last.full and not writing.assembly.gaps
