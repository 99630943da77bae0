"""evaluate(statement, storages): plan, compile, run. Knows nothing of gradients or of the classes that users see."""

from __future__ import annotations

import threading
import weakref
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch

from scorch.config import config
from scorch.emit.jit import Compiled, compile_kernel
from scorch.errors import UnsupportedError
from scorch.formats import Format, Pattern, Storage, coo, dtypes
from scorch.formats.coordinates import pack
from scorch.formats.storage import dense_pattern
from scorch.ir.einsum import operand_names
from scorch.ir.notation import Access, Assign, check_extents
from scorch.ir.plan import Handover, Plan, Split
from scorch.runtime import threads
from scorch.runtime.launch import Launcher
from scorch.schedule.assembly import unsorted_coo
from scorch.schedule.path import contract
from scorch.schedule.planner import schedule
from scorch.schedule.problem import Operand, Problem

__all__ = ["Program", "evaluate", "find", "prepare", "reformat", "remember", "reorder", "settings"]

Result: TypeAlias = "Storage | torch.Tensor"
Fill: TypeAlias = "bool | int | float | complex"
KEPT = 2048  # programs; the oldest goes first


@dataclass(frozen=True)
class Reordering:
    """A pattern in another format, and how its values follow: sorted and summed by `gather`, then taken from `places`.

    None: as they are. `places` are counted from 1; 0 is a place that the old pattern did not store, as dense levels have.
    """

    pattern: Pattern
    gather: Callable[[torch.Tensor], torch.Tensor] | None = None
    places: torch.Tensor | None = None

    @property
    def is_direct(self) -> bool:
        """Whether the values are stored as they were."""
        return self.gather is None and self.places is None

    def values(self, stored: torch.Tensor, fill: Fill = 0) -> torch.Tensor:
        """The values in the new stored order, given those in the old one; differentiable."""
        if self.gather is not None:
            stored = self.gather(stored)
        return stored if self.places is None else _placed(stored, self.places, fill)


def _placed(stored: torch.Tensor, places: torch.Tensor, fill: Fill) -> torch.Tensor:
    return torch.cat([stored.new_full((1,), fill), stored])[places]


class Program:
    """A plan that is compiled and bound to operand patterns; called with the values of operands that have those patterns."""

    def __init__(self, plan: Plan, compiled: Compiled, operands: Sequence[Storage]) -> None:
        self.plan = plan
        self.compiled = compiled
        names = [spec.name for spec in plan.kernel.operands]
        targets = dict(plan.conversions)
        self.reorderings = [
            (n, reorder(storage.pattern, targets[name])) for n, (name, storage) in enumerate(zip(names, operands, strict=True)) if name in targets
        ]
        patterns = [storage.pattern for storage in operands]
        for n, reordering in self.reorderings:
            patterns[n] = reordering.pattern
        self.launch = Launcher(plan, compiled, dict(zip(names, patterns, strict=True)))
        wanted = plan.wanted
        self.wanted = wanted if wanted is not None and wanted != plan.kernel.result.format else None
        self.source = compiled.module.source
        self.path: Path | None = compiled.path

    def __call__(self, vals: list[np.ndarray[Any, Any]]) -> Result:
        """Run with the operands' flat values, which the call may replace in the list."""
        for n, reordering in self.reorderings:
            if not reordering.is_direct:
                vals[n] = reordering.values(torch.from_numpy(vals[n])).numpy()
        result = self.launch(vals)
        if self.wanted is not None:
            assert isinstance(result, Storage)
            return reformat(result, self.wanted)
        return result


class Chain:
    """Two operands multiplied first, then their product with the others: planned anew where it is sparse, and so not alike."""

    def __init__(self, plan: Split, operands: Sequence[Storage], wanted: Format | None) -> None:
        self.plan = plan
        self.patterns = [storage.pattern for storage in operands]
        self.wanted = wanted
        self.source, self.path = str(plan), None

    def __call__(self, vals: list[np.ndarray[Any, Any]]) -> Result:
        storages = [Storage(pattern, torch.from_numpy(val)) for pattern, val in zip(self.patterns, vals, strict=True)]
        left, right = self.plan.pair
        product = evaluate(self.plan.first, [storages[left], storages[right]])
        if isinstance(product, torch.Tensor):
            product = Storage.from_dense(product)
        others = [storage for n, storage in enumerate(storages) if n not in self.plan.pair]
        return evaluate(self.plan.rest, [product, *others], self.wanted)


class Delegated:
    """A dense expression that torch computes."""

    def __init__(self, plan: Handover, operands: Sequence[Storage]) -> None:
        self.plan = plan
        self.patterns = [storage.pattern for storage in operands]
        self.source, self.path = str(plan), None

    def __call__(self, vals: list[np.ndarray[Any, Any]]) -> Result:
        dtype = dtypes.to_torch(self.plan.dtype)
        dense = [_shaped(pattern, val).to(dtype) for pattern, val in zip(self.patterns, vals, strict=True)]
        return torch.einsum(self.plan.notation, *dense).contiguous()


def _shaped(pattern: Pattern, val: np.ndarray[Any, Any]) -> torch.Tensor:
    """A dense operand's flat values with its shape."""
    order = pattern.format.order
    stored = torch.from_numpy(val).view([pattern.shape[d] for d in order])
    return stored.permute(tuple(np.argsort(order).tolist()))


AnyProgram: TypeAlias = "Program | Chain | Delegated"


def _program(plan: Plan | Split | Handover, operands: Sequence[Storage], wanted: Format | None) -> AnyProgram:
    if isinstance(plan, Split):
        return Chain(plan, operands, wanted)
    if isinstance(plan, Handover):
        return Delegated(plan, operands)
    return Program(plan, compile_kernel(plan.kernel), operands)


_programs: OrderedDict[Any, AnyProgram] = OrderedDict()
_lock = threading.RLock()


def settings() -> tuple[object, ...]:
    """What a program depends on beside its statement and operands."""
    return config.state, threads.available()


def find(key: object) -> AnyProgram | None:
    """The program kept under a key."""
    return _programs.get(key)


def prepare(statement: Assign, operands: Sequence[Storage], wanted: Format | None = None, dtype: str | None = None) -> AnyProgram:
    """The program of a statement over operands A, B, ... in this order, from the cache if it was made before."""
    key = (statement, tuple([storage.key for storage in operands]), wanted, dtype, settings())
    found = find(key)
    if found is None:
        found = _program(contract(problem_of(statement, operands, wanted, dtype)), operands, wanted)
        remember(key, found, operands)
    return found


def remember(key: object, program: AnyProgram, operands: Sequence[Storage]) -> None:
    """Keep a program under a key for as long as its operands' patterns live."""
    with _lock:
        _programs[key] = program
        while len(_programs) > KEPT:
            _programs.popitem(last=False)
    for storage in operands:
        if not storage.pattern.format.is_dense:
            weakref.finalize(storage.pattern, _programs.pop, key, None)  # a program holds the pattern's arrays


def problem_of(
    statement: Assign, operands: Sequence[Storage], wanted: Format | None = None, dtype: str | None = None, convert: bool = True
) -> Problem:
    """What the schedule is asked; ShapeError and NotationError if the operands don't fit the statement."""
    names = operand_names(len(operands))
    extents = check_extents(statement, {name: s.pattern.shape for name, s in zip(names, operands, strict=False)})
    described = tuple(Operand.of(name, s.pattern, s.dtype) for name, s in zip(names, operands, strict=False))
    result = dtype or dtypes.promote(*(operand.dtype for operand in described))
    if any(s.fill != 0 and not s.pattern.format.is_dense for s in operands):
        raise UnsupportedError("operands with a fill other than 0 are not supported in an expression yet; pass A.to_dense()")
    return Problem(statement, described, extents, result, threads.available(), wanted, convert)


def evaluate(statement: Assign, operands: Sequence[Storage], wanted: Format | None = None, dtype: str | None = None) -> Result:
    """Compute a statement: a torch tensor if the result is structurally dense, else a Storage."""
    return prepare(statement, operands, wanted, dtype)([storage.vals for storage in operands])


# -- formats -------------------------------------------------------------------------------------------------------


def reformat(storage: Storage, format: Format) -> Storage:
    """The tensor in another format; duplicates are summed and order established where the format asks for it."""
    if storage.pattern.format == format:
        return storage
    if format.is_dense or storage.pattern.format.is_dense:
        if storage.fill != 0 and format.is_dense != storage.pattern.format.is_dense:
            return _reformat_around(storage, format)
        result = evaluate(_copy(format.ndim), [storage], format)
        if isinstance(result, torch.Tensor):
            return Storage(dense_pattern(tuple(result.shape), format.order), result, storage.fill)
        return Storage(result.pattern, result.values, storage.fill)
    reordering = reorder(storage.pattern, format)
    return Storage(reordering.pattern, reordering.values(storage.values.reshape(-1), storage.fill), storage.fill)


def _reformat_around(storage: Storage, format: Format) -> Storage:
    """From or to a dense format where absent coordinates have a value: kernels copy place numbers, 0 for the fill."""
    if not storage.pattern.format.is_unique:
        storage = reformat(storage, storage.pattern.format.sorted)
    stored = _in_stored_order(storage)
    numbers = torch.arange(1, len(stored) + 1)
    if storage.pattern.format.is_dense:
        plain = stored.detach()
        numbers[plain.isnan() if storage.fill != storage.fill else plain == storage.fill] = 0
    made = evaluate(_copy(format.ndim), [Storage(storage.pattern, numbers)], format)
    if isinstance(made, torch.Tensor):
        places, pattern = made.permute(format.order).reshape(-1), dense_pattern(tuple(made.shape), format.order)
    else:
        places, pattern = made.values, made.pattern
    return Storage(pattern, _placed(stored, places, storage.fill), storage.fill)


def _in_stored_order(storage: Storage) -> torch.Tensor:
    format, values = storage.pattern.format, storage.values
    whole = format.is_dense and values.ndim == format.ndim
    return (values.permute(format.order) if whole else values).reshape(-1)


def _copy(ndim: int) -> Assign:
    """B[i0,i1,...] = A[i0,i1,...]."""
    indices = tuple(f"i{d}" for d in range(ndim))
    return Assign(Access("B", indices), Access("A", indices))


def reorder(pattern: Pattern, format: Format) -> Reordering:
    """A sparse pattern in another sparse format, kept on the pattern: only values are gathered at each use."""
    key = ("reorder", format)
    found = pattern.cache.get(key)
    if found is None:
        found = pattern.cache[key] = _reorder(pattern, format)
    return found  # type: ignore[no-any-return]


def _reorder(pattern: Pattern, format: Format) -> Reordering:
    if pattern.format == format:
        return Reordering(pattern)
    kept = (pattern.format.is_ordered and pattern.format.is_unique) or format == unsorted_coo(format.order)
    if kept and pattern.format.order == format.order:
        return _rewritten(pattern, format)
    return _sorted(pattern, format)


def _rewritten(pattern: Pattern, format: Format) -> Reordering:
    """The same coordinates in the same order under other levels."""
    pads = any(level.full and not above.full for above, level in pairwise(format.levels))
    numbers = Storage(pattern, torch.arange(1, pattern.nnz + 1) if pads else torch.zeros(pattern.nnz, dtype=torch.bool))
    plan = schedule(problem_of(_copy(format.ndim), [numbers], format, convert=False))
    program = Program(plan, compile_kernel(plan.kernel), [numbers])
    result = program([numbers.vals])
    assert isinstance(result, Storage)
    return Reordering(result.pattern, places=result.values if pads else None)


def _sorted(pattern: Pattern, format: Format) -> Reordering:
    """List the coordinates, sort them in the new order, and build its levels from the sorted list."""
    order = format.order
    listed = _listed(pattern)
    coordinates = torch.from_numpy(np.stack([listed[d] for d in order]) if order else listed)
    packing = pack(coordinates, [pattern.shape[d] for d in order])
    arrays = [_narrowed(level, pattern.shape[d]) for level, d in zip(packing.pattern.arrays, order, strict=True)]
    sorted_coo = Pattern(pattern.shape, coo(format.ndim, order), arrays, validate=False)
    final = reorder(sorted_coo, format)
    return replace(final, gather=None if packing.is_direct else packing.gather)


def _narrowed(level: dict[str, Any], extent: int) -> dict[str, Any]:
    """Level arrays as a kernel would have written them: coordinates in 32 bits where the extent allows."""
    index = np.int32 if extent <= 2**31 - 1 else np.int64
    return {name: array.astype(index if name == "crd" else np.int64, copy=False) for name, array in level.items()}


def _listed(pattern: Pattern) -> np.ndarray[Any, Any]:
    from scorch.formats.coordinates import coordinates

    return coordinates(pattern)
