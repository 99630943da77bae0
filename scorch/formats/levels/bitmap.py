"""The bitmap level: one bit for each coordinate of each parent, and a count of the bits before each word of 64.

Values are stored for set bits only: the position of a coordinate is the number of bits set before it, which is the rank
of Jacobson, *Space-efficient Static Trees and Graphs* (FOCS 1989).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from scorch.errors import FormatError
from scorch.formats.levels.compressed import Compressed
from scorch.formats.levels.level import Arrays, Index, Level, Nodes

__all__ = ["Bitmap"]

WORD = 64
AT_ONCE = 1 << 16  # words that are unpacked to bytes at a time


@dataclass(frozen=True)
class Bitmap(Level):
    """Coordinate j of parent p is stored if bit j % 64 of bits[p * words + j // 64] is set.

    `words` = ceil(size / 64); rank[w] is the number of bits that are set before word w, with one entry more than there
    are words.

    >>> from types import SimpleNamespace
    >>> Bitmap().bounds(SimpleNamespace(rank=[0, 2, 5], size=10), 1, 2)
    (2, 5)
    """

    name: ClassVar[str] = "bitmap"
    arrays: ClassVar[tuple[str, ...]] = ("bits", "rank")

    @property
    def plain(self) -> Level:
        return Compressed()

    def bounds(self, at: Any, first: Index, last: Index) -> tuple[Index, Index]:
        words = _words(at.size)
        return at.rank[first * words], at.rank[last * words]

    def coordinate(self, at: Any, position: Index) -> Index:
        raise FormatError("a bitmap level has no coordinate array; kernels read it as a compressed level")

    def positions(self, parents: int, size: int, arrays: Arrays) -> int:
        return int(arrays["rank"][-1])

    def validate(self, nodes: Nodes, size: int, arrays: Arrays) -> Nodes:
        bits, rank = arrays["bits"], arrays["rank"]
        if bits.dtype != np.uint64 or rank.dtype.kind not in "iu" or bits.ndim != 1 or rank.ndim != 1:
            raise FormatError(f"bits must be uint64 and rank integers, one-dimensional; got {bits.dtype}, {rank.dtype}")
        words = nodes.count * _words(size)
        if len(bits) != words or len(rank) != words + 1:
            raise FormatError(
                f"{nodes.count} parents of extent {size} take {words} words of bits and {words + 1} ranks; "
                f"there are {len(bits)} and {len(rank)}"
            )
        tail = size % WORD
        if tail and (bits.reshape(nodes.count, _words(size))[:, -1] >> np.uint64(tail)).any():
            raise FormatError(f"a bit is set for a coordinate outside the dimension's extent {size}")
        if rank[0] != 0 or not np.array_equal(np.cumsum(np.bitwise_count(bits), dtype=np.int64), rank[1:]):
            raise FormatError("rank must count the bits that are set before each word, beginning with 0")
        return Nodes(int(rank[-1]))

    def allocate(self, parents: int, positions: int, index: np.dtype[Any]) -> dict[str, tuple[int, np.dtype[Any]]]:
        raise FormatError("a bitmap level is made from a compressed one")

    def decoded(self, parents: int, size: int, arrays: Arrays) -> Arrays:
        words, bits = _words(size), arrays["bits"]
        places = [_places(bits[start : start + AT_ONCE], start) for start in range(0, len(bits), AT_ONCE)]
        found = np.concatenate(places) if places else np.zeros(0, dtype=np.int64)
        crd = found % max(1, words * WORD)
        pos = np.ascontiguousarray(arrays["rank"][:: max(1, words)]) if words else np.zeros(parents + 1, np.int64)
        return {"pos": pos, "crd": crd.astype(np.int32 if size <= 2**31 - 1 else np.int64)}

    def encoded(self, parents: int, size: int, arrays: Arrays) -> Arrays:
        pos, crd = arrays["pos"], arrays["crd"].astype(np.int64)
        words = _words(size)
        bits = np.zeros(parents * words, dtype=np.uint64)
        if len(crd):
            word = np.repeat(np.arange(parents, dtype=np.int64) * words, np.diff(pos)) + crd // WORD
            starts = np.flatnonzero(np.append(True, word[1:] != word[:-1]))  # ascending, so equal words are neighbours
            bits[word[starts]] = np.bitwise_or.reduceat(np.uint64(1) << (crd % WORD).astype(np.uint64), starts)
        rank = np.zeros(len(bits) + 1, dtype=np.int64)
        np.cumsum(np.bitwise_count(bits), out=rank[1:])
        return {"bits": bits, "rank": rank}


def _words(size: Index) -> Index:
    return (size + (WORD - 1)) // WORD


def _places(bits: np.ndarray[Any, Any], start: int) -> np.ndarray[Any, Any]:
    """Numbers of the bits that are set, the first of them being that of word `start`."""
    little = bits.astype("<u8", copy=False).view(np.uint8)
    return np.flatnonzero(np.unpackbits(little, bitorder="little")) + np.int64(start) * WORD
