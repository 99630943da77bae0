"""Expressions of the statement as loop IR: scalars, or one SIMD vector of a tile, with every conversion written out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from scorch.errors import UnsupportedError
from scorch.formats import dtypes
from scorch.ir import loops as ir
from scorch.ir import operators
from scorch.ir.notation import Access, Apply, Expr, Literal
from scorch.ir.operators import Operator, operator
from scorch.ir.types import Kind, argument_type, kind_of

__all__ = ["as_dtype", "choice", "combine", "identity", "is_vector", "value_of"]

WRAPPING = frozenset({"int8", "int16", "int32", "uint8"})  # narrower than Numba computes in: cast back after each step
VECTOR_FLOATS = frozenset({"div", "sqrt"})  # whose SIMD form takes floating-point numbers only


def is_vector(expr: ir.Expr) -> bool:
    """Whether a loop IR expression is a SIMD vector."""
    return "x" in expr.dtype and not expr.dtype.startswith("complex")


def as_dtype(expr: ir.Expr, dtype: str) -> ir.Expr:
    """The scalar or vector converted to a number type."""
    if not is_vector(expr):
        if dtype not in WRAPPING:
            return ir.cast(expr, dtype)
        return _constant(expr.value, dtype) if isinstance(expr, ir.Const) else ir.cast(_typed(expr), dtype)
    element, lanes = expr.dtype.split("x")
    if element == dtype:
        return expr
    if element in dtypes.HALVES:
        return as_dtype(ir.Call(f"from_{element}", (expr,), f"float32x{lanes}"), dtype)
    if dtype in dtypes.HALVES:
        return ir.Call(f"to_{dtype}", (as_dtype(expr, "float32"),), f"{dtype}x{lanes}")
    return ir.Call("vcast", (expr, ir.Var(f"np.{dtype}", "class")), f"{dtype}x{lanes}")


def _typed(expr: ir.Expr) -> ir.Expr:
    """An integer of plain Python, which would not wrap when it is converted, as one of numpy's."""
    return ir.Formula("np.int64({0})", (expr,), "int64") if _is_plain(expr) else expr


def _is_plain(expr: ir.Expr) -> bool:
    """Whether constants alone make a value, if only by a choice between them."""
    match expr:
        case ir.Const():
            return True
        case ir.Binary(_, left, right):
            return _is_plain(left) and _is_plain(right)
        case ir.Formula(text, (_, *branches)) if text == _CHOICE:
            return all(map(_is_plain, branches))
    return False


_CHOICE = "{1} if {0} else {2}"


def identity(op: str, dtype: str) -> ir.Const:
    """The value that a reduction starts from."""
    return ir.Const(operators.identity(op, dtype), dtype)


def choice(condition: ir.Expr, yes: ir.Expr, no: ir.Expr) -> ir.Expr:
    """One of two scalars of one type."""
    return ir.Formula(_CHOICE, (condition, yes, no), yes.dtype)


def combine(op: str, left: ir.Expr, right: ir.Expr, dtype: str) -> ir.Expr:
    """op(left, right) for arguments of one number type, as SIMD if either side is a vector."""
    rule = operator(op)
    if dtype == "bool" and not rule.gives_bool:
        rule = operator({"add": "or", "max": "or", "mul": "and", "min": "and"}.get(op, op))
    if is_vector(left) or is_vector(right):
        return _vector(rule, (left, right))
    return _scalar(rule, (left, right), dtype)


def value_of(expr: Expr, dtype: str, kind: Callable[[Access], Kind], read: Callable[[Access], ir.Expr]) -> ir.Expr:
    """The value of an expression in a number type.

    `kind` gives an access's number type, `read` its value. An operator computes in `dtype` if that holds its
    arguments' types, and so do those inside it, which may spare an overflow between; else in its own. Scalars are
    multiplied before vectors.
    """
    if isinstance(expr, Literal):
        return _constant(expr.value, dtype)
    if isinstance(expr, Access):
        return as_dtype(read(expr), dtype)
    if expr.op == "stored":
        return _constant(True, dtype)  # a loop that gets here has met an entry
    if expr.op == "number":
        truth = value_of(expr.args[0], "bool", kind, read)
        return _constant(truth.value, dtype) if isinstance(truth, ir.Const) else as_dtype(truth, dtype)
    if expr.op.startswith("as_"):
        return as_dtype(value_of(expr.args[0], expr.op.removeprefix("as_"), kind, read), dtype)
    rule = operator(expr.op)
    natural = argument_type(expr, tuple(kind_of(arg, kind) for arg in expr.args)).dtype
    bits = natural == "bool" or rule.gives_bool or rule.name in ("and", "or")  # which may be wanted as a number
    inside = natural if bits or not _holds(dtype, natural) else dtype
    if expr.op == "where":
        condition = value_of(expr.args[0], "bool", kind, read)
        if dtype in WRAPPING and all(isinstance(arg, Literal) for arg in expr.args[1:]):
            inside = dtype  # plain Python's numbers do not wrap when they are converted
        yes, no = (value_of(arg, inside, kind, read) for arg in expr.args[1:])
        return as_dtype(_select(condition, yes, no, inside), dtype)
    args = [value_of(arg, inside, kind, read) for arg in expr.args]
    return as_dtype(_applied(expr, args, inside), dtype)


def _constant(value: Any, dtype: str) -> ir.Const:
    whole = isinstance(value, bool) and dtype != "bool"
    return ir.Const(dtypes.wrapped(int(value) if whole else value, dtype), dtype)


def _holds(dtype: str, other: str) -> bool:
    """Whether a type is the promotion of both."""
    from scorch.formats import dtypes

    return dtypes.promote(dtype, other) == dtype


def _applied(expr: Apply, args: list[ir.Expr], dtype: str) -> ir.Expr:
    rule = operator(expr.op)
    if len(args) != 2 and not rule.associative:
        return _vector(rule, tuple(args)) if any(map(is_vector, args)) else _scalar(rule, tuple(args), dtype)
    if rule.commutative and rule.associative:
        args.sort(key=is_vector)
    total = args[0]
    for arg in args[1:]:
        total = combine(expr.op, total, arg, dtype)
    return total


def _select(condition: ir.Expr, yes: ir.Expr, no: ir.Expr, dtype: str) -> ir.Expr:
    if is_vector(condition):
        return ir.Call("vselect", (condition, yes, no), f"{dtype}x{condition.dtype.split('x')[1]}")
    wide = next((branch for branch in (yes, no) if is_vector(branch)), None)
    if wide is not None:
        lanes = ir.Const(int(wide.dtype.split("x")[1]))
        yes, no = (b if is_vector(b) else ir.Call("vfull", (b, lanes), wide.dtype) for b in (yes, no))
        dtype = wide.dtype
    return ir.Formula(_CHOICE, (condition, yes, no), dtype)


def _vector(rule: Operator, args: tuple[ir.Expr, ...]) -> ir.Expr:
    """A SIMD operation; a comparison gives lanes of truth values."""
    if rule.vector is None:
        raise UnsupportedError(f"operator {rule.name} has no SIMD form")
    wide = next(arg for arg in args[-2:] if is_vector(arg))
    dtype = f"bool{wide.dtype[wide.dtype.index('x') :]}" if rule.gives_bool else wide.dtype
    if rule.name == "relu":
        args = (*args, ir.Const(0, wide.dtype.split("x")[0]))
    return ir.Call(rule.vector, args, dtype)


def _scalar(rule: Operator, args: tuple[ir.Expr, ...], dtype: str) -> ir.Expr:
    """A scalar operation; results narrower or wider than Numba's are converted back."""
    text = rule.scalar
    if rule.rounds and not dtype.startswith(("float", "complex")):
        return args[0]
    if len(args) == 2 and f"{{0}} {rule.symbol} {{1}}" == text and rule.symbol in ir.INFIX:
        made: ir.Expr = ir.Binary(rule.symbol, *args)
        exact = dtype not in WRAPPING or rule.gives_bool
        return made if exact else ir.cast_back(_typed(made), dtype)
    made = ir.Formula(text.replace("{t}", f"np.{dtype}"), args, "bool" if rule.gives_bool else dtype)
    return ir.cast_back(made, dtype) if not rule.gives_bool and dtype != "bool" else made
