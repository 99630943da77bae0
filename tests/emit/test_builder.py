"""Names that stay unique, blocks, and parameters that are declared once."""

from __future__ import annotations

import keyword

import pytest

from scorch.emit.builder import Builder, Param
from scorch.ir import loops as ir


@pytest.mark.smoke
def test_names_are_numbered_and_freed_with_their_block() -> None:
    b = Builder()
    assert [b.fresh("q").name for _ in range(3)] == ["q", "q_2", "q_3"]
    with b.block():
        assert b.fresh("inner").name == "inner"
    assert b.fresh("inner").name == "inner"


@pytest.mark.parametrize("name", ["is", "as", "in", "if", "or"])
def test_python_s_own_words_are_taken(name: str) -> None:
    """The lanes of index i are `is`, unless that is a word of Python's."""
    assert not keyword.iskeyword(Builder().fresh(name).name)


def test_blocks_nest() -> None:
    b = Builder()
    with b.block() as outer:
        b.emit(ir.Comment("outer"))
        with b.block() as inner:
            b.emit(ir.Comment("inner"))
    assert (outer, inner, b.finish()) == ([ir.Comment("outer")], [ir.Comment("inner")], ())


def test_let_keeps_a_variable() -> None:
    b = Builder()
    assert b.let("x", ir.Var("y")) == ir.Var("y")
    assert b.let("x", ir.Const(1)) == ir.Var("x")
    assert b.finish() == (ir.Let(ir.Var("x"), ir.Const(1)),)


def test_parameters_are_declared_at_first_use() -> None:
    b = Builder()
    pos = Param("A_pos1", "level", "A", 1, "pos", "int64")
    assert b.param(pos) == b.param(pos) == ir.Var("A_pos1", "int64[]")
    assert b.param(Param("n_i", "extent", "i")) == ir.Var("n_i", "int64")
    assert list(b.params) == ["A_pos1", "n_i"]
