"""Copies into another format: a plan serves every tensor of about the same size, so that a new one is not planned."""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass, replace
from functools import lru_cache

import torch

from scorch.emit.jit import compile_kernel
from scorch.engine.kept import settings
from scorch.engine.problem import problem_of
from scorch.engine.program import Result, explained
from scorch.formats import Format, Pattern, Storage, dtypes
from scorch.ir.notation import Access, Assign
from scorch.ir.plan import Loop, walk
from scorch.runtime.launch import Launcher
from scorch.schedule.planner import schedule
from scorch.schedule.statistics import completeness

__all__ = ["copy", "copy_of", "relevel"]

KEPT = 512  # plans; the oldest goes first
_kept: OrderedDict[object, _Copy] = OrderedDict()
_lock = threading.Lock()


@dataclass(frozen=True)
class _Copy:
    """A compiled copy that is bound to no tensor."""

    statement: Assign
    indices: tuple[str, ...]
    launch: Launcher

    def run(self, operand: Storage) -> Result:
        """Copy a tensor like the one that it was planned for."""
        launch = self._bound(operand.pattern)
        try:
            return launch([operand.vals])
        except (MemoryError, RuntimeError) as error:
            raise explained(error, self.statement, launch.shape, launch.result.format) from None

    def levels(self, pattern: Pattern) -> Pattern:
        """The structure of a copy whose values stay in their order."""
        launch = self._bound(pattern)
        try:
            return launch.relevelled()
        except (MemoryError, RuntimeError) as error:
            raise explained(error, self.statement, launch.shape, launch.result.format) from None

    def _bound(self, pattern: Pattern) -> Launcher:
        return self.launch.bound({"A": pattern}, dict(zip(self.indices, pattern.shape, strict=True)))


@lru_cache(maxsize=64)
def copy_of(ndim: int) -> Assign:
    """B[i0,i1,...] = A[i0,i1,...]."""
    indices = tuple(f"i{d}" for d in range(ndim))
    return Assign(Access("B", indices), Access("A", indices))


def copy(operand: Storage, format: Format) -> Result:
    """Compute a copy into another format without converting the operand first; the result is not kept."""
    return _planned(operand.pattern, operand.dtype, operand.fill, format).run(operand)


def relevel(pattern: Pattern, format: Format) -> Pattern:
    """The same entries, in the order that they have, under the levels of another format that allows no other order."""
    planned = _planned(pattern, "bool", 0, format, structure=True)
    if planned.launch.kernel.assembly.kind == "relevel":
        return planned.levels(pattern)
    made = planned.run(Storage(pattern, torch.empty(pattern.nnz, dtype=torch.bool)))
    assert isinstance(made, Storage)
    return made.pattern


def _planned(
    pattern: Pattern, dtype: str, fill: bool | int | float | complex, format: Format, structure: bool = False
) -> _Copy:
    """The plan of a copy; that of another tensor if it was about as large, in powers of two, and nothing in the loops
    depends on more."""
    bits = tuple([array.itemsize for level in pattern.packed.arrays for array in level.values()])
    kinds = (pattern.format, bits, completeness(pattern.plain.stored), dtype, fill, type(fill))
    sizes = tuple([size.bit_length() for size in (*pattern.shape, pattern.nnz)])
    like = (format, structure, kinds, sizes, settings())
    with _lock:
        found = _kept.get(like) or _kept.get((like, pattern.shape))
    if found is not None:
        return found
    statement = copy_of(format.ndim)
    operand = Storage(pattern, torch.empty(pattern.nnz, dtype=dtypes.to_torch(dtype)), fill)  # only its type is read
    plan = schedule(replace(problem_of(statement, [operand], format, convert=False), structure=structure))
    tiled = any(isinstance(stmt, Loop) and stmt.tile is not None for stmt in walk(plan.kernel.root))
    made = _Copy(statement, statement.accesses[0].indices, Launcher(plan, compile_kernel(plan.kernel)))
    with _lock:
        _kept[(like, pattern.shape) if tiled else like] = made
        while len(_kept) > KEPT:
            _kept.popitem(last=False)
    return made
