"""Reading a tensor at computed coordinates: `x[2*i + r - 1]` and `x[idx[i]]`, as accesses to a view of it.

A View has one index variable a dimension, as every operand has, so that the stages after this one know nothing of index
arithmetic: `x[i + r]` is the view of x, two-dimensional, at [i, r]. Its name is the text of what it reads.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias

from scorch.errors import NotationError, ShapeError
from scorch.ir.notation import Access

__all__ = ["Affine", "Place", "View", "bound_extents"]


@dataclass(frozen=True)
class Affine:
    """A sum of multiples of index variables and a whole number; no index stands twice, none has the factor 0.

    >>> i, r = Affine.of("i"), Affine.of("r")
    >>> print(2 * i + r - 1, -r, i + i, sep="; ")
    2*i+r-1; -r; 2*i
    """

    terms: tuple[tuple[str, int], ...] = ()
    offset: int = 0

    @classmethod
    def of(cls, index: str) -> Affine:
        """An index alone."""
        return cls(((index, 1),))

    @property
    def indices(self) -> tuple[str, ...]:
        """The index variables, in order of appearance."""
        return tuple(index for index, _ in self.terms)

    @property
    def is_plain(self) -> bool:
        """Whether it is an index alone."""
        return self.offset == 0 and len(self.terms) == 1 and self.terms[0][1] == 1

    def factor(self, index: str) -> int:
        """What the index is multiplied by, 0 if it does not stand here."""
        return dict(self.terms).get(index, 0)

    def range(self, extents: Mapping[str, int]) -> tuple[int, int]:
        """The least and the greatest value for indices of these extents, one of 0 being taken as 1.

        >>> (2 * Affine.of("i") - Affine.of("r")).range({"i": 4, "r": 3})
        (-2, 6)
        """
        ends = [(factor * max(0, extents[index] - 1)) for index, factor in self.terms]
        return self.offset + sum(min(0, end) for end in ends), self.offset + sum(max(0, end) for end in ends)

    def __add__(self, other: object) -> Affine:
        if isinstance(other, int) and not isinstance(other, bool):
            return Affine(self.terms, self.offset + other)
        if not isinstance(other, Affine):
            return NotImplemented
        factors = dict(self.terms)
        for index, factor in other.terms:
            factors[index] = factors.get(index, 0) + factor
        kept = tuple((index, factor) for index, factor in factors.items() if factor)
        return Affine(kept, self.offset + other.offset)

    def __mul__(self, other: object) -> Affine:
        if not isinstance(other, int) or isinstance(other, bool):
            return NotImplemented
        return Affine(tuple((index, factor * other) for index, factor in self.terms if other), self.offset * other)

    __radd__, __rmul__ = __add__, __mul__

    def __neg__(self) -> Affine:
        return self * -1

    def __sub__(self, other: object) -> Affine:
        return self + -other if isinstance(other, int | Affine) else NotImplemented

    def __rsub__(self, other: object) -> Affine:
        return -self + other

    def __str__(self) -> str:
        parts = [_signed(factor, index) for index, factor in self.terms]
        parts += [f"{self.offset:+d}"] * (self.offset != 0 or not parts)
        return "".join(parts).removeprefix("+")


def _signed(factor: int, index: str) -> str:
    sign = "-" if factor < 0 else "+"
    return f"{sign}{index}" if abs(factor) == 1 else f"{sign}{abs(factor)}*{index}"


Place: TypeAlias = Affine | Access
"""Where a dimension is read: at a computed coordinate, or at the one that an integer tensor holds."""


@dataclass(frozen=True)
class View:
    """A tensor and the place at which each of its dimensions is read.

    >>> view = View("x", (Affine.of("n"), 2 * Affine.of("i") + Affine.of("r"), Access("idx", ("k",))))
    >>> print(view, view.access.indices)
    x[n,2*i+r,idx[k]] ('n', 'i', 'r', 'k')
    """

    tensor: str
    places: tuple[Place, ...]

    @cached_property
    def indices(self) -> tuple[str, ...]:
        """The view's indices, one a dimension, in order of appearance."""
        return tuple(dict.fromkeys(index for place in self.places for index in place.indices))

    @property
    def is_plain(self) -> bool:
        """Whether it is the tensor itself, indexed by names alone."""
        return all(isinstance(place, Affine) and place.is_plain for place in self.places)

    @property
    def access(self) -> Access:
        """The access that stands for it in a statement."""
        return Access(str(self), self.indices)

    @property
    def sources(self) -> tuple[str, ...]:
        """The tensors that it reads: the one that is viewed, then those that hold coordinates."""
        held = (place.tensor for place in self.places if isinstance(place, Access))
        return tuple(dict.fromkeys((self.tensor, *held)))

    def renamed(self, names: Mapping[str, str]) -> View:
        """The view with other names for the tensors that it reads."""
        places = (Access(names[p.tensor], p.indices) if isinstance(p, Access) else p for p in self.places)
        return View(names[self.tensor], tuple(places))

    def __str__(self) -> str:
        return f"{self.tensor}[{','.join(map(str, self.places))}]"


def bound_extents(
    views: Iterable[View], shapes: Mapping[str, tuple[int, ...]], known: Mapping[str, int]
) -> dict[str, int]:
    """The extents of all indices of some views, where `known` has those that other accesses or the user fix.

    An index that stands nowhere else takes every value with which all reads are inside of their tensors. ShapeError if
    a view has not as many places as its tensor has dimensions, NotationError if that leaves a choice.

    >>> x = View("x", (2 * Affine.of("i") + Affine.of("r"),))
    >>> bound_extents([x], {"x": (10,)}, {"r": 3})
    {'r': 3, 'i': 4}
    """
    extents = dict(known)
    open_places: list[tuple[Affine, int, View]] = []
    for view in views:
        shape = shapes[view.tensor]
        if len(shape) != len(view.places):
            raise ShapeError(f"{view.tensor} has {len(shape)} dimensions, but {view} gives it {len(view.places)}")
        for place, size in zip(view.places, shape, strict=True):
            if isinstance(place, Affine):
                open_places.append((place, size, view))
            else:
                _bind_held(place, shapes[place.tensor], extents)
    for place, size, view in open_places:
        if place.is_plain:  # a slip in a shape is none of the reads that go outside
            _agree(place.indices[0], size, view, extents)
    while left := [(p, s, v) for p, s, v in open_places if any(index not in extents for index in p.indices)]:
        index = _solvable(left, extents)
        mine = [(p, s, v) for p, s, v in left if index in p.indices]
        extents[index] = min(_valid(place, index, size, view, extents) for place, size, view in mine)
    return extents


def _bind_held(place: Access, shape: tuple[int, ...], extents: dict[str, int]) -> None:
    """The extents of the indices of a tensor that holds coordinates."""
    if len(shape) != len(place.indices):
        raise ShapeError(f"{place.tensor} has {len(shape)} dimensions, but {place} gives it {len(place.indices)}")
    for index, size in zip(place.indices, shape, strict=True):
        _agree(index, size, place, extents)


def _agree(index: str, size: int, where: View | Access, extents: dict[str, int]) -> None:
    if extents.setdefault(index, size) != size:
        raise ShapeError(f"index {index} is {size} in {where}, but {extents[index]} elsewhere")


def _solvable(left: list[tuple[Affine, int, View]], extents: Mapping[str, int]) -> str:
    """An index whose extent is the only unknown one of all places that have it."""
    unknown = [[index for index in place.indices if index not in extents] for place, _, _ in left]
    for index in (index for names in unknown for index in names):
        if all(names == [index] for names in unknown if index in names):
            return index
    names, view = unknown[0], left[0][2]
    raise NotationError(
        f"the extents of {' and '.join(names)} in {view} depend on each other: "
        f"give one, as in extents={{{names[-1]!r}: 3}}, or use that index in another tensor"
    )


def _valid(place: Affine, index: str, size: int, view: View, extents: Mapping[str, int]) -> int:
    """How many values an index may take, from 0 on, so that a place stays inside of an extent."""
    factor = place.factor(index)
    low, high = (place + Affine(((index, -factor),))).range(extents)
    if (low < 0) if factor > 0 else (high >= size):
        raise NotationError(
            f"{view} reads outside of {view.tensor} at {index} = 0, so that nothing says how far {index} goes: "
            f"give its extent, as in extents={{{index!r}: {size}}}; what is outside is absent"
        )
    return max(0, (size - 1 - high) // factor + 1 if factor > 0 else low // -factor + 1)
