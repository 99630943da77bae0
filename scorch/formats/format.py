"""A format: the level types of a tensor, outermost first, and which dimension each of them stores."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import cached_property

from scorch.errors import FormatError
from scorch.formats.blocks import divided
from scorch.formats.levels import LEVELS, Compressed, Dense, Level

__all__ = ["Format"]

_LEVEL = re.compile(r"\s*([a-z]+)\s*(?:\(([^()]*)\))?\s*(?:,|$)")
_FLAGS = {"nonordered": "ordered", "nonunique": "unique"}


def _parse(text: str) -> tuple[Level, ...]:
    levels: list[Level] = []
    start = 0
    while start < len(text):
        match = _LEVEL.match(text, start)
        if match is None:
            raise FormatError(
                f"cannot read {text[start:]!r} in the format {text!r}; write level types such as 'dense, compressed'"
            )
        name, flags = match.group(1), [flag.strip() for flag in (match.group(2) or "").split(",") if flag.strip()]
        if name not in LEVELS:
            raise FormatError(f"unknown level type {name!r} in the format {text!r}; there are {', '.join(LEVELS)}")
        unknown = [flag for flag in flags if flag not in _FLAGS]
        if unknown:
            raise FormatError(f"unknown property {unknown[0]!r} of level {name!r}; there are {', '.join(_FLAGS)}")
        levels.append(LEVELS[name](**{_FLAGS[flag]: False for flag in flags}))
        start = match.end()
    return tuple(levels)


def _checked_blocks(blocks: tuple[int, ...]) -> tuple[int, ...]:
    sizes = tuple(int(size) for size in blocks)
    if any(size < 1 for size in sizes):
        raise FormatError(f"blocks have a length of at least 1 in each dimension, got {sizes}")
    return sizes if any(size > 1 for size in sizes) else ()


def _with_insides(
    levels: tuple[Level, ...], order: tuple[int, ...] | None, blocks: tuple[int, ...]
) -> tuple[tuple[Level, ...], tuple[int, ...]]:
    """Levels of blocks with dense ones for their insides below them, unless those are there already."""
    outer, inner = len(blocks), len(divided(blocks))
    if len(levels) not in (outer, outer + inner):
        raise FormatError(f"blocks {blocks} are for {outer} dimensions; there are {len(levels)} levels")
    if len(levels) == outer:
        levels = (*levels, *(Dense() for _ in range(inner)))
        order = None if order is None else (*order, *range(outer, outer + inner))
    if all(level.full for level in levels[:outer]) or not all(level.full for level in levels[outer:]):
        raise FormatError("blocks are dense inside, and sparse as a whole: one level of their coordinates at least")
    if order is not None and sorted(order[:outer]) != list(range(outer)):
        raise FormatError(f"order {order} puts the inside of a block above a coordinate of blocks")
    return levels, tuple(range(outer + inner)) if order is None else order


@dataclass(frozen=True, init=False, eq=False)
class Format:
    """Level types outermost first, and the dimension that each stores.

    `levels` is a string such as "dense, compressed" or Level objects; `order[d]` is the dimension that level d stores
    (default: 0, 1, ...). With `blocks`, the block length in each dimension, these levels store the coordinates of
    blocks and dense levels below them the insides: `levels` and `order` then have one more for each dimension that is
    divided.
    FormatError if a name is unknown, `order` is no permutation, or a level cannot stand where it does.

    >>> csc = Format("dense, compressed", order=(1, 0))
    >>> csc.ndim, csc.order, str(csc)
    (2, (1, 0), 'csc')
    >>> Format("dense, compressed", blocks=(2, 4)).spelling
    'dense, compressed, dense, dense; blocks=(2, 4)'
    """

    levels: tuple[Level, ...]
    order: tuple[int, ...]
    blocks: tuple[int, ...]

    def __init__(
        self,
        levels: str | tuple[Level, ...] | list[Level],
        order: tuple[int, ...] | None = None,
        blocks: tuple[int, ...] = (),
    ) -> None:
        parsed = _parse(levels) if isinstance(levels, str) else tuple(levels)
        blocks = _checked_blocks(blocks)
        if blocks:
            parsed, order = _with_insides(parsed, order, blocks)
        chosen = tuple(range(len(parsed))) if order is None else tuple(int(d) for d in order)
        if sorted(chosen) != list(range(len(parsed))):
            raise FormatError(f"order {chosen} is no permutation of the dimensions 0 ... {len(parsed) - 1}")
        for above, level in zip((None, *parsed), parsed, strict=False):
            if level.branchless and (above is None or above.full):
                raise FormatError(f"a {level.name} level needs a compressed or singleton level above it")
            if above is not None and not above.unique and not level.branchless:
                raise FormatError(f"a {level.name} level cannot stand below {above}: only a singleton level can")
        object.__setattr__(self, "levels", parsed)
        object.__setattr__(self, "order", chosen)
        object.__setattr__(self, "blocks", blocks)

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        if not isinstance(other, Format) or self._hash != other._hash:
            return False
        return (self.levels, self.order, self.blocks) == (other.levels, other.order, other.blocks)

    def __hash__(self) -> int:
        return self._hash  # of nested values, and asked for at each look into a table of plans

    @cached_property
    def _hash(self) -> int:
        return hash((self.levels, self.order, self.blocks))

    @property
    def ndim(self) -> int:
        """Number of dimensions."""
        return len(self.blocks) or len(self.levels)

    @cached_property
    def stored(self) -> Format:
        """The format of the tensor of blocks, which has more dimensions; itself without blocks."""
        return Format(self.levels, self.order) if self.blocks else self

    @cached_property
    def grid(self) -> Format:
        """The format of the coordinates of blocks; itself without blocks."""
        return Format(self.levels[: self.ndim], self.order[: self.ndim]) if self.blocks else self

    @cached_property
    def plain(self) -> Format:
        """The format as kernels read and write it: itself, unless a level encodes another one."""
        levels = tuple(level.plain for level in self.levels)
        return self if levels == self.levels else Format(levels, self.order, self.blocks)

    @cached_property
    def is_dense(self) -> bool:
        """Whether every coordinate is stored."""
        return not self.blocks and all(level.full for level in self.levels)

    @cached_property
    def is_grouped(self) -> bool:
        """Whether a level stores several coordinates at a position."""
        return any(level.block > 1 for level in self.levels)

    @cached_property
    def is_ordered(self) -> bool:
        """Whether stored coordinates ascend lexicographically in level order."""
        return all(level.ordered for level in self.levels)

    @cached_property
    def is_unique(self) -> bool:
        """Whether no coordinate is stored twice (the last level decides)."""
        return not self.levels or self.levels[-1].unique

    @cached_property
    def sorted(self) -> Format:
        """The same format with every level ordered, and coordinates stored once.

        >>> str(Format("dense, compressed(nonordered, nonunique)").sorted)
        'csr'
        """
        last = len(self.levels) - 1
        levels = tuple(
            type(level)(
                ordered=True, unique=level.unique if depth < last and self.levels[depth + 1].branchless else True
            )
            for depth, level in enumerate(self.levels)
        )
        return Format(levels, self.order, self.blocks)

    @cached_property
    def unsorted(self) -> Format:
        """The sorted format with coordinates in any order below their parent, as MKL's and scipy's products leave them.

        Coordinate lists without an order may repeat themselves.

        >>> Format("dense, compressed").unsorted.spelling
        'dense, compressed(nonordered)'
        """
        lists = any(level.branchless for level in self.levels)
        return self.repeated if lists else self._loosened()

    @cached_property
    def repeated(self) -> Format:
        """The format with coordinates in any order, any of them any number of times.

        >>> Format("dense, compressed").repeated.spelling
        'dense, compressed(nonordered, nonunique)'
        """
        return self._loosened(repeats=True)

    def _loosened(self, repeats: bool = False) -> Format:
        levels = list(self.sorted.levels)
        for depth, level in enumerate(levels):
            if not level.full:
                ends = depth == len(levels) - 1 or levels[depth + 1].branchless  # only such a level may repeat itself
                levels[depth] = replace(level, ordered=False, unique=level.unique and not (repeats and ends))
        return Format(tuple(levels), self.order, self.blocks)

    def permuted(self, dims: tuple[int, ...]) -> Format:
        """The format of the same levels where dimension dims[d] has become the d-th.

        >>> str(Format("dense, compressed").permuted((1, 0)))
        'csc'
        """
        place = {old: new for new, old in enumerate(dims)}
        blocks = tuple(self.blocks[d] for d in dims) if self.blocks else ()
        inner = {len(dims) + n: place[d] for n, d in enumerate(divided(self.blocks))}
        after = {d: len(dims) + n for n, d in enumerate(divided(blocks))}
        order = tuple(place[d] if d in place else after[inner[d]] for d in self.order)
        return Format(self.levels, order, blocks)

    def with_order(self, order: tuple[int, ...]) -> Format:
        """The same levels over the dimensions in another order."""
        return Format(self.levels, order, self.blocks)

    def reordered(self, order: tuple[int, ...]) -> Format:
        """The sorted levels over the dimensions in another order, with no more places than are stored now.

        A dense level that comes to stand below a sparse one would be padded, and is compressed instead.

        >>> str(Format("compressed, dense").reordered((1, 0))), str(Format("dense, compressed").reordered((1, 0)))
        ('dcsc', 'csc')
        """
        levels = list(self.sorted.levels)
        sparse = [depth for depth, level in enumerate(levels) if not level.full]
        dense_below = set(self.order[sparse[-1] + 1 :]) if sparse else set()
        for depth in range(len(levels) - 1, -1, -1):
            if not levels[depth].full or order[depth] not in dense_below:
                dense_below = set()  # what is above is not at the end
            if levels[depth].full and not dense_below and sparse and depth > sparse[0]:
                levels[depth] = Compressed()
        return Format(tuple(levels), order)

    @cached_property
    def name(self) -> str:
        """The usual name of the format, or its levels."""
        from scorch.formats.named import usual_name

        return usual_name(self) or self.spelling

    @cached_property
    def spelling(self) -> str:
        """The levels in words, as the constructor takes them, and the order unless it is 0, 1, ..."""
        text = ", ".join(map(str, self.levels))
        text = text if self.order == tuple(range(len(self.levels))) else f"{text}; order={self.order}"
        return f"{text}; blocks={self.blocks}" if self.blocks else text

    def __str__(self) -> str:
        return self.name

    def __repr__(self) -> str:
        order = "" if self.order == tuple(range(len(self.levels))) else f", order={self.order}"
        blocks = f", blocks={self.blocks}" if self.blocks else ""
        return f"Format({', '.join(map(str, self.levels))!r}{order}{blocks})"
