"""Tensors for tests: random formats, random values, and level arrays that are made here and not by the library."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

import numpy as np
import torch

from scorch.formats import Bitmap, Compressed, Dense, Format, Level, Singleton, dtypes
from scorch.formats.blocks import divided
from scorch.tensor import Tensor, tensor

__all__ = ["Operand", "as_dense", "build", "random_format"]

Array = np.ndarray[Any, Any]

_HALF = ("float16", "bfloat16")


@dataclass(frozen=True)
class Operand:
    """All that it takes to make one tensor: equal descriptions make equal tensors.

    `density` is the share of coordinates that are stored, some of them with the value zero. `special` puts infinities
    among the values; with `below` they are coordinates from 0 to that. Operands that differ in `variant` alone store
    the same coordinates. A `sliced` one is cut out of a greater tensor of this format; a `frozen` one is frozen.

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
    variant: int = 0
    below: int | None = None
    sliced: bool = False
    frozen: bool = False

    def make(self) -> Tensor:
        """The tensor, checked against the array that it was made of; AssertionError if they differ."""
        rng = np.random.default_rng(self.seed)
        shape = tuple(extent + 2 for extent in self.shape) if self.sliced else self.shape
        places = max(1, int(np.prod(shape)))
        stored = np.zeros(places, dtype=bool)
        stored[rng.permutation(places)[: round(self.density * places)]] = True
        drawn = self._values(np.random.default_rng([self.seed, self.variant]), places)
        values = np.where(stored, drawn, self._cast(np.asarray(self.fill)))
        array = values[: int(np.prod(shape))].reshape(shape)
        mask = stored[: array.size].reshape(shape)
        sums = rng if not self.special else None  # an infinity and a zero are summed to one, but multiplied apart
        made = build(array, self.format, mask, self.dtype, self.fill, sums)
        if self.sliced:
            inside = tuple(slice(1, extent + 1) for extent in self.shape)
            made, array = tensor(made[inside]), np.array(array[inside])
        wanted = torch.from_numpy(array).to(dtypes.to_torch(self.dtype))
        assert torch.equal(as_dense(made), wanted), f"{self} is not what it was made of: {as_dense(made)}"
        return made.freeze() if self.frozen else made

    def _values(self, rng: np.random.Generator, count: int) -> Array:
        if self.below is not None:
            return self._cast(rng.integers(0, max(1, self.below), count))
        values = rng.integers(0, 4, count)
        if self.dtype not in ("bool", "uint8"):
            values = values * rng.choice((-1, 1), count)
        made = self._cast(values)
        if self.special and self.dtype.startswith(("float", "bfloat")):
            made[rng.random(count) < 0.1] = np.inf
        return made

    def _cast(self, values: Array) -> Array:
        return np.asarray(values).astype("float32" if self.dtype in _HALF else self.dtype)


def as_dense(x: Tensor) -> torch.Tensor:
    """The dense tensor of the coordinates and values of another one: no kernel of the library makes it.

    >>> from scorch.formats import csr
    >>> as_dense(build(np.array([[0.0, 2.0]]), csr, fill=0))
    tensor([[0., 2.]], dtype=torch.float64)
    """
    if x.format.is_dense:
        return x.to_dense()
    places, values = tuple(x.coords().to(torch.int64)), x.values.detach().reshape(-1)
    made = torch.full(x.shape, x.fill, dtype=x.dtype)
    if x.format.is_unique:
        made[places] = values
        return made
    wide = torch.int64 if x.dtype == torch.bool else x.dtype
    sums = torch.zeros(x.shape, dtype=wide).index_put_(places, values.to(wide), accumulate=True).to(x.dtype)
    made[places] = sums[places]
    return made


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
    if format.blocks:
        return _blocked(array, format, stored, dtype, fill)
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


def _blocked(array: Array, format: Format, stored: Array | None, dtype: str, fill: float) -> Tensor:
    """A tensor in blocks: every block that has an entry is stored whole."""
    sizes = format.blocks
    apart = [extent for n, size in zip(array.shape, sizes, strict=True) for extent in (n // size, size)]
    inner = [2 * d + 1 for d in divided(sizes)]
    order = [*range(0, 2 * array.ndim, 2), *inner, *(2 * d + 1 for d in range(array.ndim) if 2 * d + 1 not in inner)]
    shape = [apart[d] for d in [*range(0, 2 * array.ndim, 2), *inner]]
    mask = (array != fill if stored is None else stored).reshape(apart).transpose(order).reshape(shape)
    whole = mask.any(axis=tuple(range(array.ndim, mask.ndim)), keepdims=True) & np.ones_like(mask)
    made = build(array.reshape(apart).transpose(order).reshape(shape), format.stored, whole, dtype, fill)
    pattern = made._storage.pattern
    return Tensor.from_levels(array.shape, format, pattern.arrays, made.values.reshape(-1), fill)


def random_format(rng: Random, rank: int, shape: Sequence[int] = ()) -> Format:
    """Any legal format of a rank: dense, compressed, bitmaps and coordinate lists in any order; the last may be
    unordered, with coordinates that stand twice. For a tensor of the given `shape` also in blocks.

    >>> print(random_format(Random(2), 2), random_format(Random(10), 3), sep="; ")
    dense; dense, compressed, dense
    """
    blocks = _random_blocks(rng, shape)
    levels = _random_levels(rng, rank, loose=not blocks)
    if all(level.full for level in levels):
        blocks = ()  # they are sparse as a whole
    return Format(tuple(levels), tuple(rng.sample(range(rank), rank)), blocks)


def _random_blocks(rng: Random, shape: Sequence[int]) -> tuple[int, ...]:
    """Blocks that fill a tensor of the shape, rarely; none: ()."""
    if not shape or rng.random() > 0.15:
        return ()
    blocks = tuple(rng.choice([size for size in (1, 2, 3, 4) if extent % size == 0]) for extent in shape)
    return blocks if any(size > 1 for size in blocks) else ()


def _random_levels(rng: Random, rank: int, loose: bool) -> list[Level]:
    """Level types that may stand below each other; the last `loose` ones now and then without order."""
    levels: list[Level] = []
    while len(levels) < rank:
        depth = rng.randint(0, rank - len(levels))
        if depth == 0:
            levels.append(Dense())
            continue
        ordered, unique = True, True
        if loose and depth == rank - len(levels):
            ordered, unique = rng.choice(((True, True), (True, True), (True, False), (False, False)))
        if depth == 1 and ordered and unique and rng.random() < 0.2:
            levels.append(Bitmap())
            continue
        for n in range(depth):
            kind = Singleton if n else Compressed
            levels.append(kind(ordered=ordered, unique=unique and n == depth - 1))
    return levels


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
            if isinstance(level, Bitmap):
                arrays.append(_bits(parents[new], group[0][new], count, shape[format.order[depth]]))
            else:
                arrays += [{"crd": column[new]} for column in group]
                arrays[depth]["pos"] = np.searchsorted(parents[new], np.arange(count + 1))
            parents, count = np.cumsum(new) - 1, int(new.sum())
    return arrays, parents, count


def _bits(parents: Array, crd: Array, count: int, extent: int) -> dict[str, Array]:
    """A bit for each coordinate of each parent, in words of 64, and how many are set before each word."""
    places = np.zeros((count, -(-extent // 64) * 64), dtype=bool)
    places[parents, crd] = True
    words = places.reshape(-1, 64)
    bits = np.packbits(words, axis=1, bitorder="little").reshape(-1).view("<u8").astype(np.uint64)
    return {"bits": bits, "rank": np.append(0, np.cumsum(words.sum(axis=1))).astype(np.int64)}


def _group_end(format: Format, depth: int) -> int:
    """Behind the last of the singleton levels that share the positions of the level at `depth`."""
    return next((n for n in range(depth + 1, format.ndim) if not format.levels[n].branchless), format.ndim)
