"""Statements in order, several to a kernel where that pays, with absent entries counted in."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from typing import TypeAlias

import torch

from scorch import reorder
from scorch.emit.jit import compile_kernel
from scorch.engine.expression import AnyProgram, Fill, evaluate, prepare
from scorch.engine.kept import find, remember, settings
from scorch.engine.problem import result_type
from scorch.engine.program import Program, Result, in_room
from scorch.errors import UnsupportedError
from scorch.formats import Format, Storage, csf, dtypes
from scorch.formats.memory import bytes_text
from scorch.formats.storage import Values, hold
from scorch.ir.absence import absent_value, contradiction
from scorch.ir.canonical import canonical, canonical_run
from scorch.ir.einsum import operand_names
from scorch.ir.narrow import narrowed
from scorch.ir.notation import Access, Apply, Assign, Expr, Literal, accesses, check_extents, substitute
from scorch.ir.reduction import onto_mask, with_absent_entries
from scorch.ir.statement import ABSENT, is_masked
from scorch.ir.types import Kind, counted
from scorch.runtime import threads
from scorch.schedule import fuse
from scorch.schedule.problem import Operand

__all__ = ["Filled", "Observer", "are_filled", "compute", "fused", "prepare_product"]

Observer: TypeAlias = Callable[[tuple[Assign, ...], AnyProgram, Sequence[Storage], Result], None]
Evaluate: TypeAlias = "Callable[[Assign, Sequence[Storage], Format | None, str | None, str | None], Result]"


def compute(
    statements: Sequence[Assign],
    operands: Mapping[str, Storage],
    wanted: Format | None = None,
    dtype: str | None = None,
    observe: Observer | None = None,
    run: Evaluate | None = None,
) -> Result:
    """Compute normalised statements over named operands, in order; the last one's result, in format `wanted`.

    `observe` is told each step that is done: its statements, its program, the program's operands and result. `run`
    evaluates each step in place of `evaluate`, the differentiable one, say; without it, statements may share a kernel.
    Raises UnsupportedError for a result that is not 0 where nothing is stored, if no operand's fill and no `wanted`
    asks for that.
    """
    known = dict(operands)
    result: Result = torch.empty(0)
    rest = _counted(tuple(statements), known)
    while rest:
        program, count = fused(rest, known, wanted, dtype) if run is None else (None, 1)
        last = count == len(rest)
        step = _Step(known, wanted if last else None, dtype if last else None, last, observe, run or evaluate)
        if program is None:
            result = step.run(rest[0] if last else _valued(rest[0], rest[1:], known))
        else:
            result = step.run_together(rest[:count], program)
        known[rest[count - 1].target.tensor] = _temporary(rest[count - 1], result, known)
        rest = rest[count:]
    return result


def _valued(statement: Assign, later: tuple[Assign, ...], known: Mapping[str, Storage]) -> Assign:
    """A temporary with a 0 in place of no value, where its entries alone would not tell the two apart."""
    read = dict.fromkeys(access.tensor for access in accesses(statement.expr))
    fills = tuple([(name, s.fill) for name in read if not (s := known[name]).pattern.format.is_dense])
    return _with_gaps_of_zero(statement, later, fills) if fills else statement


@lru_cache(maxsize=4096)
def _with_gaps_of_zero(statement: Assign, later: tuple[Assign, ...], fills: tuple[tuple[str, Fill], ...]) -> Assign:
    """A temporary that is not 0 where nothing is stored, with a 0 wherever it would have no value: such a place would
    read as one where nothing is stored. As it is if a later statement asks what the temporary stores."""
    value = absent_value(statement.expr, dict(fills))
    if statement.reduced or value is None or value.value in (0, ABSENT.value):
        return statement
    if any(_asks(each.expr, statement.target.tensor) for each in later):
        return statement
    return replace(statement, expr=_zeroed(statement.expr))


def _asks(expr: Expr, name: str) -> bool:
    """Whether an expression asks for entries of a tensor."""
    if not isinstance(expr, Apply):
        return False
    if expr.op == "stored" and any(access.tensor == name for access in accesses(expr)):
        return True
    return any(_asks(arg, name) for arg in expr.args)


def _zeroed(expr: Expr) -> Expr:
    """The expression with 0 for no value."""
    if isinstance(expr, Apply):
        return Apply(expr.op, tuple(_zeroed(arg) for arg in expr.args))
    return Literal(0) if expr == ABSENT else expr


def _counted(statements: tuple[Assign, ...], known: Mapping[str, Storage]) -> tuple[Assign, ...]:
    """Statements whose truth values beside numbers are numbers, whatever is left where entries are absent."""
    if all(s.pattern.format.is_dense for s in known.values()):
        return statements
    return counted(statements, tuple([(name, Kind(s.dtype, 2 if s.pattern.shape else 1)) for name, s in known.items()]))


def _temporary(statement: Assign, result: Result, known: Mapping[str, Storage]) -> Storage:
    """A result as later statements read it: one that leaves entries out has no value there, rather than the value 0."""
    if isinstance(result, torch.Tensor):
        return Storage.from_dense(result)
    deciding: Expr = statement.expr
    if statement.reduced and is_masked(statement) and isinstance(deciding, Apply):
        deciding = deciding.args[0]  # where the mask has an entry, a sum of nothing is its identity
    read = {access.tensor: known[access.tensor] for access in accesses(deciding) if access.tensor in known}
    fills = tuple((name, s.fill) for name, s in read.items() if not s.pattern.format.is_dense)
    masked = (not statement.reduced or is_masked(statement)) and _leaves_out(statement.expr, fills)
    return Storage(result.pattern, result.values, ABSENT.value) if masked else result


@lru_cache(maxsize=4096)
def _leaves_out(expr: Expr, fills: tuple[tuple[str, Fill], ...]) -> bool:
    """Whether an expression has no value wherever it has no entry: no operand alone gives it another one there."""
    alone = (absent_value(expr, {name: fill}) for name, fill in fills)
    return absent_value(expr, dict(fills)) == ABSENT and all(value in (None, ABSENT) for value in alone)


def fused(
    statements: tuple[Assign, ...], known: Mapping[str, Storage], wanted: Format | None, dtype: str | None
) -> tuple[Program | None, int]:
    """A program for as many of the first statements as make a kernel worth its while, and their number; or None and
    1."""
    for count in fuse.runs(statements):
        renamed, tensors = canonical_run(statements[:count])
        storages = [known[name] for name in tensors]
        end = (wanted, dtype) if count == len(statements) else (None, None)
        if not all(map(_is_readable, storages)) or not (end[0] is None or reorder.is_plain(end[0])):
            continue
        key = (renamed, tuple([storage.key for storage in storages]), *end, settings())
        program = find(key)
        if program is None:
            program = in_room(partial(_fused_program, renamed, storages, *end)) or _APART
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
    described = {
        name: Operand.of(name, s.pattern, s.dtype, s.fill, s.is_frozen)
        for name, s in zip(names, operands, strict=False)
    }
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
        result = program([storage.vals for storage in storages])
        if self.observe is not None:
            self.observe(statements, program, storages, result)
        return result

    def _kernel(self, statement: Assign, wanted: Format | None, dtype: str | None) -> Result:
        """A statement over entries by one kernel, or, where it would be too wide, by several."""
        names = dict.fromkeys(access.tensor for access in accesses(statement.expr))
        sparse = [(name, s.fill) for name in names if not (s := self.known[name]).pattern.format.is_dense]
        *parts, rest = _narrowed(statement, tuple(sparse))
        for part in parts:
            self.known[part.target.tensor] = self._part(part)
        return self._single(rest, wanted, dtype)

    def _part(self, statement: Assign) -> Storage:
        """A part of an expression, which must not store more than its operands do: what is absent annihilates."""
        made = self._single(statement, None, None)
        sparse = {
            a.tensor: s.fill for a in statement.accesses if not (s := self.known[a.tensor]).pattern.format.is_dense
        }
        padded = isinstance(made, torch.Tensor) or made.pattern.format.levels[-1].full
        if padded and statement.target.indices and absent_value(statement.expr, sparse) is not None:
            made = self._single(statement, csf(len(statement.target.indices)), None)
        return made if isinstance(made, Storage) else Storage.from_dense(made)

    def _over_sorted_mask(self, statement: Assign) -> Assign:
        """The statement over a sorted copy of its mask, if that is a list of coordinates as they come: a result takes
        the pattern of a mask that is sorted."""
        fills = {
            a.tensor: s.fill for a in statement.accesses if not (s := self.known[a.tensor]).pattern.format.is_dense
        }
        found = onto_mask(statement, fills)
        format = None if found is None else self.known[found[1].tensor].pattern.format
        if found is None or format is None or not reorder.is_plain(format) or _is_sorted(format):
            return statement
        mask = found[1]
        copy = Access(f"{mask.tensor}.sorted", mask.indices)
        made = self._single(Assign(copy, mask), format.sorted, None)
        self.known[copy.tensor] = made if isinstance(made, Storage) else Storage.from_dense(made)
        return replace(statement, expr=substitute(statement.expr, {mask: copy}))

    def _single(self, statement: Assign, wanted: Format | None, dtype: str | None) -> Result:
        statement = statement if wanted is not None else self._over_sorted_mask(statement)
        renamed, tensors = canonical(statement)
        storages = [self.known[name] for name in tensors]
        dtype = dtype or result_type(renamed, storages)
        renamed, wanted, onto = _onto_mask(renamed, storages, wanted)
        result = self.evaluate(renamed, storages, wanted, dtype, onto)
        if self.observe is not None:
            self.observe((statement,), prepare(renamed, storages, wanted, dtype, onto), storages, result)
        return result


def _onto_mask(
    statement: Assign, storages: Sequence[Storage], wanted: Format | None
) -> tuple[Assign, Format | None, str | None]:
    """A masked sum as one over entries of its terms, with its format and the operand whose pattern it takes, if any.

    Otherwise a sum of nothing, which is 0 under the mask, would take visits to all places of the mask for each index
    that is summed over.
    """
    names = operand_names(len(storages))
    formats = {name: s.pattern.format for name, s in zip(names, storages, strict=False)}
    fills = {name: s.fill for name, s in zip(names, storages, strict=False) if not s.pattern.format.is_dense}
    found = onto_mask(statement, fills)
    if found is None or not all(map(reorder.is_plain, formats.values())):
        return statement, wanted, None
    over_entries, mask = found
    if wanted is not None and wanted.is_dense:
        return over_entries, wanted, None
    format = formats[mask.tensor]
    own = format.permuted(tuple(mask.indices.index(v) for v in statement.target.indices))
    if wanted not in (None, own) or not _is_sorted(format):
        return statement, wanted, None
    return over_entries, own, mask.tensor


def _is_sorted(format: Format) -> bool:
    return format.is_unique and format.is_ordered


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
    doubtful = contradiction(statement.expr, fills)
    if doubtful is not None:
        raise UnsupportedError(
            f"{doubtful} is an infinity where one operand has no entry and its opposite where another has none, so "
            "that neither decides where both lack one; make one of them dense, with to_dense()"
        )
    if refuses:
        _refuse_filling(statement, fills, extents)
    return with_absent_entries(statement, fills, extents)


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


class Filled:
    """A statement over operands whose absent entries are not 0, which reductions have to count in."""

    def __init__(self, statement: Assign, operands: Sequence[Storage], wanted: Format | None) -> None:
        self.statement = statement
        self.names = operand_names(len(operands))
        self.operands = [(hold(storage.pattern), storage.dtype, storage.fill) for storage in operands]
        self.wanted = wanted

    def __call__(self, vals: list[Values], observe: Observer | None = None) -> Result:
        bound = zip(self.operands, vals, strict=True)
        storages = [Storage.of_vals(pattern(), val, dtype, fill) for (pattern, dtype, fill), val in bound]
        return compute((self.statement,), dict(zip(self.names, storages, strict=False)), self.wanted, observe=observe)


def prepare_product(statement: Assign, operands: Sequence[Storage], wanted: Format | None) -> AnyProgram | Filled:
    """The program of an einsum over operands A, B, ..., whatever their fills are."""
    return Filled(statement, operands, wanted) if are_filled(operands) else prepare(statement, operands, wanted)


def are_filled(operands: Sequence[Storage]) -> bool:
    """Whether an operand's absent entries are not 0."""
    return any(storage.fill != 0 and not storage.pattern.format.is_dense for storage in operands)
