"""Arithmetic and comparison of two tensors with broadcasting, where, and what follows from them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from numbers import Number
from typing import Any

import numpy as np
import torch

from scorch.errors import ShapeError, UnsupportedError
from scorch.formats import Storage
from scorch.formats.coordinates import coordinates, pack
from scorch.functions.indexing import values_at
from scorch.functions.registry import check_fill, implements
from scorch.functions.statement import access, broadcast, computed, index_names, narrowed
from scorch.functions.structure import Entries, assembled, carried, entries
from scorch.ir.operators import operator
from scorch.operand import as_storage
from scorch.tensor import Tensor, tensor

__all__ = ["aligned", "binary", "operand"]

Function = Callable[..., Any]


def operand(x: Any) -> Any:
    """What stands beside a sparse tensor: a number, a torch tensor or a sparse one."""
    if isinstance(x, Tensor | Number):
        return x
    if isinstance(x, torch.Tensor) and x.layout is torch.strided:
        return x
    if isinstance(x, np.generic):
        return x.item()
    made = tensor(as_storage(x))
    return made.to_dense() if made.format.is_dense else made


def fill_of(x: Any) -> Any:
    """The value of an operand where nothing is stored; a number stands for itself."""
    return x.fill if isinstance(x, Tensor) else x


def binary(name: str, op: str, text: str, function: Function, x: Any, other: Any) -> Any:
    """One operator on two operands, of which one at least is sparse.

    `op` is its name in the operator table, whose algebra says where nothing needs to be stored; `text` the expression
    of {0} and {1}; `function` torch's, for values that lie side by side already.
    """
    x, other = operand(x), operand(other)
    if not _has_dims(x) or not _has_dims(other):
        return _with_number(name, op, function, x, other)
    if isinstance(x, Tensor) and isinstance(other, Tensor):
        fill = absent(op, function, x, other)
        filled = check_fill(name, fill, x, other)
        if x._storage.pattern is other._storage.pattern:
            return Tensor(Storage(x._storage.pattern, function(x._storage.values, other._storage.values), fill))
        if filled:
            return aligned(name, function, x, other)
    shape = broadcast(x.shape, other.shape)
    names = index_names(len(shape))
    (a, first), (b, second) = (narrowed(part, shape, names) for part in (x, other))
    expression = text.format(access("A", first), access("B", second))
    return computed(f"{access('C', names)} = {expression}", A=a, B=b)


def _has_dims(x: Any) -> bool:
    return not isinstance(x, Number) and x.ndim > 0


def absent(op: str, function: Function, x: Any, other: Any) -> Any:
    """The value of a result where neither operand stores anything, as the compiler has it: 0 times infinity is 0."""
    a, b = fill_of(x), fill_of(other)
    if op:
        rule = operator(op)
        none = rule.annihilator
        annihilates = none is not None and any(isinstance(part, Tensor) and part.fill == none for part in (x, other))
        if annihilates and not isinstance(none, bool):
            return none
        if rule.zero_left and isinstance(x, Tensor) and x.fill == 0:
            return 0
    left, right = (
        _Number(number, repr(number), part.dtype if isinstance(part, Tensor) else None)
        for part, number in ((x, a), (other, b))
    )
    if isinstance(x, Tensor) and isinstance(other, Tensor):  # whose fills are Python's numbers
        return _kept_value(function, left, right, torch.get_default_dtype())
    return _value(function, left, right)


@dataclass(frozen=True, slots=True)
class _Number:
    """A number of an operand with this number type, if it has one; 0, 0.0 and -0.0 are different ones."""

    value: Any = field(compare=False)
    text: str
    dtype: torch.dtype | None

    def seen(self) -> Any:
        """The value as torch sees it in this operand, so that it promotes as the operand does."""
        return self.value if self.dtype is None else torch.full((1,), self.value, dtype=self.dtype)


def _value(function: Function, left: _Number, right: _Number) -> Any:
    return function(left.seen(), right.seen()).item()


@lru_cache(maxsize=1024)
def _kept_value(function: Function, left: _Number, right: _Number, default: torch.dtype) -> Any:
    del default  # part of the key only: results of integers have that type
    return _value(function, left, right)


def _with_number(name: str, op: str, function: Function, x: Any, other: Any) -> Any:
    """A sparse tensor and a number or a 0-d tensor: the function of the stored values."""
    x, other = (part.sum() if isinstance(part, Tensor) and not part.ndim else part for part in (x, other))
    sparse = x if isinstance(x, Tensor) else other
    values = [part._storage.values if isinstance(part, Tensor) else part for part in (x, other)]
    fill = absent(op, function, *(part.detach() if isinstance(part, torch.Tensor) else part for part in (x, other)))
    check_fill(name, fill, sparse)
    return Tensor(Storage(sparse._storage.pattern, function(*values), fill))


def aligned(name: str, function: Function, x: Any, other: Any) -> Any:
    """A function that the notation doesn't have, on two sparse tensors: of their values at the entries of either."""
    x, other = operand(x), operand(other)
    if not _has_dims(x) or not _has_dims(other):
        return _with_number(name, "", function, x, other)
    if not isinstance(x, Tensor) or not isinstance(other, Tensor):
        raise UnsupportedError(f"{name} of a sparse and a dense tensor is not available; use x.to_dense()")
    shape = broadcast(x.shape, other.shape)
    x, other = x.broadcast_to(shape), other.broadcast_to(shape)
    fill = absent("", function, x, other)
    check_fill(name, fill, x, other)
    either = pack(torch.cat([entries(x).coords, entries(other).coords], dim=1), shape).pattern
    coords = torch.from_numpy(coordinates(either))
    values = function(values_at(x, coords), values_at(other, coords))
    return assembled(values, Entries(coords), shape, carried(x, range(len(shape)), shape, len(values)), fill)


# --- the functions ------------------------------------------------------------------------------------------

_OPERATORS = (  # torch's names, the operator table's, the notation
    ("mul multiply", "mul", "{0} * {1}"),
    ("floor_divide Tensor.__floordiv__", "floordiv", "{0} // {1}"),
    ("remainder Tensor.__mod__", "mod", "{0} % {1}"),
    ("pow Tensor.__pow__", "pow", "{0} ** {1}"),
    ("maximum", "max", "max({0}, {1})"),
    ("minimum", "min", "min({0}, {1})"),
    ("bitwise_and", "and", "{0} & {1}"),
    ("bitwise_or", "or", "{0} | {1}"),
    ("eq", "eq", "{0} == {1}"),
    ("ne not_equal", "ne", "{0} != {1}"),
    ("lt less", "lt", "{0} < {1}"),
    ("le less_equal", "le", "{0} <= {1}"),
    ("gt greater", "gt", "{0} > {1}"),
    ("ge greater_equal", "ge", "{0} >= {1}"),
)
_ALIGNED = [
    "fmod",
    "atan2",
    "arctan2",
    "hypot",
    "bitwise_xor",
    "bitwise_left_shift",
    "bitwise_right_shift",
    "xlogy",
    "copysign",
    "nextafter",
    "fmax",
    "fmin",
    "heaviside",
    "logical_xor",
    "gcd",
    "lcm",
    "ldexp",
    "logaddexp",
]


def _register(names: str, op: str, text: str) -> None:
    first, *_ = names.split()
    function = getattr(torch, first)

    @implements(*names.split())
    def operation(x: Any, other: Any) -> Any:
        return binary(first, op, text, function, x, other)


def _register_aligned(name: str) -> None:
    function = getattr(torch, name)

    @implements(name)
    def operation(x: Any, other: Any) -> Any:
        return aligned(name, function, x, other)


for _names, _op, _text in _OPERATORS:
    _register(_names, _op, _text)
for _name in _ALIGNED:
    _register_aligned(_name)


@implements("add")
def add(x: Any, other: Any, *, alpha: Any = 1) -> Any:
    """x + alpha * other: entries of either, or a torch tensor if one is dense.

    >>> A = tensor([[0.0, 1.0], [0.0, 0.0]], "csr")
    >>> add(A, A.T).coords().tolist()
    [[0, 1], [1, 0]]
    """
    return binary("add", "add", "{0} + {1}", torch.add, x, _scaled(other, alpha))


@implements("sub", "subtract")
def sub(x: Any, other: Any, *, alpha: Any = 1) -> Any:
    """x - alpha * other."""
    return binary("sub", "sub", "{0} - {1}", torch.sub, x, _scaled(other, alpha))


@implements("rsub", "Tensor.__rsub__")
def rsub(x: Any, other: Any, *, alpha: Any = 1) -> Any:
    """other - alpha * x."""
    return sub(other, x, alpha=alpha)


def _scaled(x: Any, alpha: Any) -> Any:
    return x if alpha == 1 else x * alpha


@implements("div", "divide", "true_divide")
def div(x: Any, other: Any, *, rounding_mode: str | None = None) -> Any:
    """x / other, at the entries of x where x is sparse."""
    if rounding_mode == "floor":
        return binary("floor_divide", "floordiv", "{0} // {1}", torch.floor_divide, x, other)
    if rounding_mode == "trunc":
        return aligned_or_rounded(x, other)
    return binary("div", "div", "{0} / {1}", torch.div, x, other)


def aligned_or_rounded(x: Any, other: Any) -> Any:
    """x / other towards zero, in the number type of both."""
    quotient = binary("div", "div", "{0} / {1}", torch.div, x, other)
    return quotient.trunc().to(torch.result_type(*(_promoting(part) for part in (x, other))))


def _promoting(x: Any) -> Any:
    return torch.ones((1,) * min(x.ndim, 1), dtype=x.dtype) if hasattr(x, "ndim") else x


def _reversed(name: str, base: str) -> None:
    @implements(f"Tensor.{name}")
    def operation(x: Any, other: Any) -> Any:
        from scorch.functions.registry import call

        return call(base, other, x)


for _name, _base in (
    ("__rdiv__", "div"),
    ("__rtruediv__", "div"),
    ("__rpow__", "pow"),
    ("__rmod__", "remainder"),
    ("__rfloordiv__", "floor_divide"),
):
    _reversed(_name, _base)


# --- truth values -------------------------------------------------------------------------------------------


def _truth(x: Any) -> Any:
    if isinstance(x, Number):
        return bool(x)
    return x if x.dtype is torch.bool else x != 0


@implements("logical_and")
def logical_and(x: Any, other: Any) -> Any:
    """Whether both are not zero."""
    return binary("logical_and", "and", "{0} & {1}", torch.logical_and, _truth(operand(x)), _truth(operand(other)))


@implements("logical_or")
def logical_or(x: Any, other: Any) -> Any:
    """Whether one is not zero."""
    return binary("logical_or", "or", "{0} | {1}", torch.logical_or, _truth(operand(x)), _truth(operand(other)))


@implements("where")
def where(condition: Any, x: Any = None, other: Any = None) -> Any:
    """x where the condition holds, else other; each may be sparse, dense or a number.

    >>> A = tensor([[0.0, 1.0], [-2.0, 0.0]], "csr")
    >>> where(A > 0, A, 0.0).to_dense()
    tensor([[0., 1.],
            [0., 0.]])
    """
    if x is None or other is None:
        from scorch.functions.queries import nonzero

        return nonzero(condition, as_tuple=True)
    parts = [operand(part) for part in (condition, x, other)]
    if all(isinstance(part, Tensor | Number) for part in parts):
        fills = [fill_of(part) for part in parts]
        if check_fill("where", fills[1] if fills[0] else fills[2], *parts):
            raise UnsupportedError("where with a result whose fill is not 0 needs a dense operand")
    shape = broadcast(*(() if isinstance(part, Number) else part.shape for part in parts))
    names, texts, operands = index_names(len(shape)), [], {}
    for letter, part in zip("MAB", parts, strict=True):
        if isinstance(part, Number):
            texts.append(repr(part) if part == part else "nan")
            continue
        operands[letter], own = narrowed(part, shape, names)
        texts.append(access(letter, own))
    return computed(f"{access('C', names)} = where({', '.join(texts)})", **operands)


@implements("Tensor.where")
def where_method(x: Any, condition: Any, other: Any = 0) -> Any:
    """x where the condition holds, else other."""
    return where(condition, x, other)


@implements("masked_fill")
def masked_fill(x: Any, mask: Any, value: Any) -> Any:
    """x with a value where the mask holds."""
    if isinstance(mask, torch.Tensor) and isinstance(x, Tensor) and tuple(mask.shape) != x.shape:
        mask = mask.expand(x.shape)
    if isinstance(value, torch.Tensor) and value.ndim:
        raise ShapeError("masked_fill takes a number or a 0-d tensor")
    number = value.item() if isinstance(value, torch.Tensor) else value
    return where(mask, number, x)


@implements("lerp")
def lerp(x: Any, end: Any, weight: Any) -> Any:
    """x + weight * (end - x)."""
    return add(x, (end - x) * weight)


@implements("addcmul")
def addcmul(x: Any, tensor1: Any, tensor2: Any, *, value: Any = 1) -> Any:
    """x + value * tensor1 * tensor2."""
    return add(x, tensor1 * tensor2, alpha=value)


@implements("addcdiv")
def addcdiv(x: Any, tensor1: Any, tensor2: Any, *, value: Any = 1) -> Any:
    """x + value * tensor1 / tensor2."""
    return add(x, tensor1 / tensor2, alpha=value)
