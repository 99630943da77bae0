"""Copies into another format: a plan serves every tensor of about the same size, so that a new one is not planned."""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import replace

from scorch.emit.jit import Compiled, compile_kernel
from scorch.engine.kept import settings
from scorch.engine.problem import problem_of
from scorch.engine.program import Program, Result
from scorch.formats import Format, Storage
from scorch.ir.notation import Assign
from scorch.ir.plan import Loop, Plan, walk
from scorch.schedule.planner import schedule
from scorch.schedule.statistics import completeness

__all__ = ["copy"]

KEPT = 512  # plans; the oldest goes first
_plans: OrderedDict[object, tuple[Plan, Compiled]] = OrderedDict()
_lock = threading.Lock()


def copy(statement: Assign, operand: Storage, format: Format, structure: bool = False) -> Result:
    """Compute a copy into another format without converting the operand first; not kept.

    `structure`: only the levels are wanted, since values stay in their order; those of the copy mean nothing.
    """
    plan, compiled = _planned(statement, operand, format, structure)
    return Program(plan, compiled, [operand])([operand.vals])


def _planned(statement: Assign, operand: Storage, format: Format, structure: bool) -> tuple[Plan, Compiled]:
    """The plan of a copy; that of another tensor if it was about as large, in powers of two, and nothing in the loops
    depends on more."""
    pattern = operand.pattern
    bits = tuple(tuple(array.itemsize for array in level.values()) for level in pattern.packed.arrays)
    kinds = (pattern.format, bits, completeness(pattern.plain.stored), operand.dtype, operand.fill, type(operand.fill))
    sizes = tuple(size.bit_length() for size in (*pattern.shape, pattern.nnz))
    like = (statement, format, structure, kinds, sizes, settings())
    with _lock:
        found = _plans.get(like) or _plans.get((like, pattern.shape))
    if found is not None:
        extents = dict(zip(statement.accesses[0].indices, pattern.shape, strict=True))
        plan, compiled = found
        return replace(plan, extents=tuple((index, extents[index]) for index, _ in plan.extents)), compiled
    plan = schedule(replace(problem_of(statement, [operand], format, convert=False), structure=structure))
    tiled = any(isinstance(stmt, Loop) and stmt.tile is not None for stmt in walk(plan.kernel.root))
    made = plan, compile_kernel(plan.kernel)
    with _lock:
        _plans[(like, pattern.shape) if tiled else like] = made
        while len(_plans) > KEPT:
            _plans.popitem(last=False)
    return made
