"""What a level is: how one dimension of a tensor is stored below the dimensions above it.

A tensor is a tree. The nodes at depth `d` are the *positions* of level `d`; each has one *coordinate*. A level tells
the positions below a range of parent positions, the coordinate at a position, or (if it *locates*) the position of a
coordinate. The methods that do so index `at.pos` and `at.crd` and add and multiply, nothing more, so that they work on
numpy arrays (validation, tests) and on loop IR arrays (lowering) alike. The properties and capabilities are those of
Chou, Kjolstad and Amarasinghe, *Format Abstraction for Sparse Tensor Algebra Compilers* (OOPSLA 2018).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, TypeAlias

import numpy as np

from scorch.errors import FormatError

__all__ = ["Arrays", "Level", "Nodes", "index_bits"]

NARROW_LIMIT = 2**31 - 1  # extents up to which kernels write coordinates in 32 bits

Index: TypeAlias = Any
"""A position or coordinate: an int, a numpy integer, or a loop IR expression."""

Arrays: TypeAlias = Mapping[str, np.ndarray[Any, Any]]
"""The arrays of one level by their names, such as pos and crd."""


def index_bits(extent: int) -> int:
    """Bits of the coordinates that kernels write for a dimension.

    >>> index_bits(1000), index_bits(2**31)
    (32, 64)
    """
    return 32 if extent <= NARROW_LIMIT else 64


@dataclass(frozen=True)
class Nodes:
    """The nodes of one level of a stored tensor, as validation walks down the levels.

    `count` is the number of positions. `starts[p]` tells whether position p begins a node (its coordinates down to here
    differ from those of position p - 1); None means that every position does.
    """

    count: int
    starts: np.ndarray[Any, Any] | None = None


@dataclass(frozen=True)
class Level(ABC):
    """One level type with its properties. `ordered`: coordinates ascend below one parent; `unique`: none occurs
    twice."""

    ordered: bool = True
    unique: bool = True

    name: ClassVar[str]
    arrays: ClassVar[tuple[str, ...]] = ()
    numbers: ClassVar[tuple[str, ...]] = ()  # what kernels are given of it beside its arrays and its extent
    full: ClassVar[bool] = False  # every coordinate is stored
    branchless: ClassVar[bool] = False  # one position per parent position
    compact: ClassVar[bool] = True  # no unused positions
    locates: ClassVar[bool] = False  # the position of a coordinate is found in constant time
    contiguous: ClassVar[bool] = False  # the position of the next coordinate is the next one
    appends: ClassVar[bool] = False  # can be written coordinate after coordinate

    @property
    def block(self) -> int:
        """How many parents keep their coordinates together; only loops that take so many side by side can read them."""
        return 1

    @abstractmethod
    def bounds(self, at: Any, first: Index, last: Index) -> tuple[Index, Index]:
        """The range of positions below the parent positions first ... last - 1."""

    @abstractmethod
    def coordinate(self, at: Any, position: Index) -> Index:
        """The coordinate stored at a position."""

    def locate(self, at: Any, parent: Index, coordinate: Index) -> Index:
        """The position of a coordinate below a parent position."""
        raise FormatError(f"a {self.name} level cannot locate a coordinate")

    def store_coordinate(self, position: Index, coordinate: Index) -> tuple[tuple[str, Index, Index], ...]:
        """Array stores (array, index, value) that append a coordinate at a position."""
        return ()

    def store_end(self, parent: Index, end: Index) -> tuple[tuple[str, Index, Index], ...]:
        """Array stores (array, index, value) that close a parent whose positions end before `end`."""
        return ()

    @abstractmethod
    def positions(self, parents: int, size: int, arrays: Arrays) -> int:
        """How many positions the level has below `parents` parent positions; `size` is the extent of its dimension."""

    @abstractmethod
    def validate(self, nodes: Nodes, size: int, arrays: Arrays) -> Nodes:
        """Check the arrays against the claims of the level and return its nodes; FormatError says what is wrong."""

    @abstractmethod
    def allocate(self, parents: int, positions: int, index: np.dtype[Any]) -> dict[str, tuple[int, np.dtype[Any]]]:
        """Length and dtype of each array for a result of so many parent positions and own positions."""

    def bits(self, part: str, extent: int) -> int:
        """Bits of an array that is made anew: coordinates as narrow as the extent allows, positions 64."""
        return index_bits(extent) if part == "crd" else 64

    @property
    def plain(self) -> Level:
        """The level as kernels read and write it: itself, unless it encodes another one."""
        return self

    def decoded(self, parents: int, size: int, arrays: Arrays) -> Arrays:
        """The arrays of the plain level, whose positions are the same."""
        return arrays

    def encoded(self, parents: int, size: int, arrays: Arrays) -> Arrays:
        """The arrays of this level, given those of the plain one."""
        return arrays

    def __str__(self) -> str:
        flags = [f"non{flag}" for flag, held in (("ordered", self.ordered), ("unique", self.unique)) if not held]
        return f"{self.name}({', '.join(flags)})" if flags else self.name


def check_coordinates(crd: np.ndarray[Any, Any], size: int) -> None:
    """FormatError unless 0 <= crd < size everywhere."""
    if crd.dtype.kind not in "iu":
        raise FormatError(f"coordinates must be integers, got {crd.dtype}")
    if len(crd) and (crd.min() < 0 or crd.max() >= size):
        bad = int(np.argmax((crd < 0) | (crd >= size)))
        raise FormatError(f"coordinate {crd[bad]} at position {bad} is outside the dimension's extent {size}")


def check_order(
    level: Level, crd: np.ndarray[Any, Any], starts: np.ndarray[Any, Any] | None
) -> np.ndarray[Any, Any] | None:
    """FormatError unless crd is ordered and unique as `level` claims between the marked starts.

    Returns where nodes start one level further down (None: everywhere).
    """
    if starts is None:
        return None
    same = ~starts[1:]
    before, after = crd[:-1], crd[1:]
    if level.ordered:
        _reject(same & ((after < before) if not level.unique else (after <= before)), level, crd)
    elif level.unique:
        _reject_repeats(level, crd, np.cumsum(starts))
    if level.unique:
        return None
    below = np.ones(len(crd), dtype=bool)
    below[1:] = starts[1:] | (after != before)
    return below


def _reject_repeats(level: Level, crd: np.ndarray[Any, Any], parents: np.ndarray[Any, Any]) -> None:
    order = np.lexsort((crd, parents))
    again = (np.diff(parents[order]) == 0) & (np.diff(crd[order]) == 0)
    if again.any():
        p = int(order[int(np.argmax(again)) + 1])
        raise FormatError(
            f"a {level} level claims that no coordinate stands twice below one parent, but position {p} holds {crd[p]} "
            f"again; use scorch.from_coo, or declare the level {level.name}(nonordered, nonunique)"
        )


def _reject(wrong: np.ndarray[Any, Any], level: Level, crd: np.ndarray[Any, Any]) -> None:
    if wrong.any():
        p = int(np.argmax(wrong)) + 1
        claim = "strictly ascending" if level.unique else "ascending"
        raise FormatError(
            f"a {level} level claims {claim} coordinates below one parent, "
            f"but position {p} holds {crd[p]} after {crd[p - 1]}; "
            f"use scorch.from_coo, or declare the level {level.name}(nonordered, nonunique)"
        )
