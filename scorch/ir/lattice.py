"""Merge lattices: which sparse iterators a loop over one index must visit together, and what is left where some are
absent.

The lattice is that of Kjolstad et al., *The Tensor Algebra Compiler* (OOPSLA 2017), derived from what the expression is
worth where operands have no entry (`scorch.ir.absence`): an absent argument that annihilates intersects, any other one
unites.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from scorch.ir.absence import points_of
from scorch.ir.notation import Access, Expr, accesses

__all__ = ["Lattice", "Point", "build_lattice"]


@dataclass(frozen=True, slots=True)
class Point:
    """One way in which coordinates can be present.

    `iterators`: the sparse accesses that have the coordinate. `full`: while these iterators run every coordinate of the
    dimension is visited. `expr`: the expression with absent operands removed.
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

    >>> from scorch.ir.notation import Apply
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

    @property
    def is_dense(self) -> bool:
        """Whether every coordinate is visited and nothing is walked."""
        return not self.top.iterators

    def only(self) -> Access | None:
        """The access whose stored coordinates are all that is visited; None if there is more to it."""
        if len(self.points) == 1 and len(self.top.iterators) == 1:
            (access,) = self.top.iterators
            return access
        return None

    def below(self, point: Point) -> tuple[Point, ...]:
        """The points that can hold at one coordinate while `point`'s iterators run, itself first."""
        return tuple(p for p in self.points if p.iterators <= point.iterators)

    def __str__(self) -> str:
        return "\n".join(map(str, self.points))


def build_lattice(
    expr: Expr, index: str, is_sparse: Callable[[Access], bool], fills: Mapping[str, Any] | None = None
) -> Lattice:
    """The lattice of a loop over `index`; `is_sparse` tells whether an access iterates (rather than locates) at it.

    `fills` has the values of absent entries by tensor, 0 where it has none.
    """
    walkers = [a for a in dict.fromkeys(accesses(expr)) if index in a.indices and is_sparse(a)]
    found = points_of(expr, walkers, fills or {})
    full = any(not present for present, _ in found)
    together = frozenset[Access]().union(*(present for present, _ in found))
    if all(present != together for present, _ in found):
        found.append((together, expr))  # loops run while several iterators do, even if they share no coordinate
    points = [Point(present, full, left) for present, left in found]
    return Lattice(tuple(sorted(points, key=lambda p: -len(p.iterators))))
