"""Views of operands: what statements read at computed coordinates, as operands of their own.

A dense tensor's windows are its memory again, with other strides; only what reaches outside of it makes a copy, with
its fill around it. Of a sparse tensor every entry goes to all places of the view at which it is read. Both are
differentiable.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

import numpy as np
import torch

from scorch.errors import DtypeError, NotationError, ShapeError
from scorch.exchange import stored_order, to_dense
from scorch.formats import Storage
from scorch.formats.coordinates import coordinates, pack
from scorch.formats.memory import check_memory
from scorch.formats.storage import Array, checked_size, strided_pattern
from scorch.ir.notation import accesses
from scorch.ir.statement import Raw
from scorch.ir.views import Affine, View, bound_extents

__all__ = ["view", "with_views"]

ENTRY_BYTES = 8  # of one coordinate of an entry

Held: TypeAlias = Mapping[str, Array]
"""Coordinates that integer operands hold, by their names."""


def with_views(
    statements: Sequence[Raw],
    operands: Mapping[str, Storage],
    extents: Mapping[str, int],
    compute: Callable[[tuple[Raw, ...], Mapping[str, Storage]], Storage],
) -> tuple[tuple[Raw, ...], dict[str, Storage]]:
    """The statements that are left to compute, and the operands together with the views that they read.

    `extents` are those that the user gives. A temporary that is viewed is computed here, by `compute`, and becomes an
    operand. Raises ShapeError and NotationError where extents disagree or are not known, DtypeError for coordinates
    that are no integers.

    >>> from scorch.ir.parse import parse_statements
    >>> operands = {"x": Storage.from_dense(torch.arange(4.0)), "w": Storage.from_dense(torch.ones(2))}
    >>> _, made = with_views(parse_statements("y[i] = x[i + r] * w[r]"), operands, {}, lambda *_: None)
    >>> made["x[i+r]"].values
    tensor([[0., 1.],
            [1., 2.],
            [2., 3.]])
    """
    _check_names(statements, extents)
    known, left = dict(operands), []
    shapes = {name: storage.pattern.shape for name, storage in known.items()}
    viewed = {name for raw in statements for each in raw.views for name in each.sources} - operands.keys()
    for raw in statements:
        bound = bound_extents(raw.views, shapes, _fixed(raw, shapes, extents))
        for each in raw.views:
            if str(each) not in known:
                known[str(each)] = view(each, known, bound, raw.target.indices)
            elif known[str(each)].pattern.shape != tuple(bound[index] for index in each.indices):
                raise ShapeError(f"{each} has other extents in {raw} than before; name its indices differently there")
        left.append(raw)
        shapes[raw.target.tensor] = tuple(bound[index] for index in raw.target.indices)
        if raw.target.tensor in viewed:
            known[raw.target.tensor] = compute(tuple(left), known)
            left.pop()
    return tuple(left), known


def _check_names(statements: Sequence[Raw], extents: Mapping[str, int]) -> None:
    names = frozenset[str]().union(*(raw.indices for raw in statements))
    for index, extent in extents.items():
        if index not in names:
            raise NotationError(f"extents gives {index!r}, which is no index; there are {', '.join(sorted(names))}")
        if isinstance(extent, bool) or not isinstance(extent, int) or extent < 0:
            raise NotationError(f"the extent of {index} is a whole number from 0 on, not {extent!r}")


def _fixed(raw: Raw, shapes: Mapping[str, tuple[int, ...]], extents: Mapping[str, int]) -> dict[str, int]:
    """The extents that the user gives, and those of tensors that are indexed by names alone."""
    fixed = {index: extent for index, extent in extents.items() if index in raw.indices}
    seen = {str(each) for each in raw.views}
    for access in accesses(raw.expr):
        for index, extent in zip(access.indices, () if access.tensor in seen else shapes[access.tensor], strict=False):
            if fixed.setdefault(index, extent) != extent and index in extents:
                raise ShapeError(f"extents gives {index} the extent {extents[index]}, but it is {extent} in {access}")
    return fixed


def view(what: View, known: Mapping[str, Storage], extents: Mapping[str, int], target: tuple[str, ...] = ()) -> Storage:
    """The view as an operand whose dimensions are the view's indices, which have these extents.

    Of `target`'s indices the one along which memory is contiguous is stored last, so that it can be vectorised.
    """
    source = known[what.tensor]
    held = {name: _checked(what, name, known) for name in what.sources[1:]}
    shape = tuple(extents[index] for index in what.indices)
    checked_size(shape)
    if not source.pattern.format.is_dense:
        return _sparse(what, source, held, extents)
    values, inside = _padded(what, to_dense(source), source.fill, extents)
    windows = None if held else _windows(inside, values, shape, target)
    return windows or Storage.from_dense(_picked(inside, values, held, extents))


def _checked(what: View, name: str, known: Mapping[str, Storage]) -> Array:
    """The coordinates that an operand holds; DtypeError or ShapeError unless they are integers inside of the extent."""
    storage = known[name]
    if storage.dtype not in ("uint8", "int8", "int16", "int32", "int64"):
        raise DtypeError(f"{what} is read at the values of {name}, which have to be integers, not {storage.dtype}")
    found = to_dense(storage).numpy().astype(np.int64)
    for place, extent in zip(what.places, known[what.tensor].pattern.shape, strict=False):
        if not isinstance(place, Affine) and place.tensor == name and found.size:
            low, high = int(found.min()), int(found.max())
            if low < 0 or high >= extent:
                raise ShapeError(
                    f"{name} holds the coordinate {low if low < 0 else high}, outside of a dimension of {what.tensor} "
                    f"of extent {extent}; clamp it, or give {what.tensor} that extent"
                )
    return found


# --- dense operands ---------------------------------------------------------------------------------------


def _padded(what: View, values: torch.Tensor, fill: object, extents: Mapping[str, int]) -> tuple[torch.Tensor, View]:
    """The tensor with its fill around it as far as the view reaches outside, and the view of that; itself if it
    doesn't."""
    before, after, places = [], [], []
    for place, size in zip(what.places, values.shape, strict=True):
        low, high = place.range(extents) if isinstance(place, Affine) else (0, size - 1)
        before.append(max(0, -low))
        after.append(max(0, high - size + 1))
        places.append(place + before[-1] if isinstance(place, Affine) else place)
    if not any(before) and not any(after):
        return values, what
    shape = [a + size + b for a, size, b in zip(before, values.shape, after, strict=True)]
    check_memory(math.prod(shape) * values.element_size(), f"{what.tensor} with what {what} reads around it")
    ends = [end for pair in zip(reversed(before), reversed(after), strict=True) for end in pair]
    return torch.nn.functional.pad(values, ends, value=fill), View(what.tensor, tuple(places))  # type: ignore[arg-type]


def _windows(what: View, values: torch.Tensor, shape: tuple[int, ...], target: tuple[str, ...]) -> Storage | None:
    """The view on the memory of the tensor; None if it would run backwards in it."""
    steps = [(p, step) for p, step in zip(what.places, values.stride(), strict=True) if isinstance(p, Affine)]
    strides = tuple(sum(place.factor(index) * step for place, step in steps) for index in what.indices)
    if any(stride < 0 for stride in strides):
        return None
    start = values.storage_offset() + sum(place.offset * step for place, step in steps)
    order = sorted(range(len(shape)), key=lambda d: (-strides[d], what.indices[d] in target))
    return Storage(strided_pattern(shape, strides, tuple(order)), values.as_strided(shape, strides, start))


def _picked(what: View, values: torch.Tensor, held: Held, extents: Mapping[str, int]) -> torch.Tensor:
    """The view as a copy, each value taken by its coordinates."""
    check_memory(
        math.prod(extents[index] for index in what.indices) * values.element_size(), f"what {what} reads, copied"
    )
    grid = {v: np.arange(extents[v]).reshape(_along(what.indices, (v,), extents)) for v in what.indices}
    moved = [n for n, (place, size) in enumerate(zip(what.places, values.shape, strict=True))
             if not (isinstance(place, Affine) and place.is_plain and size == extents[place.indices[0]])]  # fmt: skip
    if len(moved) == 1 and sum(len(place.indices) for place in what.places) == len(what.indices):
        (n,) = moved  # whole slices, which torch copies faster than values
        where = np.squeeze(_coordinates(what, n, grid, held, extents), _others(what, n))
        taken = values.index_select(n, torch.from_numpy(where.reshape(-1)))
        return taken.reshape(*taken.shape[:n], *where.shape, *taken.shape[n + 1 :])
    places = [_coordinates(what, n, grid, held, extents) for n in range(values.ndim)]
    return values[tuple(torch.from_numpy(np.ascontiguousarray(place)) for place in places)]


def _others(what: View, n: int) -> tuple[int, ...]:
    return tuple(d for d, index in enumerate(what.indices) if index not in what.places[n].indices)


def _coordinates(what: View, n: int, grid: Mapping[str, Array], held: Held, extents: Mapping[str, int]) -> Array:
    """The coordinates at which dimension `n` is read, in an array that has the view's dimensions, some of extent 1."""
    place = what.places[n]
    if isinstance(place, Affine):
        return _value(place, grid)
    order = sorted(range(len(place.indices)), key=lambda d: what.indices.index(place.indices[d]))
    return held[place.tensor].transpose(order).reshape(_along(what.indices, place.indices, extents))


def _value(place: Affine, grid: Mapping[str, Array]) -> Array:
    total: Array = np.array(place.offset)
    for index, factor in place.terms:
        total = total + factor * grid[index]
    return total


def _along(indices: Sequence[str], mine: Sequence[str], extents: Mapping[str, int]) -> list[int]:
    """The shape of an array that varies along some indices only."""
    return [extents[index] if index in mine else 1 for index in indices]


# --- sparse operands --------------------------------------------------------------------------------------


def _sparse(what: View, source: Storage, held: Held, extents: Mapping[str, int]) -> Storage:
    """Each entry at every place of the view at which it is read, as a coordinate list."""
    entries = _Entries(what, coordinates(source.pattern), held, extents)
    shape = tuple(extents[index] for index in what.indices)
    packing = pack(torch.from_numpy(np.stack([entries.at[index] for index in what.indices])), shape)
    values = stored_order(source)[torch.from_numpy(entries.number)]
    return Storage(packing.pattern, packing.gather(values), source.fill)


class _Entries:
    """The entries of a view: `number` of the one of the tensor that each is, and its coordinates by index variable.

    One place after the other binds its indices: it is solved for the last that is not bound yet, after the others of
    them have taken all their values.
    """

    def __init__(self, what: View, coords: Array, held: Held, extents: Mapping[str, int]) -> None:
        self.what, self.coords, self.held, self.extents = what, coords, held, extents
        self.number: Array = np.arange(coords.shape[1], dtype=np.int64)
        self.at: dict[str, Array] = {}
        for n in sorted(range(len(what.places)), key=lambda n: len(what.places[n].indices)):
            place = what.places[n]
            if isinstance(place, Affine):
                self._solve(place, n)
            else:
                self._look_up(place.indices, held[place.tensor], n)

    def _repeat(self, times: int | Array) -> None:
        total = times * len(self.number) if isinstance(times, int) else int(times.sum())
        check_memory(total * ENTRY_BYTES * (len(self.at) + 2), f"the {total:,} entries of {self.what}")
        self.number = np.repeat(self.number, times)
        self.at = {index: np.repeat(values, times) for index, values in self.at.items()}

    def _keep(self, kept: Array) -> None:
        self.number = self.number[kept]
        self.at = {index: values[kept] for index, values in self.at.items()}

    def _enumerate(self, index: str) -> None:
        count, extent = len(self.number), self.extents[index]
        self._repeat(extent)
        self.at[index] = np.tile(np.arange(extent, dtype=np.int64), count)

    def _solve(self, place: Affine, n: int) -> None:
        unbound = sorted((v for v in place.indices if v not in self.at), key=lambda v: self.extents[v])
        for index in unbound[:-1]:
            self._enumerate(index)
        left = self.coords[n][self.number] - _value(
            Affine(tuple(term for term in place.terms if term[0] not in unbound[-1:]), place.offset), self.at
        )
        if not unbound:
            self._keep(left == 0)
            return
        index = unbound[-1]
        found, rest = np.divmod(left, place.factor(index))
        self.at[index] = found
        self._keep((rest == 0) & (found >= 0) & (found < self.extents[index]))

    def _look_up(self, indices: tuple[str, ...], held: Array, n: int) -> None:
        """A join with the coordinates that a tensor holds."""
        order = np.argsort(held, axis=None, kind="stable")
        ordered = held.reshape(-1)[order]
        mine = self.coords[n][self.number]
        first, last = np.searchsorted(ordered, mine, "left"), np.searchsorted(ordered, mine, "right")
        counts = last - first
        within = np.arange(int(counts.sum())) - np.repeat(np.cumsum(counts) - counts, counts)
        places = order[np.repeat(first, counts) + within]
        self._repeat(counts)
        found = dict(zip(indices, np.unravel_index(places, held.shape), strict=True))
        agree = [self.at[index] == values for index, values in found.items() if index in self.at]
        self.at = {**found, **self.at}
        if agree:
            self._keep(np.logical_and.reduce(agree))
