"""The differentiable evaluate and compute: derivatives are statements, so that a backward pass calls this module again.

A dense operand has a dense gradient; a sparse one has a gradient for each stored value, on its own pattern, and never a
dense one. Conversions and transpositions are kept on patterns, so that a backward pass repeats none.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

import numpy as np
import torch
from torch.autograd import forward_ad
from torch.autograd.function import FunctionCtx

from scorch import engine
from scorch.blocked import readable
from scorch.engine import Observer
from scorch.errors import UnsupportedError
from scorch.formats import Format, Pattern, Storage, dense
from scorch.formats.coordinates import coordinates
from scorch.ir.canonical import canonical
from scorch.ir.derivative import ZERO, adjoint, is_product, masked
from scorch.ir.einsum import operand_names
from scorch.ir.notation import Access, Apply, Assign, Expr, accesses
from scorch.reorder import is_plain, reorder

__all__ = ["Call", "compute", "evaluate", "is_recorded", "recording", "transforming"]

Result: TypeAlias = "Storage | torch.Tensor"
GRAD, OUT, MASK = "_grad", "_out", "_mask"
HELPERS = ("_count", "_product")
WORTH_TRANSPOSING = 1000  # stored values: a smaller operand may be read against its order


def recording() -> bool:
    """Whether torch may want more of an operation than its value: gradients, tangents, or a function transform."""
    return torch.is_grad_enabled() or transforming()


def transforming() -> bool:
    """Whether a function transform or forward differentiation is under way."""
    return torch._C._are_functorch_transforms_active() or forward_ad._current_level >= 0


def is_recorded(values: torch.Tensor) -> bool:
    """Whether an operation on these values has to be recorded, given that `recording()`."""
    return values.requires_grad or transforming()


def evaluate(
    statement: Assign,
    operands: Sequence[Storage],
    wanted: Format | None = None,
    dtype: str | None = None,
    onto: str | None = None,
) -> Result:
    """engine.evaluate, recorded for differentiation where torch wants that."""
    if not (recording() and any(is_recorded(storage.values) for storage in operands)):
        return engine.evaluate(statement, operands, wanted, dtype, onto)
    if onto is None:
        operands = [storage if is_plain(storage.pattern.format) else readable(storage) for storage in operands]
    if onto is None and _must_be_sorted(statement, operands, wanted):
        operands = [_sorted(storage) for storage in operands]
    parts = tuple([(storage.pattern, storage.fill) for storage in operands])
    return Call(statement, parts, wanted, dtype, onto)(*[storage.values for storage in operands])


def compute(
    statements: Sequence[Assign],
    operands: Mapping[str, Storage],
    wanted: Format | None = None,
    dtype: str | None = None,
    observe: Observer | None = None,
) -> Result:
    """engine.compute, recorded for differentiation where torch wants that."""
    recorded = recording() and any(is_recorded(storage.values) for storage in operands.values())
    if not recorded and observe is None:
        return engine.replayed(statements, operands, wanted, dtype)
    return engine.compute(statements, operands, wanted, dtype, observe, evaluate if recorded else None)


def _must_be_sorted(statement: Assign, operands: Sequence[Storage], wanted: Format | None) -> bool:
    """Whether a gradient would have to walk unsorted or repeated coordinates together with others."""
    loose = [storage for storage in operands if not _is_sorted(storage.pattern.format)]
    if not loose:
        return False
    sparse = [n for n, storage in enumerate(operands) if not storage.pattern.format.is_dense]
    if len(sparse) > 1 or wanted is not None or not is_product(statement.expr):
        return True
    mine, target = set(_access(statement, sparse[0]).indices), set(statement.target.indices)
    return mine != target and (mine <= target or len(mine & target) > 1)


def _is_sorted(format: Format) -> bool:
    return format.is_dense or (format.is_ordered and format.is_unique)


def _sorted(storage: Storage) -> Storage:
    """The storage with sorted, unique coordinates; differentiable."""
    if _is_sorted(storage.pattern.format):
        return storage
    moved = reorder(storage.pattern, storage.pattern.format.sorted)
    return Storage(moved.pattern, moved.values(storage.values, storage.fill), storage.fill)


def _access(statement: Assign, number: int) -> Access:
    """How a statement reads operand `number`."""
    count = len({access.tensor for access in accesses(statement.expr)})
    name = operand_names(count)[number]
    return next(access for access in accesses(statement.expr) if access.tensor == name)


@dataclass(eq=False)
class Call:
    """A statement with the patterns and fills of its operands; called with their values.

    `made` is the pattern and fill of the result, None if it is a torch tensor; known once the call has run.
    """

    statement: Assign
    parts: tuple[tuple[Pattern, Any], ...]
    wanted: Format | None
    dtype: str | None
    onto: str | None
    made: tuple[Pattern, Any] | None = field(default=None)

    def __call__(self, *values: torch.Tensor) -> Result:
        result: torch.Tensor = _Evaluate.apply(self, *values)  # type: ignore[no-untyped-call]
        return result if self.made is None else Storage(self.made[0], result, self.made[1])

    def run(self, values: Sequence[torch.Tensor]) -> torch.Tensor:
        """The values of the result, not recorded."""
        result = engine.evaluate(self.statement, self.storages(values), self.wanted, self.dtype, self.onto)
        if isinstance(result, torch.Tensor):
            return result
        self.made = result.pattern, result.fill
        return result.values

    def storages(self, values: Sequence[torch.Tensor]) -> list[Storage]:
        return [self.storage(number, value) for number, value in enumerate(values)]

    def storage(self, number: int, values: torch.Tensor) -> Storage:
        """An operand with these values."""
        pattern, fill = self.parts[number]
        return Storage.like(pattern, values) if pattern.format.is_dense else Storage(pattern, values, fill)

    @property
    def is_linear(self) -> bool:
        return is_product(self.statement.expr) and self.statement.reduce == "add"

    # --- gradients ----------------------------------------------------------------------------------------

    def gradient(self, number: int, grad: torch.Tensor, out: torch.Tensor | None, values: Sequence[Any]) -> Any:
        """The gradient of the values of operand `number`, given that of the result's; None for none.

        Of a complex statement it is, as torch has it, the incoming gradient times the conjugate of the derivative:
        both conjugated, the derivative itself.
        """
        if grad.is_complex():
            found = self._pulled_back(number, grad.conj().resolve_conj(), out, values)
            return None if found is None else found.conj().resolve_conj()
        return self._pulled_back(number, grad, out, values)

    def _pulled_back(self, number: int, grad: torch.Tensor, out: torch.Tensor | None, values: Sequence[Any]) -> Any:
        """The incoming gradient times the derivative by operand `number`."""
        statement, access = self.statement, _access(self.statement, number)
        target = statement.target
        known = {_access(statement, n).tensor: self.storage(n, v) for n, v in enumerate(values) if v is not None}
        known[GRAD] = self._result(grad)
        if out is not None:
            known[OUT] = self._result(out)
        before, expr = adjoint(statement, access, Access(GRAD, target.indices), Access(OUT, target.indices), HELPERS)
        if expr == ZERO:
            return None
        for part in before:
            made = compute((part,), known)
            known[part.target.tensor] = made if isinstance(made, Storage) else Storage.from_dense(made)
        pattern = self.parts[number][0]
        if pattern.format.is_dense:
            return _onto_dense(statement, access, expr, known, pattern.shape)
        return _onto_pattern(statement, access, expr, known, pattern)

    def _result(self, values: torch.Tensor) -> Storage:
        """Values of the result, or of its gradient, as an operand: absent entries have none."""
        return Storage.from_dense(values) if self.made is None else Storage(self.made[0], values)

    def tangent(self, values: Sequence[torch.Tensor], tangents: Sequence[torch.Tensor | None]) -> torch.Tensor | None:
        """The directional derivative of the result's values."""
        terms = [self._tangent(n, t, values) for n, t in enumerate(tangents) if t is not None]
        return sum(terms[1:], terms[0]) if terms else None

    def _tangent(self, number: int, tangent: torch.Tensor, values: Sequence[torch.Tensor]) -> torch.Tensor:
        """What one operand's tangent contributes: the statement with it in the operand's place."""
        if not self.is_linear:
            raise UnsupportedError(
                f"forward-mode derivatives are those of products, which {self.statement} is not; use grad or vjp"
            )
        statement, names = self.statement, operand_names(len(values))
        known = {name: self.storage(n, value) for n, (name, value) in enumerate(zip(names, values, strict=False))}
        known[names[number]] = self.storage(number, tangent)
        if self.made is None:
            made = _named(statement, known, dense(len(statement.target.indices)))
            assert isinstance(made, torch.Tensor)
            return made
        mask = Access(MASK, statement.target.indices)
        known[MASK] = _mask(self.made[0])
        masked_ = replace(statement, expr=_product(mask, statement.expr))
        made = _named(masked_, known, self.made[0].format, mask)
        assert isinstance(made, Storage)
        return made.values

    # --- batches ------------------------------------------------------------------------------------------

    def can_batch(self, batched: Sequence[bool]) -> bool:
        """Whether a batch is one more index: that of dense operands, in a product with a dense result."""
        dense_only = all(part.format.is_dense for (part, _), b in zip(self.parts, batched, strict=True) if b)
        return self.is_linear and dense_only and self.wanted is None and self.onto is None

    def batched(self, batched: Sequence[bool], shapes: Sequence[tuple[int, ...]]) -> Call:
        """The call over operands with a batch in front."""
        names = [_access(self.statement, n).tensor for n, b in enumerate(batched) if b]
        statement = self.statement
        index = "b0" if "b0" not in statement.indices else "b00"
        by = {a: Access(a.tensor, (index, *a.indices)) for a in accesses(statement.expr) if a.tensor in names}
        factors = statement.expr.args if isinstance(statement.expr, Apply) else (statement.expr,)
        moved = tuple(by.get(factor, factor) for factor in factors if isinstance(factor, Access))
        target = Access(statement.target.tensor, (index, *statement.target.indices))
        expr: Expr = Apply("mul", moved) if len(moved) > 1 else moved[0]
        parts = tuple(
            (Storage.from_dense(torch.empty(shape)).pattern, fill) if b else (pattern, fill)
            for (pattern, fill), b, shape in zip(self.parts, batched, shapes, strict=True)
        )
        return replace(self, statement=replace(statement, target=target, expr=expr), parts=parts, made=None)


class _Evaluate(torch.autograd.Function):
    """The values of a statement's result as a function of those of its operands."""

    @staticmethod
    def forward(call: Call, *values: torch.Tensor) -> torch.Tensor:
        return call.run(values)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: torch.Tensor) -> None:
        call, *values = inputs
        ctx.call = call
        ctx.is_real = [not value.is_complex() for value in values]
        ctx.set_materialize_grads(False)
        wanted = [n for n, needed in enumerate(ctx.needs_input_grad[1:]) if needed]
        if call.is_linear and len(wanted) == 1:  # the derivative of a product has no use for the operand itself
            kept = [None if n == wanted[0] else value for n, value in enumerate(values)]
        else:
            kept = values
        ctx.save_for_backward(*kept, None if call.is_linear else output)
        ctx.save_for_forward(*values)

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor | None) -> tuple[Any, ...]:
        (grad,) = grads
        if grad is None:
            return (None,) * len(ctx.needs_input_grad)
        *values, out = ctx.saved_tensors
        for pattern, _ in ctx.call.parts:
            pattern.check_unchanged()
        found = [
            ctx.call.gradient(n, grad, out, values) if needed else None
            for n, needed in enumerate(ctx.needs_input_grad[1:])
        ]
        if grad.is_complex():  # a real operand moves along the real axis alone
            found = [g.real if g is not None and real else g for g, real in zip(found, ctx.is_real, strict=True)]
        return (None, *found)

    @staticmethod
    def jvp(ctx: FunctionCtx, *tangents: Any) -> Any:
        _, *moved = tangents
        return ctx.call.tangent(ctx.saved_tensors, moved)  # type: ignore[attr-defined]

    @staticmethod
    def vmap(info: Any, in_dims: tuple[int | None, ...], call: Call, *values: torch.Tensor) -> tuple[Any, int]:
        dims = in_dims[1:]
        batched = [dim is not None for dim in dims]
        if not call.can_batch(batched):
            return _each(info.batch_size, dims, call, values), 0
        moved = [v if dim is None else v.movedim(dim, 0) for v, dim in zip(values, dims, strict=True)]
        wider = call.batched(batched, [tuple(value.shape) for value in moved])
        result = wider(*moved)
        if isinstance(result, torch.Tensor):
            return result, 0
        return _each(info.batch_size, dims, call, values), 0


def _each(count: int, dims: Sequence[int | None], call: Call, values: Sequence[torch.Tensor]) -> torch.Tensor:
    """The results of a batch, one after the other."""
    found = []
    for n in range(count):
        result = call(*[v if dim is None else v.select(dim, n) for v, dim in zip(values, dims, strict=True)])
        found.append(result if isinstance(result, torch.Tensor) else result.values)
    return torch.stack(found)


# --- gradient statements ----------------------------------------------------------------------------------


def _onto_dense(
    statement: Assign, access: Access, expr: Expr, known: dict[str, Storage], shape: tuple[int, ...]
) -> torch.Tensor:
    """The gradient of a dense operand: summed where it lacks indices, spread over those that only it has."""
    copies = dict(statement.equal)
    own = [v for v in access.indices if v not in copies]
    there = {v for a in accesses(expr) for v in a.indices}
    target = tuple(v for v in own if v in there)
    equal = tuple((first, second) for first, second in statement.equal if first in there)
    _transpose(expr, target, known)
    gradient = _named(Assign(Access("_d", target), expr, "add", equal), known, dense(len(target)))
    assert isinstance(gradient, torch.Tensor)
    for place, v in enumerate(own):
        if v not in target:
            gradient = gradient.unsqueeze(place)
    extents = dict(zip(access.indices, shape, strict=True))
    gradient = gradient.expand([extents[v] for v in own])
    for first in (v for v in access.indices if v in copies):
        gradient = torch.diag_embed(gradient.movedim(own.index(copies[first]), -1))
        own = [*(v for v in own if v != copies[first]), copies[first], first]
    return gradient.permute([own.index(v) for v in access.indices])


def _transpose(expr: Expr, target: tuple[str, ...], known: Mapping[str, Storage]) -> None:
    """Reorder sparse operands so that the result's indices come first, and keep that on their patterns.

    The schedule prices a conversion as if it served this call only; that of an operand serves every backward pass.
    """
    for access in dict.fromkeys(accesses(expr)):
        pattern = known[access.tensor].pattern
        if pattern.format.is_dense or access.tensor == GRAD or pattern.nnz < WORTH_TRANSPOSING:
            continue
        order = tuple(sorted(pattern.format.order, key=lambda d: access.indices[d] not in target))
        if order != pattern.format.order:
            reorder(pattern, pattern.format.reordered(order))


def _onto_pattern(
    statement: Assign, access: Access, expr: Expr, known: dict[str, Storage], pattern: Pattern
) -> torch.Tensor:
    """The gradient of the stored values of a sparse operand."""
    grad = Access(GRAD, statement.target.indices)
    if set(grad.indices) == set(access.indices) and len(grad.indices) == len(access.indices):
        # a result on the operand's own pattern, transposed perhaps
        dims = tuple(access.indices.index(v) for v in grad.indices)
        if pattern.permuted(dims) is known[GRAD].pattern:
            known[GRAD] = Storage(pattern, known[GRAD].values)
            expr, grad = _renamed(expr, grad, Access(GRAD, access.indices)), Access(GRAD, access.indices)
    if access in accesses(expr):
        mask = access
    elif known[GRAD].pattern is pattern and grad == Access(GRAD, access.indices):
        mask = grad
    else:
        mask = Access(MASK, access.indices)
        known[MASK] = _mask(pattern)
    factors = expr.args if isinstance(expr, Apply) and expr.op == "mul" else (expr,)
    if all(isinstance(factor, Access) for factor in factors):
        expr = expr if mask in factors else _product(mask, expr)
    else:
        expr = masked(expr, mask)
    copies = {v for v in access.indices if v in dict(statement.equal)}
    there = {v for a in accesses(expr) for v in a.indices}
    equal = tuple((first, second) for first, second in statement.equal if first in there and first not in copies)
    made = _named(Assign(Access("_d", access.indices), expr, "add", equal), known, pattern.format, mask)
    assert isinstance(made, Storage)
    values = made.values
    return _only_equal(values, pattern, statement, access) if copies else values


def _only_equal(values: torch.Tensor, pattern: Pattern, statement: Assign, access: Access) -> torch.Tensor:
    """0 where indices differ that must be equal: such entries were not read."""
    places = coordinates(pattern)
    met = np.ones(pattern.nnz, dtype=bool)
    for first, second in statement.equal:
        if first in access.indices:
            met &= places[access.indices.index(first)] == places[access.indices.index(second)]
    return torch.where(torch.from_numpy(met), values, 0)


def _product(left: Access, right: Expr) -> Apply:
    return Apply("mul", (left, *(right.args if isinstance(right, Apply) and right.op == "mul" else (right,))))


def _renamed(expr: Expr, old: Access, new: Access) -> Expr:
    if expr == old:
        return new
    return Apply(expr.op, tuple(_renamed(arg, old, new) for arg in expr.args)) if isinstance(expr, Apply) else expr


def _mask(pattern: Pattern) -> Storage:
    """A truth value for each entry of a pattern, kept there: no tensor's values, so that it cannot become stale."""
    found = pattern.cache.get("mask")
    if found is None:
        found = pattern.cache["mask"] = torch.ones(pattern.nnz, dtype=torch.bool)
    return Storage(pattern, found)


def _named(
    statement: Assign, known: Mapping[str, Storage], wanted: Format | None, onto: Access | None = None
) -> Result:
    """A statement over named operands, of which `onto` is the one whose pattern the result takes; differentiable."""
    statement, known = _multiplied(statement, known, onto)
    if onto is None and any(s.fill != 0 for s in known.values()):
        return compute((statement,), known, wanted)
    renamed, tensors = canonical(statement)
    storages = [known[tensor] for tensor in tensors]
    dtype = engine.result_type(renamed, storages)
    if onto is None:
        return evaluate(renamed, storages, wanted, dtype)
    place = list(dict.fromkeys(accesses(statement.expr))).index(onto)
    return evaluate(renamed, storages, wanted, dtype, operand_names(len(tensors))[place])


def _multiplied(
    statement: Assign, known: Mapping[str, Storage], onto: Access | None
) -> tuple[Assign, dict[str, Storage]]:
    """The statement, the factors of a product that share pattern and indices multiplied value by value first."""
    known = dict(known)
    if not (isinstance(statement.expr, Apply) and is_product(statement.expr)):
        return statement, known
    kept: dict[object, Access] = {}
    for factor in sorted(statement.expr.args, key=lambda factor: factor != onto):
        assert isinstance(factor, Access)
        pattern = known[factor.tensor].pattern
        key = (pattern.token, factor.indices) if not pattern.format.is_dense else factor
        if key not in kept:
            kept[key] = factor
            continue
        first = kept[key].tensor
        known[first] = Storage(pattern, _values_product(known[first].values, known[factor.tensor].values))
    factors = tuple(factor for factor in statement.expr.args if factor in kept.values())
    expr: Expr = factors[0] if len(factors) == 1 else Apply("mul", factors)
    return replace(statement, expr=expr), known


def _values_product(left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
    """Values times values; a mask's are all 1."""
    if torch.bool in (left.dtype, right.dtype):
        return right if left.dtype is torch.bool else left
    return left * right
