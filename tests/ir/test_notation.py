"""Statements: what is reduced, what they print, and extents that don't agree."""

from __future__ import annotations

import pytest

from scorch.errors import NotationError, ShapeError
from scorch.ir.einsum import parse_einsum
from scorch.ir.notation import Access, Apply, Assign, Literal, accesses, check_extents
from scorch.ir.operators import operator

a, b = Access("A", ("i", "k")), Access("B", ("k",))


@pytest.mark.smoke
def test_printing_keeps_the_grouping() -> None:
    sums = Apply("mul", (Apply("add", (a, b)), Literal(2)))
    assert str(sums) == "(A[i,k] + B[k]) * 2"
    assert str(Apply("max", (a, b))) == "max(A[i,k], B[k])"
    assert str(Access("s", ())) == "s"
    assert str(Assign(Access("C", ("i", "k")), Apply("add", (a, b)))) == "C[i,k] = A[i,k] + B[k]"


def test_reduced_indices() -> None:
    statement = parse_einsum("ik,kj,kk->ij", [(2, 3), (3, 4), (3, 3)])
    assert statement.indices == ("i", "j", "k", "k2")
    assert statement.reduced == ("k",)
    assert [access.tensor for access in accesses(statement.expr)] == ["A", "B", "C"]


def test_extents() -> None:
    statement = parse_einsum("ik,kj->ij", [(2, 3), (3, 4)])
    assert check_extents(statement, {"A": (2, 3), "B": (3, 4)}) == {"i": 2, "k": 3, "j": 4}
    with pytest.raises(ShapeError, match=r"index k is 3 in A\[i,k\] but 5 in B\[k,j\]"):
        check_extents(statement, {"A": (2, 3), "B": (5, 4)})
    with pytest.raises(ShapeError, match="operand A has 3 dimensions, but the notation gives it 2"):
        check_extents(statement, {"A": (2, 3, 4), "B": (3, 4)})
    with pytest.raises(ShapeError, match="the repeated index i needs equal extents; they are 2 and 3"):
        check_extents(parse_einsum("ii->i", [(2, 3)]), {"A": (2, 3)})
    with pytest.raises(NotationError, match="index z of the result"):
        check_extents(Assign(Access("C", ("z",)), a), {"A": (2, 3)})


def test_unknown_operator() -> None:
    with pytest.raises(NotationError, match="unknown operator 'plus'"):
        operator("plus")
