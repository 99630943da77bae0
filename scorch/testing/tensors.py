"""Tensors for tests: random formats, random values, and level arrays that are made here and not by the library."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

import numpy as np
import torch

from scorch.formats import Compressed, Dense, Format, Level, Singleton, dtypes
from scorch.tensor import Tensor, tensor

__all__ = ["Operand", "build", "random_format"]

Array = np.ndarray[Any, Any]

_HALF = ("float16", "bfloat16")


@dataclass(frozen=True)
class Operand:
    """All that it takes to make one tensor: equal descriptions make equal tensors.

    `density` is the share of coordinates that are stored, some of them with the value zero. `special` puts infinities
    among the values.

    >>> from scorch.formats import csr
    >>> made = Operand((3, 4), csr, "float32", density=0.5, seed=1).make()
    >>> made.format, made.shape, made.nnz
    (Format('dense, compressed'), (3, 4), 6)
    """

    shape: tuple[int, ...]
    format: Format
    dtype: str = "float64"
    fill: float = 0
    density: float = 0.4
    seed: int = 0
    special: bool = False

    def make(self) -> Tensor:
        """The tensor, checked against the array that it was made of; AssertionError if they differ."""
        rng = np.random.default_rng(self.seed)
        places = max(1, int(np.prod(self.shape)))
        stored = np.zeros(places, dtype=bool)
        stored[rng.permutation(places)[: round(self.density * places)]] = True
        values = np.where(stored, self._values(rng, places), self._cast(np.asarray(self.fill)))
        array = values[: int(np.prod(self.shape))].reshape(self.shape)
        mask = stored[: array.size].reshape(self.shape)
        made = build(array, self.format, mask, self.dtype, self.fill, rng)
        wanted = torch.from_numpy(array).to(dtypes.to_torch(self.dtype))
        assert torch.equal(made.to_dense(), wanted), f"{self} is not what it was made of: {made.to_dense()}"
        return made

    def _values(self, rng: np.random.Generator, count: int) -> Array:
        values = rng.integers(0, 4, count)
        if self.dtype not in ("bool", "uint8"):
            values = values * rng.choice((-1, 1), count)
        made = self._cast(values)
        if self.special and self.dtype.startswith(("float", "bfloat")):
            made[rng.random(count) < 0.1] = np.inf
        return made

    def _cast(self, values: Array) -> Array:
        return np.asarray(values).astype("float32" if self.dtype in _HALF else self.dtype)


def build(
    array: Array,
    format: Format,
    stored: Array | None = None,
    dtype: str | None = None,
    fill: float = 0,
    rng: np.random.Generator | None = None,
) -> Tensor:
    """A tensor whose level arrays are made here, not by the library.

    `stored` says which coordinates it has entries for (those whose value isn't the fill, if None); levels that are
    padded may add some. Where the format allows it and `rng` is given, coordinates are shuffled and some stand twice,
    the second time with a zero.

    >>> from scorch.formats import coo
    >>> build(np.array([[0.0, 2.0], [3.0, 0.0]]), coo(2)).coords()
    tensor([[0, 1],
            [1, 0]])
    """
    dtype = dtype or dtypes.name_of(array.dtype)
    if format.is_dense:
        in_order = torch.from_numpy(array.transpose(format.order).copy()).to(dtypes.to_torch(dtype))
        return tensor(in_order.permute(tuple(np.argsort(format.order).tolist())))
    mask = array != fill if stored is None else stored
    coords = np.stack(np.nonzero(mask))
    values = array[tuple(coords)]
    coords = coords[list(format.order)]
    if rng is not None and not format.is_unique:
        coords, values = _doubled(coords, values, rng)
    sort = np.lexsort(_keys(coords, format, rng)[::-1])
    arrays, slots, count = _levels(format, coords[:, sort], array.shape)
    kept = np.full(count, fill).astype(array.dtype)
    kept[slots] = values[sort]
    return Tensor.from_levels(array.shape, format, arrays, torch.from_numpy(kept).to(dtypes.to_torch(dtype)), fill)


def random_format(rng: Random, rank: int) -> Format:
    """Any legal format of a rank: dense, compressed and coordinate lists in any order; the last may be unordered, with
    coordinates that stand twice.

    >>> print(random_format(Random(2), 2), random_format(Random(4), 3).spelling, sep="; ")
    dense; compressed, compressed, dense; order=(2, 1, 0)
    """
    levels: list[Level] = []
    while len(levels) < rank:
        depth = rng.randint(0, rank - len(levels))
        if depth == 0:
            levels.append(Dense())
            continue
        ordered, unique = True, True
        if depth == rank - len(levels):
            ordered, unique = rng.choice(((True, True), (True, True), (True, False), (False, False)))
        for n in range(depth):
            kind = Singleton if n else Compressed
            levels.append(kind(ordered=ordered, unique=unique and n == depth - 1))
    return Format(tuple(levels), tuple(rng.sample(range(rank), rank)))


def _doubled(coords: Array, values: Array, rng: np.random.Generator) -> tuple[Array, Array]:
    """Some entries stored twice: the value and a zero, so that neither sums nor truth values change."""
    again = np.flatnonzero(rng.random(len(values)) < 0.4)
    zeros = np.zeros(len(again), dtype=values.dtype)
    return np.concatenate([coords, coords[:, again]], axis=1), np.concatenate([values, zeros])


def _keys(coords: Array, format: Format, rng: np.random.Generator | None) -> list[Array]:
    """What to sort by: the coordinates, and at random from the first unordered level on."""
    ordered = next((n for n, level in enumerate(format.levels) if not level.ordered), format.ndim)
    if rng is None or ordered == format.ndim:
        return list(coords)
    return [*coords[:ordered], rng.random(coords.shape[1])]


def _levels(format: Format, coords: Array, shape: Sequence[int]) -> tuple[list[dict[str, Array]], Array, int]:
    """Level arrays for coordinates that are sorted as they shall be stored, and the position of each."""
    parents, count = np.zeros(coords.shape[1], dtype=np.int64), 1
    arrays: list[dict[str, Array]] = []
    for depth, level in enumerate(format.levels):
        if level.full:
            extent = shape[format.order[depth]]
            arrays.append({})
            parents, count = parents * extent + coords[depth], count * extent
        elif not level.branchless:
            group = coords[depth : _group_end(format, depth)]
            new = np.ones(len(parents), dtype=bool)
            if format.levels[depth + len(group) - 1].unique:
                new[1:] = (parents[1:] != parents[:-1]) | (group[:, 1:] != group[:, :-1]).any(axis=0)
            pos = np.searchsorted(parents[new], np.arange(count + 1))
            arrays += [{"crd": column[new]} for column in group]
            arrays[depth]["pos"] = pos
            parents, count = np.cumsum(new) - 1, int(new.sum())
    return arrays, parents, count


def _group_end(format: Format, depth: int) -> int:
    """Behind the last of the singleton levels that share the positions of the level at `depth`."""
    return next((n for n in range(depth + 1, format.ndim) if not format.levels[n].branchless), format.ndim)
