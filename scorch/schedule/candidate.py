"""One way to compute a statement: its loops, how it writes, and what that is expected to cost."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from scorch.formats import Format, dtypes
from scorch.ir.graph import level_indices, walks
from scorch.ir.notation import Access
from scorch.ir.plan import Assembly, Partition, Tile
from scorch.schedule.assembly import Writing, choose_assembly
from scorch.schedule.cost import LEAST_CHUNKS, Copied, conversion_cost, nest_cost
from scorch.schedule.lanes import Along, along_positions
from scorch.schedule.panels import Panel
from scorch.schedule.partition import PARALLEL, choose_partition
from scorch.schedule.problem import Problem
from scorch.schedule.sizing import Collector, Sizing, accumulators, merges_rows, size_merged, size_scattered
from scorch.schedule.streaming import streams, written_cost
from scorch.schedule.tile import block_tile, choose_tile, positions_beside, strip_vectors, turned_tile
from scorch.schedule.unrolling import SINGLY, Unrolling, unrolled

__all__ = ["Candidate", "Layout", "merges_plainly", "priced", "rows_are_far", "sums_inside"]


@dataclass(frozen=True)
class Layout:
    """Loop order, tiled index (which `order` then lacks), result format, and the operands' formats after conversion.

    `spread`: the tiles are the outermost loop, for threads to share. `strips`: they are the outermost loop of each
    chunk, so that what a tile reads of dense operands stays near. `rows`: so many coordinates of the innermost result
    loop share the reduction inside a tile, which then stands right outside that loop. `turned`: square blocks of these
    accesses are turned in registers, for the tile outside the innermost loop. `packed`: what a tile around several rows
    reads of an access is copied beforehand, by each chunk, or, where tiles are the outermost loop, once.
    """

    order: tuple[str, ...]
    wanted: Format
    formats: dict[str, Format]
    conversions: tuple[tuple[str, Format], ...]
    tiled: str | None = None
    spread: bool = False
    strips: bool = False
    rows: int = 1
    turned: tuple[Access, ...] = ()
    packed: Panel | None = None


@dataclass(frozen=True)
class Candidate:
    """One way to compute the statement, with its estimated time in nanoseconds."""

    layout: Layout
    writing: Writing
    accumulator: Collector
    tile: tuple[str, Tile] | None
    along: Along | None
    unrolling: Unrolling
    partition: Partition
    cost: float
    parts: tuple[tuple[str, float], ...]

    @property
    def description(self) -> str:
        """Loop order, tile, accumulator and what is converted, in a line."""
        layout = self.layout
        text = f"loops {' '.join(layout.order)}"
        if layout.tiled:
            text += f", {layout.tiled} in SIMD tiles" + (" outermost" if layout.spread else "")
            text += " outside all rows of a chunk" if layout.strips else ""
            text += f", {layout.rows} rows at a time" if layout.rows > 1 else ""
            text += f", {layout.packed}" if layout.packed else ""
            text += f", blocks of {', '.join(a.tensor for a in layout.turned)} turned" if layout.turned else ""
        if self.writing.scatter:
            text += f", row of {self.writing.scatter} in a {self.accumulator}"
            text += ", room for every product" if self.writing.assembly.bounded else ", counted first"
        elif self.writing.assembly.bounded:
            text += ", room for every step"
        if self.writing.format != layout.wanted:
            text += ", result sorted afterwards"
        for name, format in layout.conversions:
            text += f", {name} as {format}"
        if not layout.wanted.is_dense:
            text += f", result {layout.wanted}"
        return text + (", serial" if self.partition.unit == "serial" else "")


def priced(
    problem: Problem, layout: Layout, accumulator: Collector | None = None, bounded: bool | None = None
) -> Candidate | None:
    """A candidate with its estimated time, part by part; None if its loops cannot write the result.

    A row accumulator and room for its result are the cheapest unless they are given.
    """
    whole = _whole(problem, layout)
    writing = choose_assembly(problem, whole, layout.wanted, layout.formats)
    if writing is None or not _can_finish(problem, whole, writing, layout.formats):
        return None
    tile = _tile(problem, layout, writing.assembly)
    if streams(problem, tile, writing.assembly, layout.spread or layout.strips):
        writing = replace(writing, assembly=replace(writing.assembly, streamed=True))
    innermost = layout.order[-1] if layout.order and tile is None and writing.scatter is None else None
    along = None if innermost is None else along_positions(problem, innermost, layout.formats)
    row = along.row if along is not None else None
    unrolling = _unrolling(problem, layout, tile)
    strip = strip_vectors(problem) if layout.strips and not layout.turned else 0
    turned = len(layout.turned)
    packing = None if layout.packed is None else _copied(problem, layout, layout.packed)
    loops = nest_cost(
        problem, layout.order, layout.tiled, layout.formats, layout.rows, strip, row, turned, packing, unrolling.ends
    )
    if writing.scatter is not None and accumulator is None:
        costs = accumulators(problem, layout.order, writing)
        accumulator = min(costs, key=lambda each: costs[each])
    sizing, parts = _written(problem, layout, writing, accumulator, bounded)
    writing = sizing.writing
    written = written_cost(problem, writing.assembly)
    if written:
        parts.append(("result to memory", written))
    work = loops + sum(cost for _, cost in parts)
    collects = writing.scatter is not None and writing.split == 0  # one row for all loops: chunks would share it
    outermost = whole[0] if whole and not collects else None
    partition = choose_partition(problem, outermost, tile, layout.formats, work, writing, layout.order)
    if packing and not layout.spread and partition.unit != "serial":  # each chunk packs, and rows are all alike
        partition = replace(partition, chunks=min(partition.chunks, problem.threads * LEAST_CHUNKS))
    share = 1.0 if partition.unit == "serial" else 1.0 / (problem.threads * PARALLEL)
    parts = [("loops", loops * share), *((name, cost * share) for name, cost in parts)]
    if writing.format != layout.wanted:
        parts.append(("sort", problem.products * 2 * problem.prices.convert))
    targets = dict(layout.conversions)
    converted = sum(conversion_cost(problem, a, targets[a.tensor]) for a in problem.accesses if a.tensor in targets)
    if converted:
        parts.append(("conversion", converted))
    if partition.unit != "serial":
        parts.append(("threads", problem.prices.launch * writing.assembly.phases))
    return Candidate(
        layout,
        writing,
        accumulator or Collector("bitmap"),
        tile,
        along,
        unrolling,
        partition,
        sum(cost for _, cost in parts),
        tuple(parts),
    )


def _copied(problem: Problem, layout: Layout, packed: Panel) -> Copied:
    """How often an operand is packed: once, or by each chunk of rows, and anew wherever a loop stands outside them."""
    if layout.spread:
        return Copied(1, packed.turned)
    outer = [v for v in layout.order if v in problem.statement.target.indices][:-1]
    times = max(math.prod(problem.extents[v] for v in outer), problem.threads * LEAST_CHUNKS)
    return Copied(times, packed.turned)


def _written(
    problem: Problem, layout: Layout, writing: Writing, accumulator: Collector | None, bounded: bool | None
) -> tuple[Sizing, list[tuple[str, float]]]:
    """How a sparse result gets its room, and what the threads do for it beside the loops, part by part."""
    parts: list[tuple[str, float]] = []
    sizing = None
    if writing.scatter is not None:
        assert accumulator is not None
        parts.append((f"row in a {accumulator}", accumulators(problem, layout.order, writing)[accumulator]))
        sizing = size_scattered(problem, layout.order, writing, accumulator.kind, bounded)
    elif writing.assembly.kind == "bucket":
        parts.append(("count and place", problem.products * problem.prices.place))
    elif writing.assembly.kind == "append":
        path = level_indices(problem.statement.target, writing.format)
        lowest = max(n for n, level in enumerate(writing.format.levels) if not level.full)
        parts.append(("append", problem.entries(path[: lowest + 1]) * problem.prices.append))
        if merges_plainly(problem, layout, writing):
            sizing = size_merged(problem, layout.order, layout.tiled, layout.formats, writing, bounded)
    if sizing is None:
        return Sizing(writing), parts
    parts.append(("room" if sizing.writing.assembly.bounded else "count", sizing.cost))
    return sizing, parts


def merges_plainly(problem: Problem, layout: Layout, writing: Writing) -> bool:
    """Whether the innermost loop merges each row of the result, in the order in which it is stored."""
    untiled = layout.tiled is None and writing.format == layout.wanted
    return untiled and merges_rows(problem, layout.order, layout.formats, writing)


def _can_finish(problem: Problem, order: tuple[str, ...], writing: Writing, formats: dict[str, Format]) -> bool:
    """Whether each value is complete where it is written, so that it can be finished there; if it has to be.

    Places of a dense result that a sparse loop skips would not be.
    """
    if problem.statement.finish is None:
        return True
    if not writing.assembly.owned or writing.scatter is not None:
        return False
    skips = any(walks(a, v, formats[a.tensor]) for a in problem.accesses for v in problem.statement.target.indices)
    return writing.assembly.kind == "share" or not skips


def _whole(problem: Problem, layout: Layout) -> tuple[str, ...]:
    """All loops in the order in which the nest will have them: a tiled result index stands outside the reductions."""
    order, tiled, target = layout.order, layout.tiled, problem.statement.target.indices
    if tiled is None:
        return order
    if layout.spread:
        return (tiled, *order)
    if tiled in target and sums_inside(problem, order):
        return (*(v for v in order if v in target), tiled, *(v for v in order if v not in target))
    return (*order, tiled)


def _tile(problem: Problem, layout: Layout, assembly: Assembly) -> tuple[str, Tile] | None:
    if layout.tiled is None:
        return None
    reduced = layout.tiled not in problem.statement.target.indices
    parts = problem.threads if layout.spread else 1
    if layout.turned:
        return layout.tiled, turned_tile(problem, layout.tiled)
    if layout.rows > 1:
        turned_panel = layout.packed is not None and layout.packed.turned
        return layout.tiled, block_tile(problem, layout.tiled, layout.rows, whole=turned_panel)
    beside = positions_beside(problem, layout.order, layout.tiled, layout.formats, assembly)
    gathers = (not reduced or beside > 1) and rows_are_far(problem, layout.tiled)
    once = assembly.owned
    most = strip_vectors(problem) if layout.strips else None
    return layout.tiled, choose_tile(problem, layout.tiled, reduced, gathers, parts, once, beside, most)


def _unrolling(problem: Problem, layout: Layout, tile: tuple[str, Tile] | None) -> Unrolling:
    """How the innermost reduction under a tile is unrolled; the rows of a block are enough by themselves."""
    last = layout.order[-1] if layout.order else None
    if tile is None or last is None or last in problem.statement.target.indices or layout.rows > 1:
        return SINGLY
    return unrolled(problem, *tile, last, layout.formats)


def rows_are_far(problem: Problem, tiled: str) -> bool:
    """Whether rows picked by nonzeros come from beyond the second cache: what one row's nonzeros span is larger than
    it."""
    for access in problem.sparse:
        picked = access.indices[problem.format(access).order[-1]]
        for other in problem.accesses:
            if other not in problem.sparse and picked in other.indices and tiled in other.indices:
                rows = problem.extents[picked] * problem.by_name[access.tensor].statistics.spread
                if rows * problem.extents[tiled] * dtypes.itemsize(problem.dtype) > problem.machine.near_bytes:
                    return True
    return False


def sums_inside(problem: Problem, order: tuple[str, ...]) -> bool:
    """Whether the result's indices come before every reduction."""
    inside = [v in problem.statement.target.indices for v in order]
    return inside == sorted(inside, reverse=True)
