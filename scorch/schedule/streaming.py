"""Dense results that outgrow the last cache: stored past it, where whole vectors are.

A store to what is in no cache reads it first, in vain, and takes the place of what is still needed there, such as the
rows that nonzeros pick of a dense operand. Smaller results are stored as usual: whoever reads them next finds them in a
cache.
"""

from __future__ import annotations

import math

from scorch.formats import dtypes
from scorch.ir.plan import Assembly, Tile
from scorch.schedule.cost import LINE
from scorch.schedule.problem import Problem

__all__ = ["streams", "written_cost"]

WRITTEN = 2.0  # times that of a line from beyond the second cache, for one that goes to memory
READ = 1.5  # the same, for one that comes from there to be overwritten


def streams(problem: Problem, tiled: tuple[str, Tile] | None, assembly: Assembly, outermost: bool) -> bool:
    """Whether vectors make whole cache lines of a result that is too large for the last cache, each of them written
    once: those of a row, or of a tile if tiles are the outermost loop."""
    if tiled is None or not assembly.owned or not _outgrows(problem, assembly):
        return False
    index, tile = tiled
    if problem.statement.target.indices[-1:] != (index,) or problem.extents[index] % tile.lanes:
        return False
    together = problem.extents[index]
    if outermost:
        together = tile.lanes * min(n for n in (tile.vectors, tile.rest) if n)
    return together * dtypes.itemsize(problem.result_dtype) % LINE == 0


def written_cost(problem: Problem, assembly: Assembly) -> float:
    """Nanoseconds of writing a result to memory, twice if it is cleared first; 0 if it stays in a cache."""
    if not _outgrows(problem, assembly):
        return 0.0
    times = WRITTEN if assembly.streamed else WRITTEN + READ
    return _size(problem) / LINE * problem.prices.line * times * (1 if assembly.owned else 2)


def _outgrows(problem: Problem, assembly: Assembly) -> bool:
    return assembly.kind == "locate" and _size(problem) > problem.machine.far_bytes


def _size(problem: Problem) -> int:
    return math.prod(problem.shape) * dtypes.itemsize(problem.result_dtype)
