"""evaluate(statement, storages): plan, compile, run. Knows nothing of gradients or of the classes that users see."""

from __future__ import annotations

import math
import threading
import weakref
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch

from scorch import blocked, reorder
from scorch.config import config
from scorch.emit.jit import Compiled, compile_kernel
from scorch.errors import ShapeError, UnsupportedError
from scorch.formats import Format, Pattern, Storage, dense, dtypes
from scorch.formats.memory import bytes_text, check_memory
from scorch.formats.storage import hold
from scorch.ir.absence import absent_value
from scorch.ir.canonical import canonical, canonical_run
from scorch.ir.einsum import operand_names
from scorch.ir.entries import over_values
from scorch.ir.narrow import narrowed
from scorch.ir.notation import Assign, Expr, Literal, accesses, check_extents
from scorch.ir.plan import Entrywise, Handover, Plan, Split
from scorch.ir.reduction import with_absent_entries
from scorch.ir.statement import ABSENT
from scorch.ir.types import Kind, type_of
from scorch.runtime import threads
from scorch.runtime.launch import Launcher
from scorch.schedule import fuse
from scorch.schedule.path import contract, renamed
from scorch.schedule.planner import schedule
from scorch.schedule.problem import Operand, Problem

__all__ = ["AnyProgram", "Program", "compute", "copy", "evaluate", "find", "prepare", "remember", "settings"]

Result: TypeAlias = "Storage | torch.Tensor"
Fill: TypeAlias = "bool | int | float | complex"
KEPT = 2048  # programs; the oldest goes first


class Program:
    """A plan that is compiled and bound to operand patterns; called with the values of operands that have those
    patterns."""

    def __init__(self, plan: Plan, compiled: Compiled, operands: Sequence[Storage]) -> None:
        self.plan = plan
        self.compiled = compiled
        names = [spec.name for spec in plan.kernel.operands]
        self.fills = [0 if spec.fill == ABSENT.value else spec.fill for spec in plan.kernel.operands]
        targets = dict(plan.conversions)
        self.reorderings = [
            (n, reorder.reorder(storage.pattern, targets[name]))
            for n, (name, storage) in enumerate(zip(names, operands, strict=True))
            if name in targets
        ]
        patterns = [storage.pattern for storage in operands]
        for n, reordering in self.reorderings:
            patterns[n] = reordering.pattern
        self.launch = Launcher(plan, compiled, dict(zip(names, patterns, strict=True)))
        wanted = plan.wanted
        self.wanted = wanted if wanted is not None and wanted != plan.kernel.result.format else None
        self.rounded = dtypes.to_torch(plan.dtype) if plan.dtype != plan.kernel.result.dtype else None
        self.source = compiled.module.source
        self.path: Path | None = compiled.path

    def __call__(self, vals: list[np.ndarray[Any, Any]]) -> Result:
        """Run with the operands' flat values, which the call may replace in the list."""
        for n, reordering in self.reorderings:
            if not reordering.is_direct:
                stored = dtypes.tensor_of(vals[n], self.plan.kernel.operands[n].dtype)
                vals[n] = dtypes.array_of(reordering.values(stored, self.fills[n]))
        try:
            result = self.launch(vals)
        except (MemoryError, RuntimeError) as error:
            raise _explained(error, self.plan.statement, self.launch.shape, self.launch.result.format) from None
        if self.wanted is not None:
            assert isinstance(result, Storage)
            result = reorder.reformat(result, self.wanted)
        return result if self.rounded is None else _rounded(result, self.rounded)


def _rounded(result: Result, dtype: torch.dtype) -> Result:
    """A result in the number type that was asked for, where the kernel summed in a wider one."""
    if isinstance(result, torch.Tensor):
        return result.to(dtype)
    return Storage(result.pattern, result.values.to(dtype), result.fill)


class Chain:
    """Two operands multiplied first, then their product with the others: planned anew where it is sparse, and so not
    alike."""

    def __init__(
        self, plan: Split, operands: Sequence[Storage], wanted: Format | None, onto: str | None = None
    ) -> None:
        self.plan = plan
        names = operand_names(len(operands))[: len(operands)]
        self.onto = renamed(onto, [name for n, name in enumerate(names) if n not in plan.pair])
        self.patterns = [hold(storage.pattern) for storage in operands]
        self.dtypes = [storage.dtype for storage in operands]
        self.wanted = wanted
        self.source, self.path = str(plan), None

    def __call__(self, vals: list[np.ndarray[Any, Any]]) -> Result:
        bound = zip(self.patterns, vals, self.dtypes, strict=True)
        storages = [Storage(pattern(), dtypes.tensor_of(val, dtype)) for pattern, val, dtype in bound]
        left, right = self.plan.pair
        product = evaluate(self.plan.first, [storages[left], storages[right]], dtype=dtypes.computed(self.plan.dtype))
        if isinstance(product, torch.Tensor):
            product = Storage.from_dense(product)
        others = [storage for n, storage in enumerate(storages) if n not in self.plan.pair]
        return evaluate(self.plan.rest, [product, *others], self.wanted, self.plan.dtype, self.onto)


class Delegated:
    """A dense expression that torch computes."""

    def __init__(self, plan: Handover, operands: Sequence[Storage]) -> None:
        self.plan = plan
        self.patterns = [hold(storage.pattern) for storage in operands]
        self.dtypes = [storage.dtype for storage in operands]
        shapes = {name: s.pattern.shape for name, s in zip(operand_names(len(operands)), operands, strict=False)}
        extents = check_extents(plan.statement, shapes)
        self.shape = tuple(extents[v] for v in plan.statement.target.indices)
        self.source, self.path = str(plan), None

    def __call__(self, vals: list[np.ndarray[Any, Any]]) -> Result:
        dtype = dtypes.to_torch(self.plan.dtype)
        bound = zip(self.patterns, vals, self.dtypes, strict=True)
        check_memory(math.prod(self.shape) * dtype.itemsize, f"a dense result of shape {self.shape}")
        dense = [_shaped(pattern(), dtypes.tensor_of(val, name)).to(dtype) for pattern, val, name in bound]
        try:
            return torch.einsum(self.plan.notation, *dense).contiguous()
        except (MemoryError, RuntimeError) as error:
            raise _explained(error, self.plan.statement, self.shape, "dense") from None


class OverValues:
    """A statement over operands of one pattern, computed on their values; the result has that pattern too."""

    def __init__(self, plan: Entrywise, program: AnyProgram, pattern: Pattern, fill: Fill) -> None:
        self.plan = plan
        self.program = program
        self.pattern = hold(pattern)
        self.fill = fill
        self.source: str = program.source
        self.path: Path | None = program.path

    def __call__(self, vals: list[np.ndarray[Any, Any]]) -> Result:
        values = self.program(vals)
        assert isinstance(values, torch.Tensor)
        return Storage(self.pattern(), values, self.fill)


class Filled:
    """A statement over operands whose absent entries are not 0, which reductions have to count in."""

    def __init__(self, statement: Assign, operands: Sequence[Storage], wanted: Format | None) -> None:
        self.statement = statement
        self.names = operand_names(len(operands))
        self.operands = [(hold(storage.pattern), storage.dtype, storage.fill) for storage in operands]
        self.wanted = wanted

    def __call__(self, vals: list[np.ndarray[Any, Any]], observe: Observer | None = None) -> Result:
        bound = zip(self.operands, vals, strict=True)
        storages = [Storage(pattern(), dtypes.tensor_of(val, dtype), fill) for (pattern, dtype, fill), val in bound]
        return compute((self.statement,), dict(zip(self.names, storages, strict=False)), self.wanted, observe=observe)


def prepare_product(statement: Assign, operands: Sequence[Storage], wanted: Format | None) -> AnyProgram | Filled:
    """The program of an einsum over operands A, B, ..., whatever their fills are."""
    return Filled(statement, operands, wanted) if are_filled(operands) else prepare(statement, operands, wanted)


def are_filled(operands: Sequence[Storage]) -> bool:
    """Whether an operand's absent entries are not 0."""
    return any(storage.fill != 0 and not storage.pattern.format.is_dense for storage in operands)


def _shaped(pattern: Pattern, values: torch.Tensor) -> torch.Tensor:
    """A dense operand's flat values with its shape."""
    order = pattern.format.order
    stored = values.view([pattern.shape[d] for d in order])
    return stored.permute(tuple(np.argsort(order).tolist()))


def _explained(error: Exception, statement: Assign, shape: tuple[int, ...], format: object) -> Exception:
    """A failed allocation as an error with a way out; any other error as it is."""
    if not isinstance(error, MemoryError) and not any(
        word in str(error) for word in ("allocate memory", "Storage size")
    ):
        return error
    return ShapeError(
        f"{statement} needs more memory than there is for a {format} result of shape {shape}; ask for an out_format "
        "that stores less, such as 'coo', or compute the result in parts"
    )


AnyProgram: TypeAlias = "Program | Chain | Delegated | OverValues | blocked.Recast"
Observer: TypeAlias = Callable[[tuple[Assign, ...], AnyProgram, Sequence[Storage]], None]
Evaluate: TypeAlias = "Callable[[Assign, Sequence[Storage], Format | None, str | None], Result]"


def _program(
    plan: Plan | Split | Handover, operands: Sequence[Storage], wanted: Format | None, onto: str | None
) -> AnyProgram:
    if isinstance(plan, Split):
        return Chain(plan, operands, wanted, onto)
    if isinstance(plan, Handover):
        return Delegated(plan, operands)
    return Program(plan, compile_kernel(plan.kernel), operands)


_programs: OrderedDict[Any, Any] = OrderedDict()
_lock = threading.RLock()


def settings() -> tuple[object, ...]:
    """What a program depends on beside its statement and operands."""
    return config.state, threads.available()


def find(key: object) -> Any:
    """The program kept under a key, if there is one."""
    try:
        return _programs.get(key)
    except TypeError:  # no key at all, with a list for a format, say: whoever makes the program will refuse it
        return None


def prepare(
    statement: Assign,
    operands: Sequence[Storage],
    wanted: Format | None = None,
    dtype: str | None = None,
    onto: str | None = None,
) -> AnyProgram:
    """The program of a statement over operands A, B, ... in this order, from the cache if it was made before."""
    key = (statement, tuple([storage.key for storage in operands]), wanted, dtype, onto, settings())
    found: AnyProgram | None = find(key)
    if found is None:
        found = None
        if onto is None:
            found = _entrywise(statement, operands, wanted, dtype) or blocked.prepared(
                statement, operands, wanted, dtype
            )
        if found is None:
            problem = problem_of(statement, operands, wanted, dtype, onto=onto)
            found = _program(contract(problem), operands, wanted, onto)
        remember(key, found, operands)
    return found


def _entrywise(
    statement: Assign, operands: Sequence[Storage], wanted: Format | None, dtype: str | None
) -> OverValues | None:
    """The program on values alone, where all sparse operands have the very same pattern."""
    names = operand_names(len(operands))
    sparse = {name: s for name, s in zip(names, operands, strict=False) if not s.pattern.format.is_dense}
    patterns = [storage.pattern for storage in sparse.values()]
    if not patterns or any(pattern is not patterns[0] for pattern in patterns):
        return None
    pattern = patterns[0]
    if not pattern.format.is_unique or wanted not in (None, pattern.format):
        return None
    problem = problem_of(statement, operands, wanted, dtype)
    flat = over_values(statement, sparse.keys(), problem.fills)
    if flat is None:
        return None
    values = [
        Storage.from_dense(s.values.reshape(-1)) if name in sparse else s
        for name, s in zip(names, operands, strict=False)
    ]
    program = prepare(flat, values, dense(1), problem.rounded)
    return OverValues(Entrywise(statement, flat, program.plan, pattern.format), program, pattern, problem.fill)


def remember(key: object, program: object, operands: Sequence[Storage]) -> None:
    """Keep a program under a key for as long as its operands' patterns live."""
    with _lock:
        _programs[key] = program
        while len(_programs) > KEPT:
            _programs.popitem(last=False)
    for storage in operands:
        if not storage.pattern.format.is_dense:
            weakref.finalize(storage.pattern, _programs.pop, key, None)  # a program holds the pattern's arrays


def problem_of(
    statement: Assign,
    operands: Sequence[Storage],
    wanted: Format | None = None,
    dtype: str | None = None,
    convert: bool = True,
    onto: str | None = None,
) -> Problem:
    """What the schedule is asked; ShapeError and NotationError if the operands don't fit the statement."""
    names = operand_names(len(operands))
    extents = check_extents(statement, {name: s.pattern.shape for name, s in zip(names, operands, strict=False)})
    described = tuple(Operand.of(name, s.pattern, s.dtype, s.fill) for name, s in zip(names, operands, strict=False))
    result = dtype or dtypes.promote(*(operand.dtype for operand in described))
    arithmetic = dtypes.computed(result)
    return Problem(statement, described, extents, arithmetic, threads.available(), wanted, convert, result, onto)


def copy(statement: Assign, operand: Storage, format: Format) -> Result:
    """Compute a copy into another format without converting the operand first; not kept."""
    plan = schedule(problem_of(statement, [operand], format, convert=False))
    return Program(plan, compile_kernel(plan.kernel), [operand])([operand.vals])


def evaluate(
    statement: Assign,
    operands: Sequence[Storage],
    wanted: Format | None = None,
    dtype: str | None = None,
    onto: str | None = None,
) -> Result:
    """Compute a statement over operands A, B, ...: a torch tensor if the result is structurally dense, else a Storage.

    Reductions run over entries only; see `compute` for those that count absent ones. `onto` names a sparse operand with
    the result's indices and the wanted format: the result takes its very pattern.
    """
    return prepare(statement, operands, wanted, dtype, onto)([storage.vals for storage in operands])


def compute(
    statements: Sequence[Assign],
    operands: Mapping[str, Storage],
    wanted: Format | None = None,
    dtype: str | None = None,
    observe: Observer | None = None,
    run: Evaluate | None = None,
) -> Result:
    """Compute normalised statements over named operands, in order; the last one's result, in format `wanted`.

    `observe` is told each step: its statements, its program, and the program's operands. `run` evaluates each step in
    place of `evaluate`, the differentiable one, say; without it, statements may share a kernel. Raises
    UnsupportedError for a result that is not 0 where nothing is stored, if no operand's fill and no `wanted` asks for
    that.
    """
    known = dict(operands)
    result: Result = torch.empty(0)
    rest = tuple(statements)
    while rest:
        program, count = _fused(rest, known, wanted, dtype) if run is None else (None, 1)
        last = count == len(rest)
        step = _Step(known, wanted if last else None, dtype if last else None, last, observe, run or evaluate)
        result = step.run(rest[0]) if program is None else step.run_together(rest[:count], program)
        known[rest[count - 1].target.tensor] = _temporary(rest[count - 1], result, known)
        rest = rest[count:]
    return result


def _temporary(statement: Assign, result: Result, known: Mapping[str, Storage]) -> Storage:
    """A result as later statements read it: one that leaves entries out has no value there, rather than the value 0."""
    if isinstance(result, torch.Tensor):
        return Storage.from_dense(result)
    read = {access.tensor: known[access.tensor] for access in statement.accesses if access.tensor in known}
    fills = tuple((name, s.fill) for name, s in read.items() if not s.pattern.format.is_dense)
    masked = not statement.reduced and _absent_value(statement.expr, fills) == ABSENT
    return Storage(result.pattern, result.values, ABSENT.value) if masked else result


@lru_cache(maxsize=4096)
def _absent_value(expr: Expr, fills: tuple[tuple[str, Fill], ...]) -> Literal | None:
    return absent_value(expr, dict(fills))


def _fused(
    statements: tuple[Assign, ...], known: Mapping[str, Storage], wanted: Format | None, dtype: str | None
) -> tuple[Program | None, int]:
    """A program for as many of the first statements as make a kernel worth its while, and their number; or None and
    1."""
    for count in fuse.runs(statements):
        renamed, tensors = canonical_run(statements[:count])
        storages = [known[name] for name in tensors]
        if not all(map(_is_readable, storages)):
            continue
        end = (wanted, dtype) if count == len(statements) else (None, None)
        key = (renamed, tuple([storage.key for storage in storages]), *end, settings())
        program = find(key)
        if program is None:
            program = _fused_program(renamed, storages, *end) or _APART
            remember(key, program, storages)
        if program is not _APART:
            return program, count
    return None, 1


def _is_readable(storage: Storage) -> bool:
    """Whether kernels of several statements take an operand: not blocks, nor half types, which each one would round."""
    return reorder.is_plain(storage.pattern.format) and storage.dtype not in dtypes.HALVES


_APART = object()
"""In place of a program: the statements are better computed one by one."""


def _fused_program(
    statements: tuple[Assign, ...], operands: Sequence[Storage], wanted: Format | None, dtype: str | None
) -> Program | None:
    names = operand_names(len(operands))
    described = {name: Operand.of(name, s.pattern, s.dtype, s.fill) for name, s in zip(names, operands, strict=False)}
    plan = fuse.fuse(statements, described, threads.available(), wanted, dtype)
    return None if plan is None else Program(plan, compile_kernel(plan.kernel), operands)


@dataclass(frozen=True)
class _Step:
    """One statement among those that `compute` runs, and what is known when it is its turn."""

    known: dict[str, Storage]
    wanted: Format | None
    dtype: str | None
    final: bool
    observe: Observer | None
    evaluate: Evaluate

    def run(self, statement: Assign) -> Result:
        """The statement's result, its absent entries counted in."""
        if isinstance(statement.expr, Literal):
            return torch.tensor(statement.expr.value)
        read = [(name, self.known[name]) for name in canonical(statement)[1]]
        facts = [(name, s.pattern.shape, None if s.pattern.format.is_dense else s.fill) for name, s in read]
        *before, last = _expanded(statement, tuple(facts), self.final and self.wanted is None)
        for part in before:
            made = self._kernel(part, None, None)
            self.known[part.target.tensor] = made if isinstance(made, Storage) else Storage.from_dense(made)
        dtype = self.known[before[0].target.tensor].dtype if before and self.dtype is None else self.dtype
        return self._kernel(last, self.wanted, dtype)

    def run_together(self, statements: tuple[Assign, ...], program: Program) -> Result:
        """The result of the last of several statements, by one kernel."""
        storages = [self.known[name] for name in canonical_run(statements)[1]]
        if self.observe is not None:
            self.observe(statements, program, storages)
        return program([storage.vals for storage in storages])

    def _kernel(self, statement: Assign, wanted: Format | None, dtype: str | None) -> Result:
        """A statement over entries by one kernel, or, where it would be too wide, by several."""
        names = dict.fromkeys(access.tensor for access in accesses(statement.expr))
        sparse = [(name, s.fill) for name in names if not (s := self.known[name]).pattern.format.is_dense]
        *parts, rest = _narrowed(statement, tuple(sparse))
        for part in parts:
            made = self._single(part, None, None)
            self.known[part.target.tensor] = made if isinstance(made, Storage) else Storage.from_dense(made)
        return self._single(rest, wanted, dtype)

    def _single(self, statement: Assign, wanted: Format | None, dtype: str | None) -> Result:
        renamed, tensors = canonical(statement)
        storages = [self.known[name] for name in tensors]
        dtype = dtype or result_type(renamed, storages)
        if self.observe is not None:
            self.observe((statement,), prepare(renamed, storages, wanted, dtype), storages)
        return self.evaluate(renamed, storages, wanted, dtype)


@lru_cache(maxsize=4096)
def _narrowed(statement: Assign, sparse: tuple[tuple[str, Fill], ...]) -> tuple[Assign, ...]:
    return narrowed(statement, dict(sparse))


@lru_cache(maxsize=4096)
def _expanded(
    statement: Assign, facts: tuple[tuple[str, tuple[int, ...], Fill | None], ...], refuses: bool
) -> tuple[Assign, ...]:
    """The statement with its absent entries counted in; `facts`: each tensor's name, shape, and fill if it is sparse.

    `refuses`: a sparse result that is not 0 where nothing is stored.
    """
    extents = check_extents(statement, {name: shape for name, shape, _ in facts})
    fills = {name: fill for name, _, fill in facts if fill is not None}
    if refuses:
        _refuse_filling(statement, fills, extents)
    return with_absent_entries(statement, fills, extents)


def result_type(statement: Assign, operands: Sequence[Storage]) -> str:
    """The number type of a statement over operands A, B, ...: torch's promotion; sums of truth values count."""
    return _result_type(statement, tuple([Kind(s.dtype, 2 if s.pattern.shape else 1) for s in operands]))


@lru_cache(maxsize=4096)
def _result_type(statement: Assign, operands: tuple[Kind, ...]) -> str:
    return type_of(statement, dict(zip(operand_names(len(operands)), operands, strict=False)))


def _refuse_filling(statement: Assign, fills: Mapping[str, Fill], extents: Mapping[str, int]) -> None:
    """UnsupportedError for a sparse result whose absent entries would not be 0, where no operand's fill says so."""
    value = absent_value(statement.expr, fills)
    if not fills or value is None or value == ABSENT or statement.reduced or any(fill != 0 for fill in fills.values()):
        return
    if value.value != 0:
        places = math.prod(extents[v] for v in statement.target.indices)
        raise UnsupportedError(
            f"{statement} is {value} where nothing is stored, at most of {places:,} places; ask for a dense result "
            f"with out_format='dense' (about {bytes_text(places * 4)}), or for the stored entries alone with "
            "where(stored(...), ..., absent)"
        )
