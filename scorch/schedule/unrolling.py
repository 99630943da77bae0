"""How many iterations of a reduction under a SIMD tile are in flight, and what becomes of those that a row leaves over.

So many accumulators hide the latency of a multiply-add. The rest of a row takes a loop of its own, whose end is
mispredicted wherever rows differ in length, and a mispredicted branch takes as long as many multiply-adds: where a row
needs few of them, what is left of it is taken as another group, into the rows behind it, and their part is dropped.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from scorch.formats import Format
from scorch.ir.absence import guarded
from scorch.ir.graph import walks
from scorch.ir.plan import Tile
from scorch.schedule.ends import flush_cost, row_groups
from scorch.schedule.problem import Problem
from scorch.schedule.statistics import Groups

__all__ = ["SINGLY", "Unrolling", "cheapest", "in_flight", "unrolled", "unrollings"]

PAST = (4, 8)  # iterations of a group, the rest of a row being one too
SHORTEST = 3 / 4  # of a group, for rows: others would spend more on it, and read more, than they have
WIDEST_PAST = 2  # vectors of a tile beside whose arithmetic the end of a row matters
LATENCY = 5  # multiply-adds that begin in the time that one takes to be done
SEEN = 1 / 4  # of the time for which a sum waits for the last one, beside loads that do not
FLUSHES = 2.5  # mispredicted branches where a row has another number of groups: into their loop, out of it, or past it


@dataclass(frozen=True, slots=True)
class Unrolling:
    """So many iterations at a time; `past`: what a row leaves over is a group too. `ends`: what ending a row takes, as
    a share of what it would take if the rest were taken singly."""

    count: int = 1
    past: bool = False
    ends: float = 1.0


SINGLY = Unrolling()


def in_flight(tile: Tile) -> int:
    """How many iterations of a reduction under a tile hide the latency of its multiply-adds."""
    vectors = _vectors(tile)
    return 4 if vectors <= 2 else 2 if vectors <= 4 else 1


def unrolled(problem: Problem, tiled: str, tile: Tile, innermost: str, formats: Mapping[str, Format]) -> Unrolling:
    """The cheapest way to take the innermost reduction, over stored positions, under a tile."""
    walkers = [a for a in problem.sparse if walks(a, innermost, formats[a.tensor])]
    if problem.lattice(innermost, formats).only() is None or not formats[walkers[0].tensor].levels[-1].unique:
        return SINGLY
    groups = row_groups(problem, walkers[0], innermost, formats)
    past = (
        "crd" in formats[walkers[0].tensor].levels[-1].arrays
        and tiled in problem.statement.target.indices
        and not any(innermost in pair for pair in problem.statement.equal)
        and guarded(problem.statement.whole)[0] is None
        and not problem.filters
    )
    ways = unrollings(problem, tile, groups, problem.by_name[walkers[0].tensor].statistics.nnz)
    return cheapest({way: cost for way, cost in ways.items() if past or not way.past})


def cheapest(ways: Mapping[Unrolling, float]) -> Unrolling:
    """The cheapest of several ways, with what it saves at the ends of rows."""
    if not ways:
        return SINGLY
    singly = min(cost for way, cost in ways.items() if not way.past)
    best = min(ways, key=lambda way: ways[way])
    return replace(best, ends=ways[best] / singly) if best.past else best


def unrollings(problem: Problem, tile: Tile, groups: Sequence[Groups], stored: int) -> dict[Unrolling, float]:
    """The ways to take rows of so many groups, of all `stored` positions, under a tile, with the nanoseconds that each
    spends on waiting and at the end of a row; none where the tile's own vectors hide all that."""
    known = {group.size: group for group in groups}
    count, vectors = in_flight(tile), _vectors(tile)
    if 1 not in known or count == 1:
        return {}
    prices, mean = problem.prices, known[1].mean
    flush = FLUSHES * flush_cost(problem, stored / max(1e-9, mean))
    waits = SEEN * max(0, LATENCY - vectors) * prices.fma
    ways = {Unrolling(): known[1].changes * flush + mean * waits}
    if mean >= SHORTEST * count:
        left = known[1].changes * (count - 1) / count
        ways[Unrolling(count)] = (known.get(count, known[1]).changes + left) * flush
    for size in PAST[:1] if vectors > 1 else PAST:
        if size in known and vectors <= WIDEST_PAST and mean >= SHORTEST * size:
            dropped = max(0.0, size * known[size].mean - mean) * vectors * prices.vector
            ways[Unrolling(size, past=True)] = known[size].changes * flush + dropped
    return ways


def _vectors(tile: Tile) -> int:
    """Accumulators of one iteration."""
    return max(tile.rest, tile.vectors if tile.count != 0 else 0)
