"""One statement over the entries of operands A, B, ...: by a kernel, by two of them, or by torch."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from operator import methodcaller
from pathlib import Path
from typing import TypeAlias, TypeGuard

import numpy as np
import torch

from scorch import blocked
from scorch.config import config
from scorch.emit.jit import compile_kernel
from scorch.engine.alike import made_alike, remember_for_others, sketch
from scorch.engine.autotune import tuned
from scorch.engine.kept import find, remember, settings
from scorch.engine.problem import problem_of
from scorch.engine.program import Program, Result, explained, in_room
from scorch.formats import Format, Pattern, Storage, dense, dtypes
from scorch.formats.memory import check_memory
from scorch.formats.storage import Values, as_tensor, hold
from scorch.ir.einsum import operand_names
from scorch.ir.entries import over_values
from scorch.ir.notation import Assign, check_extents
from scorch.ir.plan import Alternative, Entrywise, Handover, Plan, Split
from scorch.schedule.path import contract, described, renamed

__all__ = ["AnyProgram", "Chain", "Delegated", "Fill", "OverValues", "choices", "evaluate", "prepare"]

Fill: TypeAlias = "bool | int | float | complex"


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


def prepare(
    statement: Assign,
    operands: Sequence[Storage],
    wanted: Format | None = None,
    dtype: str | None = None,
    onto: str | None = None,
    choice: str | None = None,
) -> AnyProgram:
    """The program of a statement over operands A, B, ... in this order, from the cache if it was made before.

    `choice` asks for a plan by its description, one of `choices`. ScheduleError if there is none.
    """
    key = (statement, tuple([storage.key for storage in operands]), wanted, dtype, onto, choice, settings())
    found: AnyProgram | None = find(key)
    if found is None:
        found = None
        if onto is None and choice is None:
            found = _entrywise(statement, operands, wanted, dtype) or blocked.prepared(
                statement, operands, wanted, dtype
            )
        if found is None and choice is None:
            found = _alike(statement, operands, wanted, dtype, onto)
        if found is None:
            found = in_room(lambda: _scheduled(statement, operands, wanted, dtype, onto, choice))
        remember(key, found, operands)
    return found


def _alike(
    statement: Assign, operands: Sequence[Storage], wanted: Format | None, dtype: str | None, onto: str | None
) -> AnyProgram | None:
    """The program of a plan that was made for operands like these, or else of one that serves others like them."""
    seen = sketch(statement, operands, wanted, dtype, onto)
    if seen is None:
        return None
    found: AnyProgram | None = made_alike(seen, operands)
    if found is None:
        found = in_room(lambda: _scheduled(statement, operands, wanted, dtype, onto, None))
        if isinstance(found, Program):
            remember_for_others(seen, found)
    return found


def _scheduled(
    statement: Assign,
    operands: Sequence[Storage],
    wanted: Format | None,
    dtype: str | None,
    onto: str | None,
    choice: str | None,
) -> AnyProgram:
    """The program of the plan that is expected, or with autotuning was measured, to be the fastest."""
    problem = problem_of(statement, operands, wanted, dtype, onto=onto, choice=choice)
    plan = contract(problem)
    if config.autotune and config.jit and choice is None:
        plan = tuned(problem, plan, operands, lambda each: _program(each, operands, wanted, onto))
    return _program(plan, operands, wanted, onto)


def choices(
    statement: Assign, operands: Sequence[Storage], wanted: Format | None = None, dtype: str | None = None
) -> tuple[Alternative, ...]:
    """Every plan of a statement that may be asked for by `choice`, cheapest first by the estimate."""
    return described(problem_of(statement, operands, wanted, dtype))


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
        self.stored: int | None = None
        self.source, self.path = str(plan), None

    def __call__(self, vals: list[Values]) -> Result:
        bound = zip(self.patterns, vals, self.dtypes, strict=True)
        storages = [Storage.of_vals(pattern(), val, dtype) for pattern, val, dtype in bound]
        left, right = self.plan.pair
        dtype = dtypes.computed(self.plan.dtype)
        product = evaluate(self.plan.first, [storages[left], storages[right]], self.plan.format, dtype)
        if isinstance(product, torch.Tensor):
            product = Storage.from_dense(product)
        others = [storage for n, storage in enumerate(storages) if n not in self.plan.pair]
        result = evaluate(self.plan.rest, [product, *others], self.wanted, self.plan.dtype, self.onto)
        self.stored = result.pattern.nnz if isinstance(result, Storage) else None
        return result


class Delegated:
    """A dense expression that torch computes."""

    def __init__(self, plan: Handover, operands: Sequence[Storage]) -> None:
        self.plan = plan
        self.dtypes = [storage.dtype for storage in operands]
        self._shapes = [storage.pattern.shape for storage in operands]
        self._shaped = [_shape(storage.pattern) for storage in operands]
        shapes = {name: s.pattern.shape for name, s in zip(operand_names(len(operands)), operands, strict=False)}
        extents = check_extents(plan.statement, shapes)
        self.shape = tuple(extents[v] for v in plan.statement.target.indices)
        self.stored = None
        self.source, self.path = str(plan), None
        self._product = _as_matrices(plan.notation) or partial(torch.einsum, plan.notation)

    def __call__(self, vals: list[Values]) -> Result:
        dtype = dtypes.to_torch(self.plan.dtype)
        bound = zip(self._shapes, self._shaped, vals, self.dtypes, strict=True)
        check_memory(math.prod(self.shape) * dtype.itemsize, f"a dense result of shape {self.shape}")
        dense = [
            val if _is_plain(val, shape, dtype) else shaped(as_tensor(val, name)).to(dtype)
            for shape, shaped, val, name in bound
        ]
        try:
            return self._product(*dense).contiguous()
        except (MemoryError, RuntimeError) as error:
            raise explained(error, self.plan.statement, self.shape, "dense") from None


def _is_plain(val: Values, shape: tuple[int, ...], dtype: torch.dtype) -> TypeGuard[torch.Tensor]:
    """Whether values are a tensor of this shape and number type already, that wants no gradient."""
    return isinstance(val, torch.Tensor) and val.shape == shape and val.dtype == dtype and not val.requires_grad


def _as_matrices(notation: str) -> Callable[[torch.Tensor, torch.Tensor], torch.Tensor] | None:
    """An einsum that is one product of matrices, which torch.mm starts sooner; None for any other.

    >>> a, b = torch.rand(2, 3), torch.rand(4, 3)
    >>> _as_matrices("ac,bc->ba")(a, b).shape, _as_matrices("abc,c->ab")
    (torch.Size([4, 2]), None)
    """
    left, right, target = notation.replace("->", ",").split(",")
    summed = set(left) & set(right) - set(target)
    if not len(set(left)) == len(set(right)) == len(left) == len(right) == len(target) == 2 or len(summed) != 1:
        return None
    if target[0] not in left:
        product = _as_matrices(f"{right},{left}->{target}")
        return None if product is None else lambda a, b: product(b, a)
    over = summed.pop()
    turns = left[0] == over, right[1] == over
    return lambda a, b: torch.mm(a.t() if turns[0] else a, b.t() if turns[1] else b)


def _shape(pattern: Pattern) -> Callable[[torch.Tensor], torch.Tensor]:
    """What gives a dense operand's flat values its shape."""
    if pattern.strides is not None:
        return methodcaller("as_strided", pattern.shape, pattern.strides)
    order = pattern.format.order
    stored = [pattern.shape[d] for d in order]
    if order == tuple(range(len(order))):
        return methodcaller("view", stored)
    dims = tuple(np.argsort(order).tolist())
    return lambda values: values.view(stored).permute(dims)


class OverValues:
    """A statement over operands of one pattern, computed on their values; the result has that pattern too."""

    def __init__(self, plan: Entrywise, program: AnyProgram, pattern: Pattern, fill: Fill) -> None:
        self.plan = plan
        self.program = program
        self.pattern = hold(pattern)
        self.fill = fill
        self.stored = pattern.nnz
        self.source: str = program.source
        self.path: Path | None = program.path

    def __call__(self, vals: list[Values]) -> Result:
        values = self.program(vals)
        assert isinstance(values, torch.Tensor)
        return Storage(self.pattern(), values, self.fill)


AnyProgram: TypeAlias = "Program | Chain | Delegated | OverValues | blocked.Recast"


def _program(
    plan: Plan | Split | Handover, operands: Sequence[Storage], wanted: Format | None, onto: str | None
) -> AnyProgram:
    if isinstance(plan, Split):
        return Chain(plan, operands, wanted, onto)
    if isinstance(plan, Handover):
        return Delegated(plan, operands)
    return Program(plan, compile_kernel(plan.kernel), operands)


def _entrywise(
    statement: Assign, operands: Sequence[Storage], wanted: Format | None, dtype: str | None
) -> OverValues | None:
    """The program on values alone, where all sparse operands have one pattern, or equal ones."""
    names = operand_names(len(operands))
    sparse = {name: s for name, s in zip(names, operands, strict=False) if not s.pattern.format.is_dense}
    patterns = [storage.pattern for storage in sparse.values()]
    if not patterns or not all(pattern.equals(patterns[0]) for pattern in patterns):
        return None
    pattern = patterns[0]
    if not pattern.format.is_unique or wanted not in (None, pattern.format):
        return None
    flat = over_values(statement, sparse.keys(), {name: storage.fill for name, storage in sparse.items()})
    if flat is None:
        return None
    problem = problem_of(statement, operands, wanted, dtype)
    values = [
        Storage.from_dense(s.values.reshape(-1)) if name in sparse else s
        for name, s in zip(names, operands, strict=False)
    ]
    program = prepare(flat, values, dense(1), problem.rounded)
    return OverValues(Entrywise(statement, flat, program.plan, pattern.format), program, pattern, problem.fill)
