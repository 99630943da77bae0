"""Views: sums of indices, the extents that they leave to indices, and what is refused."""

from __future__ import annotations

import pytest

from scorch.errors import NotationError, ShapeError
from scorch.ir.notation import Access
from scorch.ir.parse import parse_statements
from scorch.ir.views import Affine, View, bound_extents

pytestmark = pytest.mark.smoke


def views(text: str) -> tuple[View, ...]:
    return parse_statements(f"y[i] = {text}")[0].views


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        ("x[ i+1 ]", "x[i+1]"),
        ("x[1+i]", "x[i+1]"),
        ("x[i*2 - 3*r + 4]", "x[2*i-3*r+4]"),
        ("x[-i + 2]", "x[-i+2]"),
        ("x[i + i + r - r - 1]", "x[2*i-1]"),
        ("x[2 - -i]", "x[i+2]"),
        ("x[n, c, i+r]", "x[n,c,i+r]"),
        ("x[idx[i, k], r]", "x[idx[i,k],r]"),
    ],
)
def test_a_view_is_named_by_what_it_reads(written: str, kept: str) -> None:
    (view,) = views(written)
    assert str(view) == kept
    assert str(view.access) == kept


def test_an_index_alone_is_no_view() -> None:
    (statement,) = parse_statements("y[i] = x[i + r - r] * x[1*i]")
    assert statement.views == ()
    assert set(statement.indices) == {"i"}


def test_indices_are_in_order_of_appearance_and_once() -> None:
    (view,) = views("x[r + i, idx[k, i], r]")
    assert view.indices == ("r", "i", "k")
    assert view.sources == ("x", "idx")
    assert view.renamed({"x": "A", "idx": "B"}) == View(
        "A", (Affine((("r", 1), ("i", 1))), Access("B", ("k", "i")), Affine.of("r"))
    )


@pytest.mark.parametrize(
    ("text", "shape", "known", "expected"),
    [
        ("x[i+r]", (10,), {"r": 3}, {"i": 8}),
        ("x[2*i+r]", (10,), {"r": 3}, {"i": 4}),
        ("x[2*i+3*r]", (10,), {"r": 3}, {"i": 2}),
        ("x[i+r]", (2,), {"r": 5}, {"i": 0}),
        ("x[i+r]", (10,), {"r": 0}, {"i": 10}),
        ("x[9-i]", (12,), {}, {"i": 10}),
        ("x[i+2]", (5,), {}, {"i": 3}),
        ("x[i, i+1]", (5, 4), {}, {"i": 5}),
        ("x[i-1]", (5,), {"i": 7}, {"i": 7}),
    ],
)
def test_extents_are_those_with_which_all_reads_are_inside(
    text: str, shape: tuple[int, ...], known: dict[str, int], expected: dict[str, int]
) -> None:
    assert bound_extents(views(text), {"x": shape}, known) == known | expected


def test_the_narrowest_of_several_reads_decides() -> None:
    assert bound_extents(views("x[i+1] * z[2*i]"), {"x": (9,), "z": (9,)}, {}) == {"i": 5}


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ("x[i+r]", NotationError, r"the extents of i and r in x\[i\+r\] depend on each other: .*extents=\{'r': 3\}"),
        ("x[i-1]", NotationError, r"reads outside of x at i = 0.*extents=\{'i': 9\}"),
        ("x[20-i]", NotationError, "reads outside of x at i = 0"),
        ("x[i+1, k]", ShapeError, r"x has 1 dimensions, but x\[i\+1,k\] gives it 2"),
        ("x[idx[i, k]]", ShapeError, r"idx has 1 dimensions, but idx\[i,k\] gives it 2"),
    ],
)
def test_extents_that_are_not_known(text: str, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        bound_extents(views(text), {"x": (9,), "idx": (4,)}, {})


def test_a_held_index_has_the_extent_of_what_holds_it() -> None:
    assert bound_extents(views("x[idx[i], k]"), {"x": (9, 3), "idx": (4,)}, {}) == {"i": 4, "k": 3}
    with pytest.raises(ShapeError, match=r"index c is 3 in x\[c,i\+r\], but 4 elsewhere"):
        bound_extents(views("x[c,i+r]"), {"x": (3, 9)}, {"c": 4, "r": 2})
    with pytest.raises(ShapeError, match="index i is 4 in idx"):
        bound_extents(views("x[idx[i]]"), {"x": (9,), "idx": (4,)}, {"i": 5})
