"""Estimated time of a loop nest, in nanoseconds: iterations of each loop prefix times the price of one iteration."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import takewhile

from scorch.formats import Format, dtypes
from scorch.ir.graph import level_indices, walks
from scorch.ir.notation import Access
from scorch.ir.plan import Tile
from scorch.schedule.merging import blended, children, searched, step_cost
from scorch.schedule.prices import Prices
from scorch.schedule.problem import Problem
from scorch.schedule.statistics import product
from scorch.schedule.tile import block_tile, vector_lanes

__all__ = [
    "LINE",
    "Copied",
    "conversion_cost",
    "count_cost",
    "grouped_cost",
    "merge_cost",
    "nest_cost",
    "picked_cost",
    "room_cost",
    "scatter_cost",
    "sorted_cost",
]


LINE = 64  # bytes of a cache line
FIRST = 32 << 10  # bytes of the first cache
SECOND = 1 / 2  # of the time of a line from beyond the second cache, for one from there: others are fetched meanwhile
RUNS = 1.2  # of the time of whole rows from afar, where they are taken in short runs
PAGE = 4096  # bytes
PAGES = 64  # whose addresses are at hand
LATENCY = 5  # multiply-adds that begin in the time that one takes to be done
LEAST_CHUNKS = 2  # a thread, for one that starts late to leave work to the others
STREAMED = 4  # lines of a register block that arrive, in order, in the time of one, beside the arithmetic


@dataclass(frozen=True)
class Copied:
    """What the rows of a block share lies side by side, all of it copied so many `times`; `turned` on the way."""

    times: int
    turned: bool


def conversion_cost(problem: Problem, access: Access, format: Format) -> float:
    """Reordering an operand once; its permutation is kept, so that later calls only gather the values. A dense one is
    copied at each call."""
    operand = problem.by_name[access.tensor]
    if operand.frozen:
        return 0.0  # the copy is kept, with its values
    if format.is_dense:
        return problem.prices.copy + problem.prices.turn * operand.statistics.nnz
    if format in operand.converted:
        return problem.prices.gather * operand.statistics.nnz
    return (
        problem.prices.reorder
        + problem.prices.convert * operand.statistics.nnz
        + problem.prices.next * _places(format, operand.shape)
    )


def _places(format: Format, shape: tuple[int, ...]) -> float:
    """Places of the dense levels above the first sparse one, each of which has an end of its positions."""
    leading = takewhile(lambda level: level[0].full, zip(format.levels, format.order, strict=True))
    return math.prod(float(shape[dimension]) for _, dimension in leading)


def nest_cost(
    problem: Problem,
    order: tuple[str, ...],
    tiled: str | None,
    formats: dict[str, Format],
    rows: int = 1,
    strip: int = 0,
    along: float | None = None,
    turned: int = 0,
    packing: Copied | None = None,
    ends: float = 1.0,
) -> float:
    """Loops and arithmetic of a nest with the tiled index innermost, so many rows sharing what they load.

    `strip`: vectors of a tile that stands outside all loops, 0 if none does. `along`: what a row of the innermost loop
    takes with near values, where that is known. `turned`: operands of which blocks are turned in registers. `packing`:
    how what the rows share is packed, if it is. `ends`: what beginning and ending a row of the innermost loop takes,
    as a share of the usual.
    """
    total = 0.0
    for depth, index in enumerate(order if along is None else order[:-1]):
        visits = problem.visits(order[: depth + 1])
        walkers = [a for a in problem.sparse if walks(a, index, formats[a.tensor])]
        total += visits * (problem.prices.sparse if walkers else problem.prices.loop)
        entered = problem.prices.enter * (ends if depth == len(order) - 1 else 1.0)
        total += problem.visits(order[:depth]) * entered if walkers else 0.0
        if len(walkers) > 1:
            total += merge_cost(problem, order, depth, tiled, formats)
    inner = problem.visits(order)
    if along is not None:
        away = max(0.0, _access_cost(problem, order, formats) - problem.prices.near)
        return total + problem.visits(order[:-1]) * along + inner * away
    if tiled is None:
        return total + inner * (problem.prices.scalar + _access_cost(problem, order, formats))
    lanes = vector_lanes(problem)
    vectors = max(1.0, math.ceil(problem.extents[tiled] / lanes))
    prices = problem.prices
    if strip:
        turns = math.ceil(vectors / strip)
        brought = turns * RUNS * _row_cost(problem, order, tiled, strip * lanes)
        begun = (turns - 1) * problem.visits(order[:-1]) * prices.enter  # sums of few values are cleared and stored
        waits = _waits(problem, order, tiled, strip * lanes, turns)
        return total * turns + begun + inner * (vectors * prices.vector + brought + waits)
    shared = [a for a in problem.sparse if formats[a.tensor].levels[-1].block > 1]
    if shared:
        return grouped_cost(problem, order, tiled, shared[0], rows)
    rest = _row_cost(problem, order, tiled, problem.extents[tiled])
    if turned:
        return total + inner * (vectors * prices.vector + turned * prices.turned * problem.extents[tiled] + rest)
    if rows > 1:
        return _block_cost(problem, order, tiled, rows, packing, total)
    if tiled not in problem.statement.target.indices and not problem.sparse:
        # no two sums share a vector, as those of stored positions side by side do
        sums = problem.visits(tuple(v for v in order if v in problem.statement.target.indices))
        return total + inner * (vectors * (2 * prices.vector - prices.fma) + rest) + sums * prices.across
    waits = _waits(problem, order, tiled, problem.extents[tiled], 1)
    return total + inner * (vectors * prices.vector + rest + waits)


def _waits(problem: Problem, order: tuple[str, ...], tiled: str, width: int, turns: int) -> float:
    """Nanoseconds for which what a nonzero picks takes longer to come than what is done with it, in so many `turns` of
    `width` values each."""
    vectors = math.ceil(problem.extents[tiled] / vector_lanes(problem))
    done = turns * problem.prices.sparse + vectors * problem.prices.vector
    return max(0.0, picked_cost(problem, order, tiled, width) - done)


def picked_cost(problem: Problem, order: tuple[str, ...], tiled: str, width: int) -> float:
    """Nanoseconds in which the lines that a nonzero picks come from the second cache to the first, `width` values of
    each row being used at a time."""
    if not order or not any(order[-1] in a.indices for a in problem.sparse):
        return 0.0
    total, itemsize = 0.0, dtypes.itemsize(problem.dtype)
    for access in problem.accesses:
        if tiled in access.indices and order[-1] in access.indices:
            size = itemsize * width * math.prod(problem.extents[v] for v in access.indices if v != tiled)
            total += itemsize * problem.extents[tiled] / LINE * max(0.0, 1 - FIRST / max(1, size))
    return total * problem.prices.line * SECOND


def _block_cost(
    problem: Problem, order: tuple[str, ...], tiled: str, rows: int, packing: Copied | None, loops: float
) -> float:
    """A register block of so many rows by a tile's vectors; `loops` is what the loops take a row at a time."""
    prices, tile = problem.prices, block_tile(problem, tiled, rows)
    vectors = max(1.0, math.ceil(problem.extents[tiled] / vector_lanes(problem)))
    inner, rest = problem.visits(order), _row_cost(problem, order, tiled, problem.extents[tiled])
    passes = vectors / max(tile.vectors, 1)  # each of which has the reduction once for a block
    load = prices.vector - prices.fma
    step = prices.fma + load * (1 / rows + 1 / tile.vectors) / 2  # most of it beside the arithmetic
    terms = product(problem.extents[v] for v in problem.statement.reduced)
    apart = min(1.0, problem.extents[tiled] * dtypes.itemsize(problem.dtype) / PAGE)  # pages between two rows
    read = terms * tile.vectors * problem.machine.bits / 8  # bytes, by all blocks of a tile
    near = read <= problem.machine.near_bytes
    blocks = math.prod(problem.extents[v] for v in order if v in problem.statement.target.indices) / rows
    again = 1.0 / max(1.0, blocks) if near else 1.0  # of all visits to a panel, those to which it has to come
    far = rest / rows * again / (STREAMED if apart < 1 or packing else 1)
    streamed = passes * _own_lines(problem, tiled, packing) * prices.line / STREAMED
    copied = 0.0
    if packing:
        lanes = vector_lanes(problem)
        each = lanes * prices.turned if packing.turned else 2 * prices.vector + prices.walk * apart
        copied = packing.times * terms * vectors * each
    elif terms * apart > PAGES:
        step += prices.walk * apart / rows
    return loops * passes / rows + inner * (vectors * step + far) + streamed + copied


def _own_lines(problem: Problem, tiled: str, packing: Copied | None) -> float:
    """Cache lines that each tile of a block brings of what only its rows read, as far as a chunk's are not near."""
    chunks = packing.times if packing else problem.threads * LEAST_CHUNKS
    total = 0.0
    for access in problem.accesses:
        if tiled not in access.indices:
            size = dtypes.itemsize(problem.dtype) * math.prod(problem.extents[v] for v in access.indices)
            total += size / LINE * max(0.0, 1 - problem.machine.near_bytes * chunks / max(1, size))
    return total


def grouped_cost(
    problem: Problem, order: tuple[str, ...], tiled: str, access: Access, rows: int, tile: Tile | None = None
) -> float:
    """A block of rows that share coordinates: what belongs to one is loaded once for all rows that have it.

    How many do follows from the density, as if entries were anywhere.
    """
    prices, tile = problem.prices, tile or block_tile(problem, tiled, rows)
    vectors = math.ceil(problem.extents[tiled] / tile.lanes)
    passes = math.ceil(vectors / max(1, tile.vectors))
    outside, extent = problem.visits(order[:-1]), problem.extents[order[-1]]
    places = product(problem.extents[v] for v in order[-2:])
    density = min(1.0, problem.by_name[access.tensor].statistics.nnz / max(1.0, places))
    blocks, wide = outside / rows, vectors / passes
    total = blocks * ((1 << rows) - 1) * prices.enter
    picked = picked_cost(problem, order, tiled, tile.vectors * tile.lanes) / passes
    for members in range(1, rows + 1):
        share = math.comb(rows, members) * density**members * (1 - density) ** (rows - members)
        work = wide * (members * prices.fma + prices.vector - prices.fma)
        # Half of fetching a coordinate is done beside the arithmetic; a few sums wait for each other.
        total += blocks * extent * share * max(prices.sparse / 2 + max(work, LATENCY * prices.fma), picked)
    return passes * total


def merge_cost(
    problem: Problem, order: tuple[str, ...], depth: int, tiled: str | None, formats: dict[str, Format]
) -> float:
    """Walking several accesses at one loop: a step for each coordinate, or a search for each of the shortest."""
    prices, outside = problem.prices, problem.visits(order[:depth])
    walkers = [a for a in problem.sparse if walks(a, order[depth], formats[a.tensor])]
    lead, *others = sorted(children(problem, a, order, depth) for a in walkers)
    if searched(problem, order, depth, formats):
        return (
            outside
            * lead
            * (prices.merge + prices.search * sum(math.log2(max(2.0, n / max(1.0, lead))) for n in others))
        )
    without_branches = tiled is None and blended(problem, order, depth, formats)
    return outside * (lead + sum(others)) * (prices.blend if without_branches else step_cost(problem))


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
        return problem.prices.next
    size = dtypes.itemsize(problem.dtype) * math.prod(problem.extents[v] for v in path)
    if size <= problem.machine.near_bytes:
        return problem.prices.cached
    jump = problem.prices.far if size > problem.machine.far_bytes else problem.prices.near
    if path[-1] not in order[-2:-1]:
        return jump
    together = min(problem.extents[path[-1]], LINE // dtypes.itemsize(problem.dtype))
    return problem.prices.cached + (jump - problem.prices.cached) / max(1, together)


def _row_cost(problem: Problem, order: tuple[str, ...], tiled: str, width: int) -> float:
    """Bringing `width` values of each row of dense operands to the core, as far as they are not expected to be near."""
    total = 0.0
    innermost = order[-1] if order else None
    itemsize = dtypes.itemsize(problem.dtype)
    lines = width * itemsize / LINE
    picked = any(innermost in a.indices for a in problem.sparse)
    for access in problem.accesses:
        if tiled in access.indices and innermost in access.indices:
            size = itemsize * width * math.prod(problem.extents[v] for v in access.indices if v != tiled)
            beside = access.indices[-2] if access.indices[-1] == tiled else None  # what else is in a line
            if beside == innermost:
                shares = not picked
            else:  # the loop just outside comes to it while it is near
                turn = problem.visits(order) / max(1.0, problem.visits(order[:-1]))
                shares = beside in order[-2:-1] and turn * max(1.0, lines) * LINE <= problem.machine.near_bytes
            total += (
                (lines if shares else max(1.0, lines))
                * problem.prices.line
                * max(0.0, 1 - problem.machine.near_bytes / max(1, size))
            )
    if {tiled, innermost} <= set(problem.statement.target.indices):
        total += lines * problem.prices.line  # a reduction outside: the result row is read and written at each step
    return total


def scatter_cost(
    prices: Prices, kind: str, products: float, entries: float, rows: float, width: float, ordered: bool
) -> float:
    """A sparse row accumulator: products added, entries read back, in order if that is wanted."""
    per_row = entries / max(1.0, rows)
    missed = _missed(prices, products, entries)
    if kind in ("bitmap", "marked bitmap"):
        words = max(1.0, width / 64)
        held = -words * math.expm1(-per_row / words)  # words with a bit, if entries were spread evenly
        reading = prices.word * words / 64 + prices.visit * held
        # Without marks each product waits until the word that the last one wrote can be read.
        added = products * prices.scatter if kind == "bitmap" else (products + entries) * prices.scatter / 2 + missed
        return added + rows * reading + entries * prices.append
    sorting = _sort_cost(prices, entries, per_row) if ordered else 0.0
    probe = 2.0 if kind == "hash" else 0.1  # of a key, or of a mark beside the value
    listed = 2.0 if kind == "hash" else 0.5
    added = (products + entries) * prices.scatter / 2 + missed
    return added + products * probe + entries * (prices.append + listed) + sorting


def _missed(prices: Prices, products: float, entries: float) -> float:
    """Branches on whether a product is the first of its place, as far as they are mispredicted."""
    new = min(1.0, entries / max(1.0, products))
    return products * 2 * new * (1 - new) * prices.visit


def sorted_cost(prices: Prices, products: float, length: float) -> float:
    """Rows of few products sorted by insertion, most of which come in order; a product is in a row of `length` of
    them."""
    return products * (prices.scatter / 2 + prices.append + prices.sort * max(0.5, length / 8))


def _sort_cost(prices: Prices, entries: float, per_row: float) -> float:
    """Entries sorted row by row, a few by insertion."""
    return entries * prices.sort * min(math.log2(max(2.0, per_row)), max(1.0, per_row / 4))


def count_cost(prices: Prices, kind: str, products: float, entries: float, rows: float, width: float) -> float:
    """A count phase before the fill: the products once more, without values, order or output."""
    words = rows * prices.word * width / 4096 / 2
    if kind == "bitmap":
        return products * prices.scatter + words
    marked = products * prices.scatter * 0.15 + _missed(prices, products, entries) / 2
    return marked + (entries * prices.append * 2 + words if kind == "marked bitmap" else entries * prices.append)


def room_cost(prices: Prices, visits: float, entries: float) -> float:
    """Counting products, or steps of a merge, by the row, and moving entries from room for as many to their places."""
    return visits * prices.sparse + entries * prices.move
