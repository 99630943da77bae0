"""The number type of an expression, by torch's promotion rules.

A tensor with dimensions decides over a 0-d one, and that over a constant, unless the other is of a higher category
(bool < integer < real < complex).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache

import torch

from scorch.errors import DtypeError
from scorch.formats import dtypes
from scorch.ir.notation import Access, Apply, Assign, Expr, Literal
from scorch.ir.operators import operator
from scorch.ir.statement import ABSENT

__all__ = ["Kind", "argument_type", "counted", "kind_of", "promoted", "type_of"]


_NUMERIC = {
    "neg": "use not(...), or -number(...)",
    "sub": "use != for exclusive or, or number(...) - number(...)",
    "sign": "a truth value is its own sign",
}
"""Operators that truth values lack, and what to write instead."""

_NARROWER = {
    "whole": "it works on the bits of integers and truth values; compare first, as in (a != 0)",
    "real": "complex numbers have no order; take .abs() or .real of the tensor first",
}
"""What to do where an operator is given wider numbers than it takes."""


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

    DtypeError for numbers that an operator is not defined for: a difference of truth values, an order of complex
    numbers, bits of real ones.
    """
    if isinstance(expr, Access):
        return kind(expr)
    if isinstance(expr, Literal):
        return _literal(expr)
    args = tuple(kind_of(arg, kind) for arg in expr.args)
    if expr.op == "stored":
        return Kind("bool", args[0].weight)
    if expr.op == "number":
        return Kind("int64", args[0].weight)
    if expr.op.startswith("as_"):
        return Kind(expr.op.removeprefix("as_"), args[0].weight)
    made = argument_type(expr, args)
    if made.dtype == "bool" and expr.op in _NUMERIC:
        raise DtypeError(f"{expr} is of truth values, which have no {expr.op}: {_NUMERIC[expr.op]}")
    _check(expr.op, made.dtype, expr)
    return Kind("bool" if operator(expr.op).gives_bool else made.dtype, made.weight)


def type_of(statement: Assign, kinds: Mapping[str, Kind]) -> str:
    """The number type of a statement over tensors of these kinds; sums of truth values count.

    >>> type_of(Assign(Access("n", ()), Access("A", ("i",))), {"A": Kind("bool")})
    'int64'
    """
    found = kind_of(statement.whole, lambda access: kinds[access.tensor]).dtype
    if statement.reduced:
        _check(statement.reduce, found, statement)
    return "int64" if found == "bool" and statement.reduced and statement.reduce == "add" else found


@lru_cache(maxsize=4096)
def counted(statements: tuple[Assign, ...], known: tuple[tuple[str, Kind], ...]) -> tuple[Assign, ...]:
    """Statements over tensors of these kinds with numbers in place of truth values that meet numbers, and integers in
    the type in which they are compared or joined.

    Where a number is absent, its operator may leave truth values alone, which would be joined, not added, or narrower
    integers, which would wrap.

    >>> a, b = Access("A", ("i",)), Access("B", ("i",))
    >>> sum_ = Assign(Access("C", ("i",)), Apply("add", (a, b)))
    >>> print(*counted((sum_,), (("A", Kind("bool")), ("B", Kind("float32")))))
    C[i] = number(A[i]) + B[i]
    """
    kinds, made = dict(known), []
    for statement in statements:
        made.append(replace(statement, expr=_counted(statement.expr, lambda access: kinds[access.tensor])))
        weight = 2 if statement.target.indices else 1
        kinds[statement.target.tensor] = Kind(type_of(statement, kinds), weight)
    return tuple(made)


def _counted(expr: Expr, kind: Callable[[Access], Kind]) -> Expr:
    if not isinstance(expr, Apply) or expr.op == "stored":
        return expr
    args = tuple(_counted(arg, kind) for arg in expr.args)
    kinds = tuple(kind_of(arg, kind) for arg in expr.args)
    if operator(expr.op).gives_bool or expr.op in ("and", "or"):
        common = argument_type(expr, kinds).dtype
        if common in _WIDE:
            args = tuple(_widened(arg, common, kind) for arg in args)
    if expr.op not in _LEAVES_ONE or argument_type(expr, kinds).dtype == "bool":
        return Apply(expr.op, args)
    kept = 1 if expr.op == "where" else 0  # the condition is one
    numbers = (arg if k.dtype != "bool" else _number(arg) for arg, k in zip(args[kept:], kinds[kept:], strict=True))
    return Apply(expr.op, (*args[:kept], *numbers))


def _widened(expr: Expr, dtype: str, kind: Callable[[Access], Kind]) -> Expr:
    """Integer arithmetic with narrower operands converted first."""
    if isinstance(expr, Access):
        return expr if kind(expr).dtype in ("bool", dtype) else Apply(f"as_{dtype}", (expr,))
    if isinstance(expr, Literal) or operator(expr.op).gives_bool or expr.op == "number":
        return expr
    kept = 1 if expr.op == "where" else 0  # the condition is one
    return Apply(expr.op, (*expr.args[:kept], *(_widened(arg, dtype, kind) for arg in expr.args[kept:])))


_WIDE = ("int16", "int32", "int64")

_LEAVES_ONE = ("add", "sub", "or", "where")
"""Operators of which one argument is left where the other is 0, or not chosen."""


def _number(expr: Expr) -> Expr:
    if isinstance(expr, Literal):
        return expr if expr == ABSENT else Literal(int(expr.value))
    return Apply("number", (expr,))


def argument_type(expr: Apply, args: tuple[Kind, ...]) -> Kind:
    """The type in which an operator computes: that to which its arguments are converted."""
    common = promoted(args[1:] if expr.op == "where" else args)
    if any(_is_number(arg) for arg in expr.args):  # truth values beside numbers change no type
        own = tuple(Kind("bool", k.weight) if _is_number(arg) else k for arg, k in zip(expr.args, args, strict=True))
        beside = promoted(own[1:] if expr.op == "where" else own)
        common = common if beside.dtype == "bool" else beside
    weight = max(kind.weight for kind in args)
    if operator(expr.op).gives_float and not common.dtype.startswith(("float", "bfloat", "complex")):
        return Kind(_default(), weight)
    if expr.op == "square" and common.dtype == "bool":
        return Kind("int64", weight)  # as torch has it: the power 2 is an integer
    return Kind(common.dtype, weight)


def _is_number(expr: Expr) -> bool:
    return isinstance(expr, Apply) and expr.op == "number"


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


def _check(op: str, dtype: str, where: object) -> None:
    """DtypeError if numbers of this type are wider than the operator takes."""
    takes = operator(op).takes
    if _category(dtype) > {"whole": 1, "real": 2, "complex": 3}[takes]:
        raise DtypeError(f"{where}: {operator(op)} is not defined for {dtype}: {_NARROWER[takes]}")


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
