"""The number type of an expression, by torch's promotion rules.

A tensor with dimensions decides over a 0-d one, and that over a constant, unless the other is of a higher category
(bool < integer < real < complex).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch

from scorch.errors import DtypeError
from scorch.formats import dtypes
from scorch.ir.notation import Access, Apply, Assign, Expr, Literal
from scorch.ir.operators import operator

__all__ = ["Kind", "argument_type", "kind_of", "promoted", "type_of"]


_NUMERIC = {
    "neg": "use not(...), or where(..., -1, 0) for a number",
    "sub": "use != for exclusive or, or where(..., 1, 0) for numbers",
    "sign": "a truth value is its own sign",
}
"""Operators that truth values lack, and what to write instead."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A number type, and how much it counts: 2 for a tensor with dimensions, 1 for a 0-d one, 0 for a constant."""

    dtype: str
    weight: int = 2


def kind_of(expr: Expr, kind: Callable[[Access], Kind]) -> Kind:
    """The number type of an expression, given those of its accesses.

    >>> a = Access("A", ("i",))
    >>> kind_of(Apply("mul", (a, Literal(2.5))), lambda _: Kind("int32")).dtype
    'float32'
    >>> kind_of(Apply("gt", (a, Literal(0))), lambda _: Kind("float64")).dtype
    'bool'

    DtypeError for a difference, negation or sign of truth values.
    """
    if isinstance(expr, Access):
        return kind(expr)
    if isinstance(expr, Literal):
        return _literal(expr)
    args = tuple(kind_of(arg, kind) for arg in expr.args)
    if expr.op == "stored":
        return Kind("bool", args[0].weight)
    made = argument_type(expr, args)
    if made.dtype == "bool" and expr.op in _NUMERIC:
        raise DtypeError(f"{expr} is of truth values, which have no {expr.op}: {_NUMERIC[expr.op]}")
    return Kind("bool" if operator(expr.op).gives_bool else made.dtype, made.weight)


def type_of(statement: Assign, kinds: Mapping[str, Kind]) -> str:
    """The number type of a statement over tensors of these kinds; sums of truth values count.

    >>> type_of(Assign(Access("n", ()), Access("A", ("i",))), {"A": Kind("bool")})
    'int64'
    """
    found = kind_of(statement.whole, lambda access: kinds[access.tensor]).dtype
    return "int64" if found == "bool" and statement.reduced and statement.reduce == "add" else found


def argument_type(expr: Apply, args: tuple[Kind, ...]) -> Kind:
    """The type in which an operator computes: that to which its arguments are converted."""
    common = promoted(args[1:] if expr.op == "where" else args)
    weight = max(kind.weight for kind in args)
    if operator(expr.op).gives_float and not common.dtype.startswith(("float", "bfloat", "complex")):
        return Kind(_default(), weight)
    if expr.op == "square" and common.dtype == "bool":
        return Kind("int64", weight)  # as torch has it: the power 2 is an integer
    return Kind(common.dtype, weight)


def promoted(kinds: tuple[Kind, ...]) -> Kind:
    """The common type of arguments.

    >>> promoted((Kind("float32"), Kind("float64", 1))).dtype, promoted((Kind("int64"), Kind("float64", 1))).dtype
    ('float32', 'float64')
    """
    found: Kind | None = None
    for weight in (2, 1, 0):
        names = [kind.dtype for kind in kinds if kind.weight == weight]
        if not names:
            continue
        here = Kind(dtypes.promote(*names), weight)
        if found is None:
            found = here
        elif _category(here.dtype) > _category(found.dtype):
            found = Kind(dtypes.promote(found.dtype, here.dtype), found.weight)
    assert found is not None
    return found


def _literal(literal: Literal) -> Kind:
    value = literal.value
    if isinstance(value, bool):
        return Kind("bool", 0)
    if isinstance(value, int):
        return Kind("int64", 0)
    if isinstance(value, complex):
        return Kind("complex128" if _default() == "float64" else "complex64", 0)
    return Kind(_default() if isinstance(value, float) else "bool", 0)


def _default() -> str:
    return dtypes.name_of(torch.get_default_dtype())


def _category(dtype: str) -> int:
    if dtype == "bool":
        return 0
    if dtype.startswith(("float", "bfloat")):
        return 2
    return 3 if dtype.startswith("complex") else 1
