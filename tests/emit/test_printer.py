"""Loop IR as Python text that means the same."""

from __future__ import annotations

import numpy as np
import pytest

from scorch.emit.printer import print_expr, print_function
from scorch.ir import loops as ir

i, j, n = ir.Var("i"), ir.Var("j"), ir.Var("n")
a = ir.Var("a", "float32[]")


def binary(op: str, left: ir.Expr, right: ir.Expr) -> ir.Binary:
    return ir.Binary(op, left, right)


@pytest.mark.smoke
@pytest.mark.parametrize(
    ("expr", "text"),
    [
        (binary("*", binary("+", i, j), n), "(i + j) * n"),
        (binary("+", binary("*", i, j), n), "i * j + n"),
        (binary("-", i, binary("-", j, n)), "i - (j - n)"),
        (binary("-", binary("-", i, j), n), "i - j - n"),
        (binary("and", binary("<", i, j), binary("==", i, n)), "i < j and i == n"),
        (binary("==", binary("!=", i, j), n), "(i != j) == n"),
        (binary("==", i, binary("<", j, n)), "i == (j < n)"),
        (binary("&", binary(">>", i, j), n), "(i >> j) & n"),
        (ir.Load(a, i), "a[at(i)]"),
        (ir.Load(a, ir.Const(3)), "a[3]"),
        (ir.Const(2), "2"),
        (ir.Const(2, "float32"), "np.float32(2)"),
        (ir.Const(True, "bool"), "True"),
        (ir.Const(float("-inf"), "float64"), "np.float64(-np.inf)"),
        (ir.Call("min", (i, j), "int64"), "min(i, j)"),
    ],
)
def test_expressions(expr: ir.Expr, text: str) -> None:
    assert print_expr(expr) == text


@pytest.mark.parametrize("left", ["+", "-", "*", "&", "|", "<<", ">>", "%"])
@pytest.mark.parametrize("right", ["+", "-", "*", "&", "|", "<<", ">>", "%"])
def test_parentheses_keep_the_tree(left: str, right: str) -> None:
    values = {"i": 13, "j": 5, "n": 3}

    def value(expr: ir.Expr) -> int:
        if isinstance(expr, ir.Var):
            return values[expr.name]
        assert isinstance(expr, ir.Binary)
        return int(eval(f"x {expr.op} y", {"x": value(expr.left), "y": value(expr.right)}))

    for tree in (binary(left, binary(right, i, j), n), binary(left, i, binary(right, j, n))):
        if "<<" in (left, right) and value(binary(right, j, n)) < 0:
            continue
        try:
            wanted = value(tree)
        except (ValueError, ZeroDivisionError):
            continue
        assert eval(print_expr(tree), dict(values)) == wanted


def test_statements_run() -> None:
    total = ir.Var("total", "float32")
    body = (
        ir.Let(total, ir.Const(0, "float32")),
        ir.For(
            i,
            ir.Const(0),
            n,
            (
                ir.If(
                    binary("==", binary("%", i, ir.Const(2)), ir.Const(0)),
                    (ir.Let(total, ir.Load(a, i), "+"),),
                    (ir.If(binary("==", i, ir.Const(3)), (ir.Comment("odd"),), (ir.Let(total, ir.Load(a, i), "-"),)),),
                ),
            ),
        ),
        ir.While(binary(">", n, ir.Const(0)), (ir.Let(n, ir.Const(1), "-"),)),
        ir.Store(a, n, total),
    )
    lines = print_function(ir.Function("body", (n, a), body), "body")
    assert "        elif i == 3:" in lines
    space = {"np": np, "at": np.uint64}
    exec("\n".join(lines).replace("# odd", "pass"), space)
    values = np.arange(6, dtype=np.float32)
    space["body"](6, values)  # type: ignore[operator]
    assert values[0] == 0 - 1 + 2 + 4 - 5


def test_an_empty_block_is_pass() -> None:
    assert print_function(ir.Function("f", (), ()), "f") == ["def f():", "    pass"]
