"""The formats that have a name: csr, csc, coo(n), csf(n), dcsr, dcsc, dense(n)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from scorch.errors import FormatError
from scorch.formats.format import Format
from scorch.formats.levels import Compressed, Dense, Singleton

__all__ = ["coo", "csc", "csf", "csr", "dcsc", "dcsr", "dense", "resolve", "usual_name"]

Order: TypeAlias = tuple[int, ...] | None


def dense(ndim: int, order: Order = None) -> Format:
    """Every coordinate stored, one value each; `order` (1, 0) is column-major."""
    return Format((Dense(),) * ndim, order)


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


def csf(ndim: int, order: Order = None) -> Format:
    """Compressed sparse fibres: every level compressed (Smith and Karypis 2015)."""
    return Format((Compressed(),) * ndim, order)


csr = Format((Dense(), Compressed()))
csc = Format((Dense(), Compressed()), (1, 0))
dcsr = Format((Compressed(), Compressed()))
dcsc = Format((Compressed(), Compressed()), (1, 0))

_FIXED: dict[str, Format] = {"csr": csr, "csc": csc, "dcsr": dcsr, "dcsc": dcsc}
_BY_RANK: dict[str, Callable[[int, Order], Format]] = {"dense": dense, "coo": coo, "csf": csf}


def usual_name(format: Format) -> str | None:
    """The name under which `resolve` finds this format, or None."""
    for name, fixed in _FIXED.items():
        if format == fixed:
            return name
    natural = tuple(range(format.ndim))
    for name, build in _BY_RANK.items():
        if format == build(format.ndim, None):
            return name
        if format.order != natural and format == build(format.ndim, format.order):
            return f"{name}{format.order}".replace(" ", "")
    return _unsorted_name(format)


def _unsorted_name(format: Format) -> str | None:
    if format.is_ordered and format.is_unique:
        return None
    name = usual_name(format.sorted)
    loosest = all(level.full or not (level.ordered or level.unique) for level in format.levels)
    return f"{name}(unsorted)" if name is not None and loosest else None


def resolve(format: Format | str, ndim: int) -> Format:
    """The format meant by a name, a spelling or a Format, for a tensor of `ndim` dimensions.

    FormatError if it is unknown or its rank differs.

    >>> resolve("coo", 3) == coo(3), resolve("csr", 2) == csr
    (True, True)
    """
    name = format if isinstance(format, str) else ""
    if isinstance(format, Format):
        found = format
    elif name in _FIXED:
        found = _FIXED[name]
    elif name in _BY_RANK:
        found = _BY_RANK[name](ndim, None)
    elif "," in name or "(" in name or name in ("compressed", "singleton"):
        found = Format(name)
    else:
        known = ", ".join([*_FIXED, *_BY_RANK])
        raise FormatError(
            f"unknown format {format!r}; use one of {known}, or level types such as scorch.Format('dense, compressed')"
        )
    if found.ndim != ndim:
        raise FormatError(f"format {found} is for {found.ndim} dimensions; the tensor has {ndim}")
    return found
