"""What statements are worth, by torch on dense tensors: no plan, no loop, no sparsity.

Every value carries two masks: where it is *known* because an absent entry decided it, so that an annihilator decides
what it meets there, and where it is *gone*, as `absent` in a `where`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from typing import Any, TypeAlias

import torch

from scorch.formats import dtypes
from scorch.ir.absence import absent_value
from scorch.ir.notation import Access, Apply, Assign, Expr, Literal
from scorch.ir.operators import identity
from scorch.ir.statement import ABSENT, is_masked
from scorch.ir.views import Affine, Place, View
from scorch.tensor import Tensor
from scorch.testing.functions import annihilated, applied, common
from scorch.testing.tensors import as_dense

__all__ = ["Expected", "Grid", "reference"]

_OTHER = {
    torch.float16: torch.float32,
    torch.bfloat16: torch.float32,
    torch.float32: torch.float64,
    torch.float64: torch.float32,
    torch.complex64: torch.complex128,
    torch.complex128: torch.complex64,
    **dict.fromkeys((torch.uint8, torch.int8, torch.int16, torch.int32), torch.int64),
}
_TOLERANCE = {torch.float16: 2e-2, torch.bfloat16: 5e-2}
Scalar: TypeAlias = "bool | int | float | complex"


@dataclass(frozen=True)
class Grid:
    """A value at every place: a number, or a tensor with a dimension for each index (1 where it lacks the index)."""

    value: torch.Tensor | Scalar
    known: torch.Tensor
    gone: torch.Tensor

    @classmethod
    def of(cls, value: torch.Tensor | Scalar, known: torch.Tensor | None = None) -> Grid:
        """A value, known nowhere unless a mask is given."""
        nowhere = torch.zeros(value.shape if isinstance(value, torch.Tensor) else (), dtype=torch.bool)
        return cls(value, nowhere if known is None else known, nowhere)

    @property
    def fixed(self) -> torch.Tensor:
        """Where the value does not depend on stored entries: constants of the notation everywhere."""
        return self.known if isinstance(self.value, torch.Tensor) else torch.ones((), dtype=torch.bool)


@dataclass(frozen=True)
class Expected:
    """A result, and the places at which there is no other answer."""

    value: torch.Tensor
    certain: torch.Tensor
    tolerance: float


def reference(
    statements: Sequence[Assign],
    operands: Mapping[str, Tensor],
    views: Sequence[View] = (),
    extents: Mapping[str, int] | None = None,
) -> Expected:
    """The result of normalised statements over tensors, and over views of them for whose indices `extents` is given.

    A place is not certain where number types of another precision give something else, so that rounding or an overflow
    between decides, nor where infinities make a NaN or the sign of a zero an infinity, nor where the result depends on
    whether a temporary stores some place: the order of operations is the schedule's to choose.

    >>> import scorch
    >>> from scorch.ir.normalise import normalise
    >>> from scorch.ir.parse import parse_statements
    >>> A = scorch.from_coo([[0, 1], [1, 1]], [2.0, 3.0], (2, 2))
    >>> reference(normalise(parse_statements("y[i] = A[i,k] * 0.5")), {"A": A}).value
    tensor([1.0000, 1.5000])
    """
    plain = {name: _operand(x) for name, x in operands.items()}
    plain |= {str(view): _viewed(view, plain, operands[view.tensor], extents or {}) for view in views}
    fills = {name: x.fill for name, x in operands.items() if not x.format.is_dense}
    other = {name: replace(grid, value=_converted(grid.value)) for name, grid in plain.items()}
    first = _run(statements, plain, fills, _Order())
    others = [
        _run(statements, plain, fills, _Order(keep=False)),
        _run(statements, plain, fills, _Order(filled=True)),
        _run(statements, plain, fills, _Order(zeros_last=True)),
        _run(statements, other, fills, _Order()),
        _run(statements, other, fills, _Order(keep=False)),
    ]
    kinds = [
        grid.value.dtype for grid in (*plain.values(), Grid.of(first.value)) if isinstance(grid.value, torch.Tensor)
    ]
    tolerance = max(_TOLERANCE.get(kind, 1e-4) for kind in kinds)
    certain = torch.ones(first.value.shape, dtype=torch.bool)
    for run in others:
        certain &= close(first.value, run.value, tolerance)
    if first.infinite:
        # 0 times an infinity: factors that leave a sum are met once, and entries stored twice may be met one by one
        once = all(x.format.is_unique for x in operands.values())
        certain &= ~torch.isnan(first.value) if once else torch.isfinite(first.value)
    if any(x.fill != 0 for x in operands.values()):
        certain &= ~first.gone  # what a result leaves out reads as its fill
    return Expected(first.value, certain, tolerance)


def close(left: torch.Tensor, right: torch.Tensor, tolerance: float) -> torch.Tensor:
    """Where two tensors agree up to a tolerance, absolute for small values; NaN agrees with NaN. Integers agree
    modulo what the type of the left ones holds."""
    wide = torch.complex128 if left.is_complex() or right.is_complex() else torch.float64
    if not any(x.is_floating_point() or x.is_complex() for x in (left, right)):
        return left == right.to(left.dtype)
    return torch.isclose(left.to(wide), right.to(wide), rtol=tolerance, atol=tolerance, equal_nan=True)


def _is_infinite(value: torch.Tensor | Scalar) -> bool:
    return bool(torch.as_tensor(value).isinf().any())


def _operand(x: Tensor) -> Grid:
    known = torch.zeros(x.shape, dtype=torch.bool)
    if not x.format.is_dense:
        known[:] = True
        known[tuple(x.coords().to(torch.int64))] = False
    return Grid.of(as_dense(x), known)


def _viewed(view: View, grids: Mapping[str, Grid], x: Tensor, extents: Mapping[str, int]) -> Grid:
    """A view, a dimension for each of its indices: every place is looked up; outside of the tensor is its fill."""
    numbers = torch.meshgrid(*(torch.arange(extents[v]) for v in view.indices), indexing="ij")
    at = dict(zip(view.indices, numbers, strict=True))
    inside = torch.ones(numbers[0].shape, dtype=torch.bool)
    places: list[torch.Tensor] = []
    for place, extent in zip(view.places, x.shape, strict=True):
        where = _place(place, at, grids)
        inside &= (where >= 0) & (where < extent)
        places.append(where)
    value, known = torch.full(inside.shape, x.fill, dtype=x.dtype), torch.ones_like(inside)
    found = tuple(where[inside] for where in places)
    source = grids[view.tensor]
    assert isinstance(source.value, torch.Tensor)
    value[inside], known[inside] = source.value[found], source.known[found]
    return Grid.of(value, known & torch.tensor(not x.format.is_dense))  # a dense tensor is padded with its fill


def _place(place: Place, at: Mapping[str, torch.Tensor], grids: Mapping[str, Grid]) -> torch.Tensor:
    """The coordinates at which a dimension is read."""
    if isinstance(place, Affine):
        total = torch.full(next(iter(at.values())).shape, place.offset)
        for index, factor in place.terms:
            total = total + factor * at[index]
        return total
    held = grids[place.tensor].value
    assert isinstance(held, torch.Tensor)
    return held.to(torch.int64)[tuple(at[v] for v in place.indices)]


def _converted(value: torch.Tensor | Scalar) -> torch.Tensor | Scalar:
    return value.to(_OTHER.get(value.dtype, value.dtype)) if isinstance(value, torch.Tensor) else value


@dataclass(frozen=True)
class _Order:
    """What an order of operations decides: whether temporaries `keep` what is absent (else they store every place),
    whether what is left out reads as what is `filled` in where nothing is stored, if that isn't 0, and whether zeros
    are positive and met as they come, or negative and the last factors of a product."""

    keep: bool = True
    filled: bool = False
    zeros_last: bool = False

    def signed(self, value: torch.Tensor | Scalar) -> torch.Tensor | Scalar:
        """The value, its zeros of the sign that this order gives them."""
        zero = -0.0 if self.zeros_last else 0.0
        if isinstance(value, torch.Tensor):
            return value.masked_fill(value == 0, zero) if value.is_floating_point() else value
        return zero if isinstance(value, float) and value == 0 else value

    def product(self, value: torch.Tensor) -> torch.Tensor:
        """The product of the last dimension."""
        if not (self.zeros_last and (value.is_floating_point() or value.is_complex())):
            return torch.prod(value, -1, dtype=value.dtype)
        zero = value == 0
        return torch.prod(value.masked_fill(zero, 1), -1) * (~zero.any(-1)).to(value.dtype)


@dataclass(frozen=True)
class _Made:
    """A result: its values, the places that it leaves out, and whether an infinity was met on the way."""

    value: torch.Tensor
    gone: torch.Tensor
    infinite: bool


def _run(statements: Sequence[Assign], operands: Mapping[str, Grid], fills: Mapping[str, Any], order: _Order) -> _Made:
    """What the last statement makes."""
    found, fills = dict(operands), dict(fills)
    made, infinite = Grid.of(0), False
    for statement in statements:
        space = _Space(statement, found, fills, order)
        made = space.result()
        infinite |= space.infinite
        found[statement.target.tensor] = made
        fills[statement.target.tensor] = space.filled_in()
    assert isinstance(made.value, torch.Tensor)
    return _Made(made.value, made.gone, infinite)


class _Space:
    """The places of one statement: a dimension for each index that isn't a copy of another."""

    def __init__(self, statement: Assign, tensors: Mapping[str, Grid], fills: Mapping[str, Any], order: _Order) -> None:
        self.statement = statement
        self.tensors = tensors
        self.fills = fills
        self.order = order
        self.infinite = False  # an infinity was met
        self.copies = dict(statement.equal)
        self.indices = tuple(v for v in statement.indices if v not in self.copies)

    def result(self) -> Grid:
        """The target, whose indices are the first ones."""
        grid = self.evaluate(self.statement.expr)
        value = grid.value if isinstance(grid.value, torch.Tensor) else torch.tensor(grid.value)
        shape = torch.broadcast_shapes(  # type: ignore[no-untyped-call]
            value.shape, grid.known.shape, grid.gone.shape, (1,) * len(self.indices)
        )
        known, gone = (grid.known | grid.gone).expand(shape), grid.gone.expand(shape)
        outside = self.outside().expand(shape)
        rank = len(self.statement.target.indices)
        value, known, gone, outside = (
            x.expand(shape).flatten(rank) if len(shape) > rank else x.expand(shape)
            for x in (value, known, gone, outside)
        )
        if self.statement.reduced:
            value = self.reduced(value, gone)
            known, gone = known.all(-1), outside.all(-1)  # in the mask, what has no values is the identity
        elif len(shape) > rank:
            value, known, gone = (x[..., 0] for x in (value, known, gone))
        if not self.order.keep:
            return Grid(value, torch.zeros_like(known), torch.zeros_like(gone))
        # what is left out reads as 0, a reduction of nothing as its identity
        left = identity(self.statement.reduce, dtypes.name_of(value.dtype)) if self.statement.reduced else 0
        filled = self.filled_in() if self.order.filled and not self.statement.reduced else 0
        value = torch.where(gone, torch.tensor(filled or left).to(value.dtype), value)
        return Grid(value, known, gone & torch.tensor(not filled))

    def outside(self) -> torch.Tensor:
        """Where a masked reduction's mask has no entry, so that it has no value."""
        if not is_masked(self.statement):
            return torch.tensor(False)
        assert isinstance(self.statement.expr, Apply)
        return ~_truth(self.evaluate(self.statement.expr.args[0]))

    def filled_in(self) -> Any:
        """The value of every place at which no operand has an entry, 0 if that is not one value."""
        value = absent_value(self.statement.expr, self.fills)
        return 0 if value in (None, ABSENT) else value.value

    def reduced(self, value: torch.Tensor, gone: torch.Tensor) -> torch.Tensor:
        """The last dimension reduced over what isn't gone."""
        op = self.statement.reduce
        start = torch.tensor(identity(op, dtypes.name_of(value.dtype)), dtype=value.dtype)
        value = torch.where(gone, start, value)
        value = torch.cat([value, start.expand((*value.shape[:-1], 1))], -1)
        if op == "add":
            return torch.sum(value, -1, dtype=torch.int64 if value.dtype == torch.bool else value.dtype)
        if op == "mul":
            made = self.order.product(value)
            # a product of many numbers is infinite on the way to a factor 0, or meets the factor first
            self.infinite |= bool((made.isnan() & ~value.isnan().any(-1)).any())
            return made
        if op in ("max", "min"):
            return (torch.amax if op == "max" else torch.amin)(value, -1)
        return reduce(lambda a, b: applied(op, [a, b]), value.unbind(-1))

    def evaluate(self, expr: Expr) -> Grid:
        """The value of an expression at every place."""
        grid = self.evaluated(expr)
        self.infinite |= _is_infinite(grid.value)
        return replace(grid, value=self.order.signed(grid.value))

    def evaluated(self, expr: Expr) -> Grid:
        if isinstance(expr, Literal):
            return replace(Grid.of(False), gone=torch.tensor(True)) if expr == ABSENT else Grid.of(expr.value)
        if isinstance(expr, Access):
            return self.access(expr)
        args = [self.evaluate(arg) for arg in expr.args]
        if expr.op == "stored":
            return Grid(~(args[0].known | args[0].gone), args[0].known, torch.zeros_like(args[0].gone))
        if expr.op == "where":
            return _choice(*args)
        alike = common(*[arg.value for arg in args])
        # the terms of one sum are added in the type of all of them; a product has that of all its factors
        value = applied(expr.op, alike if expr.op == "add" else [arg.value for arg in args])
        value = value.to(alike[0].dtype) if expr.op == "mul" else value
        decided = torch.zeros((), dtype=torch.bool)
        for place, arg in enumerate(args):
            here = arg.known & ~decided & annihilated(expr.op, place, alike[place])
            negated = expr.op == "sub" and place == 1
            if here.any():
                deciding, value = common(-arg.value if negated else arg.value, value)
                value = torch.where(here, deciding, value)
            decided = decided | here
        fixed = reduce(torch.logical_and, [arg.fixed for arg in args])
        some = reduce(torch.logical_or, [arg.known for arg in args])
        return Grid(value, decided | (fixed & some), reduce(torch.logical_or, [arg.gone for arg in args]))

    def access(self, access: Access) -> Grid:
        """A tensor's value, its dimensions where their indices are; the diagonal of repeated ones."""
        grid = self.tensors[access.tensor]
        return Grid(*(self.placed(x, access) for x in (grid.value, grid.known, grid.gone)))  # type: ignore[arg-type]

    def placed(self, x: torch.Tensor, access: Access) -> torch.Tensor:
        names = [self.copies.get(v, v) for v in access.indices]
        while repeated := [v for v in names if names.count(v) > 1]:
            first = names.index(repeated[0])
            second = names.index(repeated[0], first + 1)
            x = x.diagonal(0, first, second)  # comes last
            names = [v for n, v in enumerate(names) if n not in (first, second)] + [repeated[0]]
        if not names:
            return x
        present = [v for v in self.indices if v in names]
        shape = iter(x.permute([names.index(v) for v in present]).shape)
        return x.permute([names.index(v) for v in present]).reshape(
            [next(shape) if v in present else 1 for v in self.indices]
        )


def _truth(condition: Grid) -> torch.Tensor:
    """Where a condition holds."""
    value = condition.value
    return value.bool() if isinstance(value, torch.Tensor) else torch.tensor(bool(value))


def _choice(condition: Grid, yes: Grid, no: Grid) -> Grid:
    """where(condition, yes, no): a known condition chooses what is known of the branch."""
    truth = _truth(condition)
    left, right = common(yes.value, no.value)
    chosen = torch.where(truth, yes.fixed, no.fixed) & condition.known
    same = (left == right) | ((left != left) & (right != right))
    gone = torch.where(truth, yes.gone, no.gone)
    return Grid(torch.where(truth, left, right), chosen | (yes.known & no.known & same), gone)
