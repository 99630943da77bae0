"""Choosing how the structure of a frozen tensor is packed: its index arrays as narrow as what they hold."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from scorch.formats import Pattern
from scorch.schedule.prices import Prices, in_force

__all__ = ["Packing", "choose_packing"]

WIDTHS = (16, 32)  # bits, besides those that arrays have
SMALL = 4096  # entries: below, a call costs more than all of its loads


@dataclass(frozen=True)
class Packing:
    """Bits of each level's index arrays, bytes before and after, and nanoseconds that each pass over them saves."""

    bits: tuple[dict[str, int], ...]
    before: int
    after: int
    saves: float

    def __str__(self) -> str:
        widths = ", ".join(
            f"{part}{n + 1} in {b} bits" for n, level in enumerate(self.bits) for part, b in level.items()
        )
        return f"packed: {widths}; {self.after:,} bytes instead of {self.before:,}, {self.saves / 1000:.3g} us a pass"


def choose_packing(pattern: Pattern, prices: Prices | None = None) -> Packing | None:
    """The narrowest signed integers that hold each index array; None where that would save nothing.

    Kernels read every index once a pass, so that what is saved is the streaming of so many bytes.

    >>> from scorch.formats import csr
    >>> crd = np.arange(8192) % 100
    >>> print(choose_packing(Pattern((2, 100), csr, [{}, {"pos": np.array([0, 8192, 8192]), "crd": crd}], False)))
    packed: pos2 in 16 bits, crd2 in 16 bits; 16,390 bytes instead of 65,560, 1.23 us a pass
    """
    if pattern.nnz < SMALL:
        return None
    line = (prices or in_force()).line
    bits = tuple({part: _bits(array) for part, array in level.items()} for level in pattern.arrays)
    after = sum(
        array.size * width // 8
        for level, widths in zip(pattern.arrays, bits, strict=True)
        for array, width in zip(level.values(), widths.values(), strict=True)
    )
    if after >= pattern.nbytes:
        return None
    return Packing(bits, pattern.nbytes, after, (pattern.nbytes - after) / 64 * line)


def _bits(array: np.ndarray[tuple[int], np.dtype[np.integer]]) -> int:
    """Bits for the values of an array, which has no negative ones; those that it has where none are narrower."""
    now = array.dtype.itemsize * 8
    if array.dtype.kind != "i" or array.size == 0:
        return now
    largest = int(array.max())
    return next((width for width in WIDTHS if width < now and largest < 2 ** (width - 1)), now)
