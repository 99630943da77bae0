"""Merge lattices: intersections, unions, and what is left where an iterator is exhausted."""

from __future__ import annotations

import pytest

from scorch.ir.lattice import Lattice, build_lattice
from scorch.ir.notation import Access, Apply, Expr, Literal
from scorch.ir.statement import ABSENT

a, b, c, d = (Access(name, ("i",)) for name in "abcd")
x = Access("x", ("j",))


def lattice(expr: Expr, *dense: Access) -> Lattice:
    return build_lattice(expr, "i", lambda access: access not in dense)


@pytest.mark.smoke
@pytest.mark.parametrize(
    ("expr", "dense", "lines"),
    [
        (Apply("mul", (a, b)), (), ["{a[i], b[i]}: a[i] * b[i]"]),
        (Apply("add", (a, b)), (), ["{a[i], b[i]}: a[i] + b[i]", "{a[i]}: a[i]", "{b[i]}: b[i]"]),
        (Apply("mul", (a, b)), (b,), ["{a[i]}: a[i] * b[i]"]),
        (Apply("mul", (a, b)), (a, b), ["{all}: a[i] * b[i]"]),
        (Apply("mul", (a, x)), (), ["{a[i]}: a[i] * x[j]"]),
        (Apply("add", (a, b)), (b,), ["{a[i], all}: a[i] + b[i]", "{all}: b[i]"]),
        (Apply("mul", (a, b, c)), (c,), ["{a[i], b[i]}: a[i] * b[i] * c[i]"]),
    ],
)
def test_points(expr: Expr, dense: tuple[Access, ...], lines: list[str]) -> None:
    found = str(lattice(expr, *dense)).splitlines()
    assert found[0] == lines[0]
    assert sorted(found) == sorted(lines)


def test_a_union_of_intersections() -> None:
    found = lattice(Apply("add", (Apply("mul", (a, b)), Apply("mul", (c, d)))))
    sizes = [len(point.iterators) for point in found.points]
    assert sizes == [4, 2, 2]
    assert found.top == found.points[0]
    assert found.below(found.points[1]) == (found.points[1],)


def test_a_constant_gives_absent_entries_a_value_but_visits_none() -> None:
    assert [str(point) for point in lattice(Apply("add", (a, Literal(1)))).points] == ["{a[i]}: a[i] + 1"]


def test_a_union_with_a_dense_operand_goes_on_to_the_end() -> None:
    found = lattice(Apply("add", (a, b)), b)
    assert [point.full for point in found.points] == [True, True]
    assert [len(point.iterators) for point in found.points] == [1, 0]


def test_fills_decide_what_annihilates() -> None:
    fills = {"a": float("inf"), "b": float("inf")}
    found = build_lattice(Apply("add", (a, b)), "i", lambda _: True, fills)
    assert str(found) == "{a[i], b[i]}: a[i] + b[i]"


def test_a_mask_decides_what_is_visited() -> None:
    mask = Apply("stored", (a,))
    kept = lattice(Apply("where", (mask, b, ABSENT)))
    assert {point.iterators for point in kept.points} == {frozenset({a, b}), frozenset({a})}
    others = lattice(Apply("where", (Apply("not", (mask,)), b, ABSENT)))
    assert frozenset({b}) in {point.iterators for point in others.points}


def test_an_index_that_nothing_has() -> None:
    assert str(build_lattice(a, "z", lambda _: True)) == "{all}: a[i]"
