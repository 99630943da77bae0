"""Plans for operands that are like others which were planned before.

Neighbours that are sampled anew at every step, or a mask that changes, make a new pattern each time. To plan for it
takes a millisecond, and what comes out is the same plan: operands with the same formats and number types, and as many
rows, entries and entries of the longest row up to a factor of 1.5, are not told apart where the work itself is short.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from scorch.config import config
from scorch.engine.kept import plans, settings
from scorch.engine.program import Program
from scorch.formats import Format, Pattern, Storage
from scorch.ir.einsum import operand_names
from scorch.ir.graph import walks
from scorch.ir.notation import Assign, check_extents
from scorch.ir.plan import Kernel, Loop, walk
from scorch.runtime.launch import Launcher
from scorch.schedule.statistics import completeness

__all__ = ["made_alike", "remember_for_others", "sketch"]

SHORT = 500_000  # entries of all operands, of which the work is short
SHORT_PRODUCT = 20_000  # of two sparse operands, whose entries meet in ways that their numbers don't tell
SMALL = 1 << 30  # values of a dense operand, of which vectors of 32 bits tell the places
KEPT = 256  # plans; the oldest goes first

Sketch = tuple[object, ...]


def sketch(
    statement: Assign, operands: Sequence[Storage], wanted: Format | None, dtype: str | None, onto: str | None = None
) -> Sketch | None:
    """What plans depend on, with numbers rounded where they decide nothing but time; None where only a plan of its own
    will do."""
    sparse = [s for s in operands if not s.pattern.format.is_dense]
    most = SHORT if len(sparse) == 1 or not statement.reduced else SHORT_PRODUCT
    if (
        not sparse
        or config.autotune
        or statement.equal
        or sum(s.pattern.nnz for s in sparse) > most
        or any(s.is_frozen or s.pattern.format.blocks or s.pattern.nnz > SMALL for s in operands)
    ):
        return None
    names = operand_names(len(operands))
    extents = check_extents(statement, {name: s.pattern.shape for name, s in zip(names, operands, strict=False)})
    rounded = _rounded_indices(statement, dict(zip(names, operands, strict=False)))
    sizes = tuple(_rounded(extent) if index in rounded else extent for index, extent in extents.items())
    described = tuple(_described(storage) for storage in operands)
    return statement, described, sizes, wanted, dtype, onto, settings()


def made_alike(found: Sketch, operands: Sequence[Storage]) -> Program | None:
    """The program of a plan that was made for operands like these."""
    launch: Launcher | None = plans.get(found)
    if launch is None:
        return None
    plan = launch.plan
    names = operand_names(len(operands))
    extents = check_extents(plan.statement, {n: s.pattern.shape for n, s in zip(names, operands, strict=False)})
    return Program(replace(plan, extents=tuple(extents.items())), launch.compiled, operands, launch)


def remember_for_others(found: Sketch, program: Program) -> None:
    """Keep a plan for operands that are alike, if its kernel is right for all of them."""
    if program.plan.conversions or not _is_general(program.plan.kernel):
        return
    reasons = (*program.plan.reasons, "the plan of operands that are alike, which came first")
    plans[found] = Launcher(replace(program.plan, reasons=reasons), program.compiled)
    while len(plans) > KEPT:
        plans.popitem(last=False)


def _rounded_indices(statement: Assign, operands: dict[str, Storage]) -> frozenset[str]:
    """The indices of sparse operands: kernels walk them, or take them one by one."""
    return frozenset(
        index
        for access in statement.accesses
        if not operands[access.tensor].pattern.format.is_dense
        for index in access.indices
    )


def _is_general(kernel: Kernel) -> bool:
    """Whether a kernel has no loop over rows that depends on how many there are: in tiles, or several at a time."""
    formats = {spec.name: spec.format for spec in kernel.operands}
    rounded = {i for a in kernel.accesses if not formats[a.tensor].is_dense for i in a.indices}
    for stmt in walk(kernel.root):
        if isinstance(stmt, Loop) and stmt.index in rounded:
            walked = any(walks(a, stmt.index, formats[a.tensor]) for a in kernel.accesses)
            if stmt.turned or (not walked and (stmt.tile is not None or stmt.unroll > 1)):
                return False
    return True


def _described(storage: Storage) -> tuple[object, ...]:
    """An operand as a kernel sees it, and its numbers, rounded."""
    pattern = storage.pattern
    if pattern.format.is_dense:
        return storage.dtype, pattern.format, pattern.strides
    levels = zip(pattern.format.levels, pattern.packed.arrays, strict=True)
    bits = tuple(tuple(arrays[part].itemsize for part in level.arrays) for level, arrays in levels)
    copies = frozenset(key[1] for key in list(pattern.cache) if key[0] == "reorder")  # that plans may read
    numbers = _rounded(pattern.nnz), _rounded(_longest(pattern)), completeness(pattern)
    return storage.dtype, pattern.format, bits, pattern.packing, storage.fill, copies, numbers


def _longest(pattern: Pattern) -> int:
    """The most entries below one parent of the last level, where positions tell."""
    ends = pattern.arrays[-1].get("pos") if pattern.format.ndim else None
    return int(np.diff(ends).max(initial=0)) if ends is not None else 0


def _rounded(number: int) -> tuple[int, bool]:
    """A number up to a factor of 1.5 or so: its power of two, and whether it is in the upper half up to the next.

    >>> _rounded(95) == _rounded(65), _rounded(95) == _rounded(97)
    (True, False)
    """
    power = number.bit_length()
    return power, number >= 3 << power >> 2
