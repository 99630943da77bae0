"""Einsum strings to statements, and what is wrong with a string that is none."""

from __future__ import annotations

import pytest

from scorch.errors import NotationError, ScorchError, ShapeError
from scorch.ir.einsum import operand_names, parse_einsum

M = (4, 5)


@pytest.mark.smoke
@pytest.mark.parametrize(
    ("text", "shapes", "statement"),
    [
        ("ik,kj->ij", [(2, 3), (3, 4)], "C[i,j] += A[i,k] * B[k,j]"),
        ("ik,kj", [(2, 3), (3, 4)], "C[i,j] += A[i,k] * B[k,j]"),
        ("kj,ji", [(2, 3), (3, 4)], "C[i,k] += A[k,j] * B[j,i]"),
        (" i j -> j i ", [M], "B[j,i] = A[i,j]"),
        ("ij->", [M], "B += A[i,j]"),
        ("->", [()], "B = A"),
        ("", [()], "B = A"),
        (",ij->ij", [(), M], "C[i,j] = A * B[i,j]"),
        ("ii->i", [(3, 3)], "B[i] = A[i,i2], i2 == i"),
        ("iii->", [(3, 3, 3)], "B += A[i,i2,i3], i2 == i, i3 == i"),
        ("ii,ii->i", [(3, 3), (3, 3)], "C[i] = A[i,i2] * B[i,i3], i2 == i, i3 == i"),
        ("...ij->...ji", [(2, 4, 5)], "B[e0,j,i] = A[e0,i,j]"),
        ("...,...", [(2, 3), (3,)], "C[e1,e0] = A[e1,e0] * B[e0]"),
        ("i...->...", [M], "B[e0] += A[i,e0]"),
        ("a,b,c->abc", [(1,), (2,), (3,)], "D[a,b,c] = A[a] * B[b] * C[c]"),
    ],
)
def test_statements(text: str, shapes: list[tuple[int, ...]], statement: str) -> None:
    assert str(parse_einsum(text, shapes)) == statement


def test_a_dimension_of_one_broadcasts_under_dots_only() -> None:
    statement = parse_einsum("...,...->...", [(1, 5), (4, 5)])
    assert statement.target.indices == ("e1", "e0")
    assert statement.reduced == ("e1b0",)
    assert parse_einsum("ij,ij->ij", [(1, 5), (4, 5)]).indices == ("i", "j")  # refused later: extents differ


@pytest.mark.parametrize(
    ("text", "shapes", "kind", "message"),
    [
        ("ik,kj->ij", [M], NotationError, "'ik,kj->ij' is for 2 operands, but 1 was given"),
        ("ik->i", [M, M], NotationError, "is for 1 operand, but 2 were given"),
        ("ijk->i", [M], ShapeError, "the term 'ijk' of 'ijk->i' has 3 indices, but its operand has 2 dimensions"),
        ("i->i", [M], ShapeError, "has 1 indices, but its operand has 2"),
        ("i1->i", [M], NotationError, "unexpected '1' at column 1 of 'i1->i'"),
        ("iö->i", [M], NotationError, "unexpected 'ö' at column 1"),
        ("ij->j->i", [M], NotationError, "exactly one '->'"),
        ("ij-ji", [M], NotationError, "exactly one '->'"),
        ("ij>ji", [M], NotationError, "exactly one '->'"),
        ("ij->i,j", [M], NotationError, "more than one result"),
        ("ij->z", [M], NotationError, "index 'z' of the result of 'ij->z' is in no operand"),
        ("ij->ii", [M], NotationError, "index 'i' stands twice in the result"),
        ("..ij->ij", [M], NotationError, "an ellipsis is three dots"),
        ("...i...->i", [M], NotationError, "an ellipsis is three dots, once a term"),
        ("...j->j", [M], NotationError, "the operands of '...j->j' have '...', the result has not"),
        ("...ijk->...", [M], ShapeError, "has 3 indices, but its operand has 2"),
    ],
)
def test_what_is_refused(text: str, shapes: list[tuple[int, ...]], kind: type[ScorchError], message: str) -> None:
    with pytest.raises(kind) as caught:
        parse_einsum(text, shapes)
    assert message in str(caught.value)


def test_names_of_many_operands_differ() -> None:
    for count in (1, 2, 23, 24, 25, 60):
        names = operand_names(count)
        assert len(set(names)) == count + 1
