"""How a result gets its room: its entries are counted first, or there is room for as many as there can be."""

from __future__ import annotations

from dataclasses import replace

from scorch.formats import Format
from scorch.ir.graph import level_indices
from scorch.schedule.assembly import Writing
from scorch.schedule.cost import bound_cost, count_cost, merge_cost, scatter_cost
from scorch.schedule.merging import blended, steps
from scorch.schedule.problem import Problem

__all__ = ["accumulators", "merges_rows", "size_merged", "size_scattered"]

ENTRY_BYTES = 16  # of a coordinate and a value, at most
ROOM_BYTES = 1 << 30  # that a result may be given room for, most of it never touched
MOST_ROOM = 4  # places of room for each entry expected, from which on most of its pages stay untouched
DENSE_ROW_BYTES = 64 << 20  # a row accumulator of dense values may take, for each thread


def accumulators(problem: Problem, writing: Writing) -> dict[str, float]:
    """What each sparse row accumulator costs for the rows expected."""
    assert writing.scatter is not None
    rows_indices = tuple(v for v in problem.statement.target.indices if v != writing.scatter)
    rows = max(1.0, problem.visits(rows_indices))
    width = problem.extents[writing.scatter]
    entries = problem.entries(problem.statement.target.indices)
    kinds = ["bitmap", "list", "hash"] if width * 8 <= DENSE_ROW_BYTES else ["hash"]
    ordered = writing.format.is_ordered
    return {kind: scatter_cost(problem.prices, kind, problem.products, entries, rows, width, ordered) for kind in kinds}


def size_scattered(
    problem: Problem, order: tuple[str, ...], writing: Writing, accumulator: str, bounded: bool | None
) -> tuple[Writing, float]:
    """Whether to count the entries first, or to make room for every product: cheaper where few of them fall together.

    `bounded` decides, if it is given, where both are possible.
    """
    target = problem.statement.target.indices
    rows = max(1.0, problem.visits(tuple(v for v in target if v != writing.scatter)))
    width = problem.extents[str(writing.scatter)]
    entries = problem.entries(target)
    count = count_cost(problem.prices, accumulator, problem.products, rows, width)
    bound = bound_cost(problem.prices, problem.products, entries, problem.visits(order[:-1]))
    fits = _has_whole_rows(writing) and problem.products * ENTRY_BYTES < ROOM_BYTES
    if fits and (bound < count if bounded is None else bounded):
        return _with_room(writing, problem.products, entries), bound
    return writing, count


def size_merged(
    problem: Problem,
    order: tuple[str, ...],
    tiled: str | None,
    formats: dict[str, Format],
    writing: Writing,
    bounded: bool | None,
) -> tuple[Writing, float]:
    """Whether to count what a merge gives first, or to make room for every step of it; `bounded` decides if given."""
    last = len(order) - 1
    rows = problem.visits(order[:last])
    most = rows * steps(problem, order, last, formats)
    entries = problem.entries(problem.statement.target.indices)
    count = merge_cost(problem, order, last, tiled, formats)
    bound = bound_cost(problem.prices, most, entries, rows)
    if (bound < count if bounded is None else bounded) and most * ENTRY_BYTES < ROOM_BYTES:
        return _with_room(writing, most, entries), bound
    return writing, count


def merges_rows(problem: Problem, order: tuple[str, ...], formats: dict[str, Format], writing: Writing) -> bool:
    """Whether each row of the result is what its innermost loop merges without branches."""
    if writing.assembly.kind != "append" or writing.scatter is not None or not _has_whole_rows(writing):
        return False
    last = len(order) - 1
    inside = level_indices(problem.statement.target, writing.format)[-1] == order[last]
    return inside and blended(problem, order, last, formats)


def _has_whole_rows(writing: Writing) -> bool:
    """Whether rows can be moved with their chunk. Those that a sparse loop skips could not: its units are positions,
    not rows."""
    *above, last = writing.format.levels
    return all(level.full for level in above) and not last.full and not writing.assembly.gaps


def _with_room(writing: Writing, most: float, entries: float) -> Writing:
    """The same with room for so many entries, instead of a count."""
    return replace(writing, assembly=replace(writing.assembly, bounded=True, roomy=most > entries * MOST_ROOM))
