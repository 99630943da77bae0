"""Dividing the work among threads: by which unit, weighted by what, into how many chunks."""

from __future__ import annotations

import math

from scorch.formats import Format, dtypes
from scorch.ir.graph import level_indices, walks
from scorch.ir.notation import Access
from scorch.ir.plan import Assembly, Partition, Tile
from scorch.schedule.assembly import Writing
from scorch.schedule.cost import LEAST_CHUNKS
from scorch.schedule.prices import Prices
from scorch.schedule.problem import Problem

__all__ = ["choose_partition", "serial_below"]

# Work that is shared takes at least that many times what entering its parallel regions takes: less would not repay the
# half second in which Numba compiles a parallel kernel.
LAUNCHES = 5.0
PARALLEL = 0.9  # of each further thread's time is work
CHUNK = 5_000.0  # nanoseconds: small enough to balance cores of unequal speed, large enough to hide the cursor
SELDOM = {"relevel": 100_000.0, "bucket": 1_000_000.0}
"""Nanoseconds of work of conversions, which find the other threads asleep: to wake one takes longer than to give work
to one that just had some. Buckets are written by several threads to the same cache lines, for 1.4 times the speed of
one at best."""
ROOM = 1 / 2  # of the second cache, for the entries of a chunk that are moved from there
SELECTED = 4  # products for each nonzero, from which on the rows that it selects are worth counting
MOST_CHUNKS = 8  # of a thread
PRIVATE_BYTES = 4 << 20  # of private results in all


def serial_below(prices: Prices, assembly: Assembly | None = None) -> float:
    """Nanoseconds of work for which waking threads does not pay; each phase of an assembly wakes them.

    >>> serial_below(Prices(launch=5000.0), Assembly("append")), serial_below(Prices(), Assembly("relevel"))
    (50000.0, 100000.0)
    """
    if assembly is None:
        return LAUNCHES * prices.launch
    return SELDOM.get(assembly.kind, LAUNCHES * prices.launch * assembly.phases)


def choose_partition(
    problem: Problem,
    outermost: str | None,
    tiled: tuple[str, Tile] | None,
    formats: dict[str, Format],
    cost: float,
    writing: Writing,
    order: tuple[str, ...],
) -> Partition:
    """The partition of the outermost loop; serial where it is small or where chunks would write the same places."""
    assembly = writing.assembly
    if outermost is None or cost < serial_below(problem.prices, assembly) or problem.threads == 1:
        return Partition("serial")
    appends = assembly.kind in ("relevel", "append", "bucket")
    chunks = _chunks(problem, cost, writing)
    if tiled is not None and tiled[0] == outermost:
        if outermost not in problem.statement.target.indices or tiled[1].count is not None:
            return Partition("serial")
        tiles = -(-problem.extents[outermost] // (tiled[1].vectors * tiled[1].lanes))
        return Partition("tiles", outermost, None, min(chunks, tiles))
    if outermost not in problem.statement.target.indices:
        return _private(problem, outermost, formats, assembly)
    walkers = [a for a in problem.accesses if walks(a, outermost, formats[a.tensor])]
    weight = _weight(problem, outermost, formats)
    if assembly.kind == "bucket":
        chunks = problem.threads  # each has counters of its own
    if not walkers:
        if (
            weight is not None
            and assembly.kind == "locate"
            and assembly.owned
            and problem.is_linear
            and _one_row_outweighs(problem, weight, formats, order)
        ):
            return Partition("merge-path", outermost, weight, problem.threads * 4)
        return Partition("coordinates", outermost, weight, chunks, selected=_selected(problem, weight, formats))
    if len(walkers) == 1 and problem.lattice(outermost, formats).only() is not None:
        level = formats[walkers[0].tensor].levels[0]
        if not level.unique and not level.ordered and not appends:
            return Partition("serial")  # one coordinate may turn up in several chunks
        return Partition("positions", outermost, walkers[0], chunks, selected=_selected(problem, walkers[0], formats))
    return Partition("coordinates", outermost, None, chunks)


def _chunks(problem: Problem, cost: float, writing: Writing) -> int:
    """How many chunks; as many to each thread: five equal chunks take two threads as long as six."""
    chunks = int(min(max(cost / CHUNK / problem.threads, LEAST_CHUNKS), MOST_CHUNKS))
    if writing.assembly.bounded:
        size = writing.most * (4 + dtypes.itemsize(problem.dtype))
        chunks = max(chunks, math.ceil(size / (problem.machine.near_bytes * ROOM) / problem.threads))
    return problem.threads * chunks


def _one_row_outweighs(problem: Problem, weight: Access, formats: dict[str, Format], order: tuple[str, ...]) -> bool:
    """Whether the longest row is more than half a thread's share, and rows can be divided: sums, right inside the row
    loop."""
    target = problem.statement.target
    path = level_indices(weight, formats[weight.tensor])
    divisible = (
        problem.statement.reduce == "add"
        and problem.statement.finish is None
        and problem.dtype != "bool"
        and bool(target.indices)
        and target.indices[0] == order[0]
        and path[1] not in target.indices
        and len(order) > 1
        and order[1] == path[1]
        and formats[weight.tensor].levels[0].full
        and sum(path[1] in a.indices for a in problem.sparse) == 1
    )
    statistics = problem.by_name[weight.tensor].statistics
    longest = statistics.row_max if formats[weight.tensor].ndim == 2 else 0
    return divisible and longest * 2 * problem.threads > statistics.nnz


def _private(problem: Problem, outermost: str, formats: dict[str, Format], assembly: Assembly) -> Partition:
    """A reduction outermost: each thread collects in a result of its own, if those are small."""
    size = 8
    for extent in problem.shape:
        size *= extent
    if (
        assembly.kind != "locate"
        or size * problem.threads > PRIVATE_BYTES
        or problem.statement.reduce != "add"
        or problem.dtype == "bool"
    ):
        return Partition("serial")
    walkers = [a for a in problem.accesses if walks(a, outermost, formats[a.tensor])]
    if walkers and problem.lattice(outermost, formats).only() is None:
        return Partition("serial")
    unit = "positions" if walkers else "coordinates"
    weight = walkers[0] if walkers else _weight(problem, outermost, formats)
    return Partition(unit, outermost, weight, problem.threads, private=True)  # type: ignore[arg-type]


def _weight(problem: Problem, index: str, formats: dict[str, Format]) -> Access | None:
    """The largest sparse operand whose second level lists the nonzeros of each unit."""
    found: Access | None = None
    for access in problem.accesses:
        format = formats[access.tensor]
        if format.ndim < 2 or level_indices(access, format)[0] != index or "pos" not in format.levels[1].arrays:
            continue
        if found is None or _nnz(problem, access) > _nnz(problem, found):
            found = access
    return found


def _selected(problem: Problem, weight: Access | None, formats: dict[str, Format]) -> Access | None:
    """The sparse operand whose rows the nonzeros of `weight` select, if the work is mostly there."""
    if weight is None or formats[weight.tensor].ndim != 2 or "pos" not in formats[weight.tensor].levels[1].arrays:
        return None
    if problem.products < SELECTED * _nnz(problem, weight):
        return None
    picked = level_indices(weight, formats[weight.tensor])[1]
    for access in problem.sparse:
        format = formats[access.tensor]
        rows = format.ndim > 1 and format.levels[0].full and "pos" in format.levels[1].arrays
        if rows and access != weight and level_indices(access, format)[0] == picked:
            return access
    return None


def _nnz(problem: Problem, access: Access) -> int:
    return problem.by_name[access.tensor].statistics.nnz
