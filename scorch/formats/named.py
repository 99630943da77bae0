"""The formats that have a name: csr, csc, coo(n), csf(n), dcsr, dcsc, dense(n), bitmap(n), bsr((r, c)), bsc((r, c))."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache, wraps
from typing import TypeAlias

from scorch.errors import FormatError
from scorch.formats.format import Format
from scorch.formats.levels import Bitmap, Compressed, Dense, Singleton, Strided

__all__ = [
    "bitmap",
    "bsc",
    "bsr",
    "coo",
    "csc",
    "csf",
    "csr",
    "dcsc",
    "dcsr",
    "dense",
    "resolve",
    "usual_name",
]

Order: TypeAlias = tuple[int, ...] | None


def _kept(make: Callable[[int, Order], Format]) -> Callable[..., Format]:
    """One object a format, which remembers what it was asked about itself."""
    made = lru_cache(maxsize=256)(make)

    @wraps(make)
    def found(ndim: int, order: Order = None) -> Format:
        return made(ndim, order if order is None else tuple(order))

    return found


@_kept
def dense(ndim: int, order: Order = None) -> Format:
    """Every coordinate stored, one value each; `order` (1, 0) is column-major."""
    return Format((Dense(),) * ndim, order)


@_kept
def coo(ndim: int, order: Order = None) -> Format:
    """Coordinate lists: one coordinate array a dimension, sorted in level order, each coordinate tuple once.

    >>> coo(3).spelling
    'compressed(nonunique), singleton(nonunique), singleton'
    """
    if ndim == 0:
        return Format("")
    last = ndim - 1
    levels = (Compressed(unique=last == 0), *(Singleton(unique=depth == last) for depth in range(1, ndim)))
    return Format(levels, order)


@_kept
def csf(ndim: int, order: Order = None) -> Format:
    """Compressed sparse fibres: every level compressed (Smith and Karypis 2015)."""
    return Format((Compressed(),) * ndim, order)


@_kept
def bitmap(ndim: int, order: Order = None) -> Format:
    """A bit for each coordinate, and values for those that are set: for tensors of which a twentieth or more is stored.

    >>> bitmap(2).spelling
    'dense, bitmap'
    """
    return Format((*(Dense() for _ in range(ndim - 1)), *(Bitmap() for _ in range(min(ndim, 1)))), order)


csr = Format((Dense(), Compressed()))
csc = Format((Dense(), Compressed()), (1, 0))
dcsr = Format((Compressed(), Compressed()))
dcsc = Format((Compressed(), Compressed()), (1, 0))


def bsr(blocks: tuple[int, int]) -> Format:
    """Dense blocks of r x c, their coordinates by block rows as in csr; values are (blocks, r, c).

    >>> bsr((2, 4)).spelling
    'dense, compressed, dense, dense; blocks=(2, 4)'
    """
    return Format(csr.levels, csr.order, blocks)


def bsc(blocks: tuple[int, int]) -> Format:
    """Dense blocks of r x c, their coordinates by block columns as in csc; values are (blocks, r, c)."""
    return Format(csc.levels, csc.order, blocks)


_FIXED: dict[str, Format] = {"csr": csr, "csc": csc, "dcsr": dcsr, "dcsc": dcsc}
_BY_RANK: dict[str, Callable[[int, Order], Format]] = {"dense": dense, "coo": coo, "csf": csf, "bitmap": bitmap}
_BY_BLOCKS: dict[str, Callable[[tuple[int, int]], Format]] = {"bsr": bsr, "bsc": bsc}
_UNSORTED = re.compile(r"(\w+(?:\([\d,]+\))?)\(unsorted(, repeated)?\)")
_BLOCKED = re.compile(r"\s*(bsr|bsc)\s*\(\s*\(?\s*(\d+)\s*,\s*(\d+)\s*\)?\s*\)\s*")


def usual_name(format: Format) -> str | None:
    """The name under which `resolve` finds this format, or None."""
    for name, fixed in _FIXED.items():
        if format == fixed:
            return name
    if format.levels and all(isinstance(level, Strided) for level in format.levels):
        return "view"
    if format.blocks:
        return _blocked_name(format)
    natural = tuple(range(format.ndim))
    for name, build in _BY_RANK.items():
        if format == build(format.ndim, None):
            return name
        if format.order != natural and format == build(format.ndim, format.order):
            return f"{name}{format.order}".replace(" ", "")
    return _unsorted_name(format)


def _blocked_name(format: Format) -> str | None:
    for name, build in _BY_BLOCKS.items():
        if format.ndim == 2 and format == build((format.blocks[0], format.blocks[1])):
            return f"{name}{format.blocks}".replace(" ", "")
    return None


def _unsorted_name(format: Format) -> str | None:
    if format.is_ordered and format.is_unique:
        return None
    name = usual_name(format.sorted)
    if name is None:
        return None
    if format == format.sorted.unsorted:
        return f"{name}(unsorted)"
    return f"{name}(unsorted, repeated)" if format == format.sorted.repeated else None


def resolve(format: Format | str, ndim: int) -> Format:
    """The format meant by a name, a spelling or a Format, for a tensor of `ndim` dimensions.

    "csr(unsorted)" leaves the order of coordinates open, which is cheaper for a product of sparse matrices.
    FormatError if it is unknown or its rank differs.

    >>> resolve("coo", 3) == coo(3), resolve("bsr(2, 4)", 2) == bsr((2, 4))
    (True, True)
    >>> resolve("csr(unsorted)", 2).spelling
    'dense, compressed(nonordered)'
    """
    name = format if isinstance(format, str) else ""
    if isinstance(format, Format):
        found = format
    elif name in _FIXED:
        found = _FIXED[name]
    elif name in _BY_RANK:
        found = _BY_RANK[name](ndim, None)
    elif blocked := _BLOCKED.fullmatch(name):
        found = _BY_BLOCKS[blocked[1]]((int(blocked[2]), int(blocked[3])))
    elif unsorted := _UNSORTED.fullmatch(name):
        exact = resolve(unsorted[1], ndim)
        found = exact.repeated if unsorted[2] else exact.unsorted
    elif "," in name or "(" in name or name in ("compressed", "singleton"):
        found = Format(name)
    else:
        known = ", ".join([*_FIXED, *_BY_RANK, *(f"{name}(r,c)" for name in _BY_BLOCKS)])
        raise FormatError(
            f"unknown format {format!r}; use one of {known}, or level types such as scorch.Format('dense, compressed')"
        )
    if found.ndim != ndim:
        raise FormatError(f"format {found} is for {found.ndim} dimensions; the tensor has {ndim}")
    return found
