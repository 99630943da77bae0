"""Choosing the SIMD tile: which dense index is vectorised, and in how many registers."""

from __future__ import annotations

from collections.abc import Mapping

from scorch.formats import Compressed, Format, dtypes
from scorch.formats.levels import Grouped
from scorch.ir.absence import guarded
from scorch.ir.graph import level_indices
from scorch.ir.notation import Access, accesses, has_vector_form
from scorch.ir.operators import operator
from scorch.ir.plan import Assembly, Tile
from scorch.schedule.problem import Problem

__all__ = [
    "block_tile",
    "blocks_to_turn",
    "can_tile",
    "choose_tile",
    "grouped_positions",
    "grouping",
    "most_vectors",
    "positions_beside",
    "rows_of_block",
    "strip_vectors",
    "turned_lanes",
    "turned_tile",
    "vector_lanes",
]

AHEAD = 16  # nonzeros: how far in advance rows are fetched
BESIDE = 4  # stored positions: with 8, fewer vectors of each would be read at a time, and more positions be left over
STRIP_BYTES = 256  # of each row in a strip: lines that are fetched together
GROUPED = (4, 2)  # rows that share coordinates, if they divide all rows: of more there would be too many groups
GROUPED_VECTORS = 2  # of a product by itself, below which a group's branches take longer than the loads it shares
WIDEST_TURNED = 16  # lanes: a block has the square of them
MOST_TURNED = 2  # blocks in registers
MOST_ROWS = 12  # of a register block
LOADED = 1 / 4  # of a multiply-add, for a load beside it
ROOM = 4  # registers that accumulators leave to operands, or half of all where those are many


def vector_lanes(problem: Problem) -> int:
    """Values of the problem's number type in one vector register."""
    return max(1, problem.machine.bits // 8 // dtypes.itemsize(problem.dtype))


def most_vectors(problem: Problem, reduced: bool) -> int:
    """As many accumulators as leave registers to operands; a reduction over lanes holds a vector beside each."""
    registers = problem.machine.registers
    return registers // 4 if reduced else min(registers - ROOM, 16)


def strip_vectors(problem: Problem) -> int:
    """Vectors of a tile that stands outside all rows: few, so that many rows' stay near, but whole runs of lines."""
    return min(max(1, STRIP_BYTES * 8 // problem.machine.bits), most_vectors(problem, reduced=False))


def can_tile(problem: Problem, index: str, formats: Mapping[str, Format]) -> bool:
    """Whether a loop over the index can be vectorised: every access that has it stores it last and densely.

    The result too, unless the index is reduced by an operator that reduces lanes.
    """
    if problem.dtype.startswith("complex") or problem.dtype == "bool":
        return False
    if any(index in pair for pair in problem.statement.equal) or not _has_vectors(problem):
        return False
    seen = False
    for access in problem.accesses:
        if index not in access.indices:
            continue
        format = formats[access.tensor]
        path = level_indices(access, format)
        seen = True
        if path[-1] != index or not format.levels[-1].contiguous:
            return False
        if problem.by_name[access.tensor].dtype == "bool":
            return False  # truth values lie in bytes; vectors of them are masks
    return seen and (
        index in problem.statement.target.indices or operator(problem.statement.reduce).reduces_with is not None
    )


def positions_beside(
    problem: Problem, order: tuple[str, ...], tiled: str, formats: Mapping[str, Format], assembly: Assembly
) -> int:
    """How many stored positions to take side by side, whose reductions over a tile share its loop; 1 if not possible.

    That needs a result at the positions of the one operand that the innermost loop walks, what is multiplied to the
    sums being the same for all of them or stored there too, and rows long enough for groups.
    """
    innermost = order[-1] if order else None
    if assembly.kind != "share" or assembly.source is None or not problem.is_linear:
        return 1
    if problem.lattice(str(innermost), formats).only() != assembly.source:
        return 1
    mean = problem.by_name[assembly.source.tensor].statistics.row_mean
    return grouped_positions(problem, order, tiled, assembly.source, formats[assembly.source.tensor], mean)


def rows_of_block(
    problem: Problem, order: tuple[str, ...], tiled: str, formats: Mapping[str, Format], threads: int = 1
) -> int:
    """How many coordinates of the innermost result loop share the reductions inside a tile, of which so many `threads`
    have their shares; 1 if not possible.

    That needs reductions that visit the same coordinates for each of them, and vectors that all of them read.
    """
    target = problem.statement.target.indices
    outer = [v for v in order if v in target]
    if tiled not in target or not outer or len(outer) == len(order):
        return 1
    if any(outer[-1] in pair for pair in problem.statement.equal):
        return 1
    row, tiles = outer[-1], [a for a in set(accesses(problem.statement.expr)) if tiled in a.indices]
    if any(order[-1] not in a.indices for a in tiles) or all(row in a.indices for a in tiles):
        return 1
    for access in problem.accesses:
        path = level_indices(access, formats[access.tensor])
        inside = zip(path, formats[access.tensor].levels, strict=True)
        if row in path and not all(level.full for index, level in inside if index not in outer[:-1]):
            return 1  # what is walked inside is walked once for all rows, and located by none
    return _fewest_loads(problem, tiled, problem.extents[row], threads)


def grouping(
    problem: Problem, order: tuple[str, ...], tiled: str, formats: Mapping[str, Format], tile: Tile | None = None
) -> tuple[str, Format] | None:
    """The operand whose rows can share a reduction inside a tile, and the format of a copy for that; None if none can.

    It is a frozen matrix, so that the copy is made once, whose rows the last result loop takes and whose entries the
    reduction; what it picks of the others is the same for all rows, and stays in the second cache, a `tile` of it.
    """
    if len(order) < 2 or len(problem.sparse) != 1 or problem.statement.equal:
        return None
    row, reduced = order[-2:]
    (access,) = problem.sparse
    operand, target = problem.by_name[access.tensor], problem.statement.target.indices
    format = formats[access.tensor]
    if not operand.frozen or format.ndim != 2 or level_indices(access, format) != (row, reduced):
        return None
    if row not in target or reduced in target or tiled not in target or not (format.is_ordered and format.is_unique):
        return None
    if not format.levels[0].full or not isinstance(format.levels[1], Compressed):
        return None
    tiles = [a for a in problem.accesses if tiled in a.indices and reduced in a.indices]
    if not tiles or any(row in a.indices for a in tiles) or problem.lattice(reduced, formats).only() != access:
        return None
    rows = next((rows for rows in GROUPED if problem.extents[row] % rows == 0), None)
    if rows is None:
        return None
    if tile is None:
        tile = block_tile(problem, tiled, rows)
        if tile.vectors < GROUPED_VECTORS:
            return None
    if (
        problem.extents[reduced] * tile.vectors * tile.lanes * dtypes.itemsize(problem.dtype)
        > problem.machine.near_bytes
    ):
        return None
    return access.tensor, Format((format.levels[0], Grouped(rows=rows)), format.order)


def blocks_to_turn(problem: Problem, order: tuple[str, ...], formats: Mapping[str, Format]) -> tuple[Access, ...]:
    """The dense accesses of which square blocks can be turned in registers, so that the innermost index can be tiled.

    They store the index of the loop outside it last. None where there is a reduction, or where an extent is less than
    a vector: blocks overlap at the end.
    """
    if (
        len(order) < 2
        or problem.sparse
        or problem.statement.equal
        or not set(order) <= set(problem.statement.target.indices)
    ):
        return ()
    row, last = order[-2:]
    lanes = turned_lanes(problem)
    if lanes < 2 or min(problem.extents[row], problem.extents[last]) < lanes or not _has_vectors(problem):
        return ()
    turned = []
    for access in (a for a in problem.accesses if last in a.indices):
        format = formats[access.tensor]
        innermost = level_indices(access, format)[-1]
        if innermost not in (row, last) or not format.levels[-1].contiguous:
            return ()
        if problem.by_name[access.tensor].dtype == "bool":
            return ()
        turned += [access] if innermost == row else []
    return tuple(turned) if len(turned) <= MOST_TURNED else ()


def turned_lanes(problem: Problem) -> int:
    """Lanes of the vectors of blocks that are turned: those of a register, unless there are too many."""
    return min(vector_lanes(problem), WIDEST_TURNED)


def turned_tile(problem: Problem, tiled: str) -> Tile:
    """One vector of an index at a time, the last one overlapping the one before it."""
    tail = problem.extents[tiled] % turned_lanes(problem) > 0
    return Tile(turned_lanes(problem), 1, rest=int(tail), overlaps=tail)


def block_tile(problem: Problem, tiled: str, rows: int, whole: bool = False) -> Tile:
    """The tile of an index inside which so many rows share a reduction; of `whole` vectors, none under a mask."""
    most = max(1, (problem.machine.registers - 1) // (rows + 1))
    return choose_tile(problem, tiled, reduced=False, gathers=False, most=most, whole=whole)


def _fewest_loads(problem: Problem, tiled: str, extent: int, threads: int) -> int:
    """Rows of the block, of `extent` at most, with the fewest loads for a multiply-add, among those that fit in
    registers beside the tile's vectors and a row's scalar; of tiles that threads share, every one has as many as the
    first.
    """
    registers = problem.machine.registers
    wanted = -(-problem.extents[tiled] // vector_lanes(problem)) or 1
    best = (float("inf"), 1)
    for rows in range(2, min(MOST_ROWS, extent) + 1):
        most = (registers - 1) // (rows + 1)
        if most < 1:
            break
        passes = -(-wanted // most)
        vectors = -(-wanted // passes)
        loads = passes * (1 / vectors + 1 / rows) * vectors
        if threads > 1:  # all wait for the one that has most
            loads = -(-passes // threads) * threads * vectors * (1 + (1 / vectors + 1 / rows) * LOADED)
        best = min(best, (loads, rows))
    return best[1]


def grouped_positions(
    problem: Problem, order: tuple[str, ...], tiled: str, walker: Access, format: Format, mean: float
) -> int:
    """How many positions of the access that the innermost loop walks, with rows of so many on average, make a group
    whose sums over the tiled index are one vector; 1 if none."""
    statement = problem.statement
    innermost, target = order[-1] if order else None, statement.target.indices
    if statement.finish is not None or statement.reduce != "add" or problem.dtype not in ("float32", "float64"):
        return 1
    if innermost not in target or not set(order) <= set(target) or tiled in target:
        return 1
    if level_indices(walker, format)[-1] != innermost or not format.levels[-1].unique:
        return 1
    finished = [a for a in problem.accesses if tiled not in a.indices and a != walker]
    if any(innermost in a.indices for a in finished) or any(o.dtype != problem.dtype for o in problem.operands):
        return 1
    return BESIDE if 2 * mean >= BESIDE else 1


def _has_vectors(problem: Problem) -> bool:
    """Whether the expression can be computed on SIMD lanes."""
    return has_vector_form(guarded(problem.statement.whole)[1]) and not problem.filters


def choose_tile(
    problem: Problem,
    index: str,
    reduced: bool,
    gathers: bool,
    parts: int = 1,
    once: bool = False,
    beside: int = 1,
    most: int | None = None,
    whole: bool = False,
) -> Tile:
    """The tile of an index: one pass over all of it where it fits in registers, else equal passes and a rest.

    `gathers`: rows are picked by nonzeros, so that prefetching the next ones pays. `parts`: about so many tiles.
    `once`: each value is written once, so that it may as well be written twice, by vectors that overlap. `beside`: so
    many positions share a reduction over the tile, each with one accumulator, so that most registers hold what all of
    them multiply with. `most` vectors, if given. `whole`: none of them under a mask, each value being written once.
    """
    lanes = vector_lanes(problem)
    extent = problem.extents[index]
    overlaps = whole or (once and parts == 1 and not reduced and not problem.machine.masks)
    while lanes > 1 and (extent < lanes if overlaps else extent <= lanes // 2):
        lanes //= 2
    full, tail = divmod(extent, lanes)
    vectors = max(1, full + (tail > 0))
    most = most or (most_vectors(problem, reduced) if beside == 1 else problem.machine.registers // 2)
    ahead = AHEAD if gathers and vectors > 1 else 0  # one vector costs less than asking for it
    if vectors <= most and parts == 1:
        if tail == 0:
            return Tile(lanes, vectors, count=1 if extent else None, prefetch=ahead)
        return Tile(lanes, vectors, vectors, masked=not overlaps, overlaps=overlaps, count=0, prefetch=ahead)
    passes = min(max(parts, -(-vectors // most)), vectors)
    wide = -(-vectors // passes)
    left = extent % (wide * lanes)
    partial = left % lanes > 0
    return Tile(
        lanes, wide, -(-left // lanes), masked=partial and not overlaps, overlaps=partial and overlaps, prefetch=ahead
    )
