"""Copies into another format: a plan serves every tensor of about the same size, so that a new one is not planned."""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass, replace
from functools import lru_cache

from scorch.emit.jit import compile_kernel
from scorch.engine.kept import settings
from scorch.engine.problem import problem_of
from scorch.engine.program import Result, explained
from scorch.formats import Format, Storage
from scorch.ir.notation import Access, Assign
from scorch.ir.plan import Loop, walk
from scorch.runtime.launch import Launcher
from scorch.schedule.planner import schedule
from scorch.schedule.statistics import completeness

__all__ = ["copy", "copy_of"]

KEPT = 512  # plans; the oldest goes first
_kept: OrderedDict[object, _Copy] = OrderedDict()
_lock = threading.Lock()


@dataclass(frozen=True)
class _Copy:
    """A compiled copy that is bound to no tensor."""

    statement: Assign
    launch: Launcher

    def run(self, operand: Storage) -> Result:
        """Copy a tensor like the one that it was planned for."""
        extents = dict(zip(self.statement.accesses[0].indices, operand.pattern.shape, strict=True))
        launch = self.launch.bound({"A": operand.pattern}, extents)
        try:
            return launch([operand.vals])
        except (MemoryError, RuntimeError) as error:
            raise explained(error, self.statement, launch.shape, launch.result.format) from None


@lru_cache(maxsize=64)
def copy_of(ndim: int) -> Assign:
    """B[i0,i1,...] = A[i0,i1,...]."""
    indices = tuple(f"i{d}" for d in range(ndim))
    return Assign(Access("B", indices), Access("A", indices))


def copy(operand: Storage, format: Format, structure: bool = False) -> Result:
    """Compute a copy into another format without converting the operand first; the result is not kept.

    `structure`: only the levels are wanted, since values stay in their order; those of the copy mean nothing.
    """
    return _planned(operand, format, structure).run(operand)


def _planned(operand: Storage, format: Format, structure: bool) -> _Copy:
    """The plan of a copy; that of another tensor if it was about as large, in powers of two, and nothing in the loops
    depends on more."""
    pattern = operand.pattern
    bits = tuple([array.itemsize for level in pattern.packed.arrays for array in level.values()])
    kinds = (pattern.format, bits, completeness(pattern.plain.stored), operand.dtype, operand.fill, type(operand.fill))
    sizes = tuple([size.bit_length() for size in (*pattern.shape, pattern.nnz)])
    like = (format, structure, kinds, sizes, settings())
    with _lock:
        found = _kept.get(like) or _kept.get((like, pattern.shape))
    if found is not None:
        return found
    statement = copy_of(format.ndim)
    plan = schedule(replace(problem_of(statement, [operand], format, convert=False), structure=structure))
    tiled = any(isinstance(stmt, Loop) and stmt.tile is not None for stmt in walk(plan.kernel.root))
    made = _Copy(statement, Launcher(plan, compile_kernel(plan.kernel)))
    with _lock:
        _kept[(like, pattern.shape) if tiled else like] = made
        while len(_kept) > KEPT:
            _kept.popitem(last=False)
    return made
