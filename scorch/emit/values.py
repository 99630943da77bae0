"""Expressions of the statement as loop IR: scalars, or one SIMD vector of a tile, with every conversion written out."""

from __future__ import annotations

from collections.abc import Callable

from scorch.errors import UnsupportedError
from scorch.formats import dtypes
from scorch.ir import loops as ir
from scorch.ir.notation import Access, Expr, Literal
from scorch.ir.operators import operator

__all__ = ["as_dtype", "combine", "identity", "is_vector", "value_of"]

WRAPPING = frozenset({"int8", "int16", "int32", "uint8"})  # narrower than Numba computes in: cast back after each step


def is_vector(expr: ir.Expr) -> bool:
    """Whether a loop IR expression is a SIMD vector."""
    return "x" in expr.dtype and not expr.dtype.startswith("complex")


def as_dtype(expr: ir.Expr, dtype: str) -> ir.Expr:
    """The scalar or vector converted to a number type."""
    if not is_vector(expr):
        return ir.cast(expr, dtype)
    element, lanes = expr.dtype.split("x")
    if element == dtype:
        return expr
    if element in dtypes.HALVES:
        return as_dtype(ir.Call(f"from_{element}", (expr,), f"float32x{lanes}"), dtype)
    if dtype in dtypes.HALVES:
        return ir.Call(f"to_{dtype}", (as_dtype(expr, "float32"),), f"{dtype}x{lanes}")
    return ir.Call("vcast", (expr, ir.Var(f"np.{dtype}", "class")), f"{dtype}x{lanes}")


def identity(op: str, dtype: str) -> ir.Const:
    """The identity of a reduction in a number type; the extreme finite value stands for an infinity of an integer
    type."""
    value = operator(op).identity
    if value in (float("inf"), float("-inf")) and not dtype.startswith(("float", "complex")):
        import numpy as np

        limits = np.iinfo(dtype) if dtype != "bool" else None
        value = (limits.max if value > 0 else limits.min) if limits else value > 0
    return ir.Const(value, dtype)


def combine(op: str, left: ir.Expr, right: ir.Expr, dtype: str) -> ir.Expr:
    """op(left, right) in a number type, as SIMD if either side is a vector."""
    rule = operator("or" if dtype == "bool" and op == "add" else "and" if dtype == "bool" and op == "mul" else op)
    if is_vector(left) or is_vector(right):
        if rule.vector is None:
            raise UnsupportedError(f"operator {rule.name} has no SIMD form")
        wide = left if is_vector(left) else right
        return ir.Call(rule.vector, (left, right), wide.dtype)
    if rule.symbol.isalpha():
        return ir.Call(rule.symbol, (left, right), dtype)
    result = ir.Binary(rule.symbol, left, right)
    return ir.Call(f"np.{dtype}", (result,), dtype) if dtype in WRAPPING else result


def value_of(expr: Expr, dtype: str, read: Callable[[Access], ir.Expr]) -> ir.Expr:
    """The value of an expression in a number type; `read` gives an access's value. Scalars are multiplied before
    vectors."""
    match expr:
        case Access():
            return as_dtype(read(expr), dtype)
        case Literal(value):
            return ir.Const(value, dtype)
    args = [value_of(arg, dtype, read) for arg in expr.args]
    if operator(expr.op).commutative:
        args.sort(key=is_vector)
    total = args[0]
    for arg in args[1:]:
        total = combine(expr.op, total, arg, dtype)
    return total
