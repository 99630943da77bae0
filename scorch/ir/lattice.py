"""Merge lattices: which sparse iterators a loop over one index must visit together, and what is left where some are
absent.

The construction is that of Kjolstad et al., *The Tensor Algebra Compiler* (OOPSLA 2017): an operator whose annihilator
is the absent value intersects its operands' iterators, any other unites them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import product

from scorch.ir.notation import Access, Apply, Expr, Literal
from scorch.ir.operators import operator

__all__ = ["Lattice", "Point", "build_lattice"]


@dataclass(frozen=True, slots=True)
class Point:
    """One way in which coordinates can be present.

    `iterators`: the sparse accesses that have the coordinate. `full`: every coordinate of the dimension belongs to the
    point. `expr`: the expression with absent operands removed.
    """

    iterators: frozenset[Access]
    full: bool
    expr: Expr

    def __str__(self) -> str:
        names = sorted(map(str, self.iterators)) + ["all"] * self.full
        return f"{{{', '.join(names)}}}: {self.expr}"


@dataclass(frozen=True, slots=True)
class Lattice:
    """The points of one loop, each before the points below it (those that are left when an iterator is exhausted).

    >>> a, b = Access("a", ("i",)), Access("b", ("i",))
    >>> print(build_lattice(Apply("add", (a, b)), "i", lambda access: True))
    {a[i], b[i]}: a[i] + b[i]
    {a[i]}: a[i]
    {b[i]}: b[i]
    """

    points: tuple[Point, ...]

    @property
    def top(self) -> Point:
        """The point with every iterator."""
        return self.points[0]

    def below(self, point: Point) -> tuple[Point, ...]:
        """The points that can hold at one coordinate while `point`'s iterators run, itself first."""
        return tuple(p for p in self.points if p.iterators <= point.iterators and (point.full or not p.full))

    def __str__(self) -> str:
        return "\n".join(map(str, self.points))


def build_lattice(expr: Expr, index: str, is_sparse: Callable[[Access], bool]) -> Lattice:
    """The lattice of a loop over `index`; `is_sparse` tells whether an access iterates (rather than locates) at it."""
    points: list[Point] = []
    for point in _points(expr, index, is_sparse):
        if all(point.iterators != p.iterators for p in points):
            points.append(point)
    return Lattice(tuple(sorted(points, key=lambda p: -len(p.iterators))))


def _points(expr: Expr, index: str, is_sparse: Callable[[Access], bool]) -> list[Point]:
    if isinstance(expr, Literal):
        return [Point(frozenset(), True, expr)]
    if isinstance(expr, Access):
        sparse = index in expr.indices and is_sparse(expr)
        return [Point(frozenset({expr}) if sparse else frozenset(), not sparse, expr)]
    args = [_points(arg, index, is_sparse) for arg in expr.args]
    if operator(expr.op).annihilator == 0:
        return [_meet(expr.op, points) for points in product(*args)]
    joined = args[0]
    for other in args[1:]:
        joined = _join(expr.op, joined, other)
    return joined


def _meet(op: str, points: tuple[Point, ...]) -> Point:
    return Point(
        frozenset().union(*(p.iterators for p in points)),
        all(p.full for p in points),
        Apply(op, tuple(p.expr for p in points)),
    )


def _join(op: str, left: list[Point], right: list[Point]) -> list[Point]:
    both = [
        Point(a.iterators | b.iterators, a.full or b.full, _apply(op, a.expr, b.expr)) for a, b in product(left, right)
    ]
    only_left = [Point(a.iterators, a.full, _apply(op, a.expr, Literal(0))) for a in left]
    only_right = [Point(b.iterators, b.full, _apply(op, Literal(0), b.expr)) for b in right]
    return both + only_left + only_right


def _apply(op: str, left: Expr, right: Expr) -> Expr:
    """op(left, right), where an absent side is its fill 0 and goes if that is the identity."""
    rule = operator(op)
    if rule.identity == 0 and left == Literal(0):
        return right
    if (rule.identity == 0 or op == "sub") and right == Literal(0):
        return left
    args = left.args if isinstance(left, Apply) and left.op == op and rule.associative else (left,)
    return Apply(op, (*args, right))
