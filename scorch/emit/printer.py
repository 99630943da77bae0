"""Loop IR to Python text: one rule a node kind."""

from __future__ import annotations

import math

from scorch.ir import loops as ir

__all__ = ["print_block", "print_expr", "print_function"]

_BINDING = {"or": 1, "and": 2, "<": 3, "<=": 3, ">": 3, ">=": 3, "==": 3, "!=": 3, "|": 4, "&": 5, "<<": 6, ">>": 6}
_BINDING |= {"+": 7, "-": 7, "*": 8, "/": 8, "//": 8, "%": 8}
_TIGHT = 9  # than any operator
_MIXED = {"|", "&", "<<", ">>"}  # always in parentheses inside another operator: few readers know how they bind


def print_expr(expr: ir.Expr, outer: int = 0) -> str:
    """An expression; `outer` is how tightly the operator around it binds."""
    match expr:
        case ir.Const(value, dtype):
            text = _constant(value, dtype)
            return f"({text})" if text.startswith("-") and outer >= _TIGHT else text  # -1 ** n is -(1 ** n)
        case ir.Var(name, _):
            return name
        case ir.Load(array, index):
            return f"{array.name}[{_subscript(index)}]"
        case ir.Call(function, args, _):
            return f"{function}({', '.join(map(print_expr, args))})"
        case ir.Formula(text, args, _):
            made = text.format(*(print_expr(arg, _TIGHT) for arg in args))
            return f"({made})" if outer and (" " in text or text.startswith("-")) else made
        case ir.Binary(op, left, right):
            level = _BINDING[op]
            chained = level == _BINDING["=="]  # a == b == c says something else in Python than (a == b) == c
            text = f"{print_expr(left, level + chained)} {op} {print_expr(right, level + 1)}"
            return f"({text})" if level < outer or (outer and op in _MIXED) else text


def _subscript(index: ir.Expr) -> str:
    """Positions are never negative: `at`, an unsigned type, spares Numba's test for wraparound."""
    return str(index.value) if isinstance(index, ir.Const) else f"at({print_expr(index)})"


def _constant(value: object, dtype: str) -> str:
    if dtype == "int64":
        return str(value)
    if dtype == "bool":
        return str(bool(value))
    if isinstance(value, float) and not math.isfinite(value):
        return f"np.{dtype}({'np.nan' if math.isnan(value) else 'np.inf' if value > 0 else '-np.inf'})"
    return f"np.{dtype}({value})"


def print_block(body: ir.Block, indent: str = "    ") -> list[str]:
    """The lines of a block."""
    lines = [line for stmt in body for line in _stmt(stmt, indent)]
    return lines or [indent + "pass"]


def _stmt(stmt: ir.Stmt, indent: str) -> list[str]:
    inner = indent + "    "
    match stmt:
        case ir.Let(var, value, op):
            return [f"{indent}{var.name} {op}= {print_expr(value)}"]
        case ir.Store(array, index, value, op):
            return [f"{indent}{array.name}[{_subscript(index)}] {op}= {print_expr(value)}"]
        case ir.Effect(call):
            return [indent + print_expr(call)]
        case ir.Comment(text):
            return [f"{indent}# {text}"]
        case ir.For(var, lo, hi, body, step):
            bounds = [print_expr(lo), print_expr(hi)] + ([print_expr(step)] if step != ir.Const(1) else [])
            return [f"{indent}for {var.name} in range({', '.join(bounds)}):", *print_block(body, inner)]
        case ir.While(condition, body):
            return [f"{indent}while {print_expr(condition)}:", *print_block(body, inner)]
        case ir.If(condition, body, orelse):
            lines = [f"{indent}if {print_expr(condition)}:", *print_block(body, inner)]
            return lines + _orelse(orelse, indent)


def _orelse(orelse: ir.Block, indent: str) -> list[str]:
    if not orelse:
        return []
    if len(orelse) == 1 and isinstance(orelse[0], ir.If):
        first, *rest = _stmt(orelse[0], indent)
        return [f"{indent}el{first.strip()}", *rest]
    return [f"{indent}else:", *print_block(orelse, indent + "    ")]


def print_function(function: ir.Function, name: str) -> list[str]:
    """The lines of a function."""
    params = ", ".join(p.name for p in function.params)
    return [f"def {name}({params}):", *print_block(function.body)]
