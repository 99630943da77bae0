"""Loop IR: folding of index arithmetic, conversions, and the verifier."""

from __future__ import annotations

import pytest

from scorch.errors import ScheduleError
from scorch.ir import loops as ir

i, n = ir.Var("i"), ir.Var("n")
f = ir.Var("f", "float32")
array = ir.Var("a", "float32[]")
index = ir.Var("crd", "int32[]")


@pytest.mark.smoke
def test_folding() -> None:
    assert ir.add(i, 0) == i
    assert ir.add(0, i) == i
    assert ir.add(2, 3) == ir.Const(5)
    assert ir.mul(i, 1) == i
    assert ir.mul(0, i) == ir.Const(0)
    assert ir.mul(4, 3) == ir.Const(12)
    assert ir.mul(i, 2) == ir.Binary("*", i, ir.Const(2))


def test_casts_are_written_once() -> None:
    assert ir.cast(i, "int64") is i
    assert ir.cast(ir.Const(2), "float32") == ir.Const(2, "float32")
    assert ir.cast(i, "bool").function == "np.bool_"  # type: ignore[union-attr]
    assert ir.cast(ir.Load(index, i), "int64").dtype == "int64"


def test_types_of_expressions() -> None:
    assert ir.Load(array, i).dtype == "float32"
    assert ir.Binary("<", i, n).dtype == "bool"
    assert ir.Binary("+", f, f).dtype == "float32"


def test_variables_of_nested_statements() -> None:
    body = (ir.For(i, ir.Const(0), n, (ir.If(ir.Binary("<", i, n), (ir.Store(array, i, f),)),)),)
    assert ir.variables(body) == {"i", "n", "a", "f"}


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ((ir.Let(ir.Var("x"), ir.Var("y")),), "y is used as int64, but is not set"),
        ((ir.Let(ir.Var("x", "float64"), ir.Load(array, i)),), "float32 meets float64"),
        ((ir.Store(array, i, ir.Const(1)),), "int64 meets float32"),
        ((ir.Store(array, ir.Load(index, i), f),), "int32 meets int64"),
        ((ir.Let(i, ir.Binary("+", i, ir.Load(index, i))),), "int64 meets int32"),
        ((ir.While(i, ()),), "int64 meets bool"),
        ((ir.If(f, ()),), "float32 meets bool"),
        ((ir.For(ir.Var("q"), ir.Const(0), f, ()),), "float32 meets int64"),
        ((ir.Let(ir.Var("x"), i), ir.Let(ir.Var("x", "float32"), f)), "x is int64, then float32"),
    ],
)
def test_the_verifier_refuses(body: ir.Block, message: str) -> None:
    with pytest.raises(ScheduleError, match=message):
        ir.verify(ir.Function("body", (i, n, f, array, index), body))


def test_the_verifier_accepts_what_is_converted() -> None:
    coordinate = ir.cast(ir.Load(index, i), "int64")
    ir.verify(ir.Function("body", (i, f, array, index), (ir.Store(array, coordinate, f, "+"),)))
