"""Scalars: atomic updates, places in order, bits of a uint64 word, search in an ordered array, sorting a range."""

from typing import Any

import numpy as np

from scorch.emit.vocabulary.lanes import Lanes, check_range, quiet, same_dtype


@quiet
def fetch_add(a: Lanes, i: int, x: Any) -> Any:
    """Add x to a[i] atomically and return the old value; a holds integers. Relaxed memory order.

    >>> cursor = np.array([5])
    >>> fetch_add(cursor, 0, 2), cursor
    (np.int64(5), array([7]))
    """
    if same_dtype(a, x).kind not in "iu":
        raise TypeError(f"fetch_add: an array of integers, not {a.dtype}")
    check_range("fetch_add", a, int(i), 1)
    old = a[i]
    a[i] = old + x
    return old


def follow(ends: Lanes, chunk: int, count: int) -> Any:
    """Return where the `count` entries of a chunk begin that stand behind those of all chunks before it.

    ends[c] is where the entries before chunk c end, or -1 as long as nobody knows: other threads may still count some
    of them, which is waited for. Tells the chunk behind it. A look-back (Merrill and Garland 2016) of one step.

    >>> ends = np.array([0, -1, -1])
    >>> follow(ends, 0, 5), follow(ends, 1, 2), ends
    (np.int64(0), np.int64(5), array([0, 5, 7]))
    """
    first = fetch_add(ends, chunk, np.int64(0))
    while first < 0:
        first = fetch_add(ends, chunk, np.int64(0))
    fetch_add(ends, chunk + 1, np.int64(first + count + 1))
    return first


@quiet
def atomic_add(a: Lanes, i: int, x: Any) -> None:
    """Add x to a[i] atomically; a holds integers or floats. Relaxed memory order.

    >>> a = np.zeros(2)
    >>> atomic_add(a, 1, 2.5); a
    array([0. , 2.5])
    """
    if same_dtype(a, x).kind not in "iuf":
        raise TypeError(f"atomic_add: an array of numbers, not {a.dtype}")
    check_range("atomic_add", a, int(i), 1)
    a[i] = a[i] + x


def popcount(x: np.uint64) -> np.int64:
    """Return how many bits of x are set.

    >>> popcount(np.uint64(0b1011))
    np.int64(3)
    """
    return np.int64(_word(x).bit_count())


def ctz(x: np.uint64) -> np.int64:
    """Return the position of the lowest set bit of x, 64 if there is none.

    >>> ctz(np.uint64(0b1000)), ctz(np.uint64(0))
    (np.int64(3), np.int64(64))
    """
    word = _word(x)
    return np.int64((word & -word).bit_length() - 1 if word else 64)


def bit(j: int) -> np.uint64:
    """Return the word in which only bit j modulo 64 is set.

    >>> bit(3), bit(64)
    (np.uint64(8), np.uint64(1))
    """
    return np.uint64(1 << (int(j) & 63))


def lower_bound(a: Lanes, lo: int, hi: int, x: Any) -> np.int64:
    """Return the first position p in lo .. hi with a[p] >= x, else hi; a is ordered there.

    x has a's dtype. Raises IndexError when lo .. hi does not lie in a.

    >>> lower_bound(np.array([1, 3, 3, 7]), 0, 4, 3)
    np.int64(1)
    """
    same_dtype(a, x)
    lo, hi = int(lo), int(hi)
    if lo >= hi:
        return np.int64(hi)
    check_range("lower_bound", a, lo, hi - lo)
    return np.int64(lo + np.searchsorted(a[lo:hi], x))


def gallop(a: Lanes, lo: int, hi: int, x: Any) -> np.int64:
    """Return what `lower_bound` does, found in steps that double from lo on: quickly where it is near.

    Raises IndexError when lo .. hi does not lie in a. The search is that of Bentley and Yao, *An almost optimal
    algorithm for unbounded searching* (1976).

    >>> gallop(np.array([1, 3, 3, 7]), 0, 4, 4)
    np.int64(3)
    """
    same_dtype(a, x)
    lo, hi = int(lo), int(hi)
    if lo >= hi:
        return np.int64(hi)
    check_range("gallop", a, lo, hi - lo)
    return np.int64(lo + np.searchsorted(a[lo:hi], x))


def sort_range(a: Lanes, lo: int, hi: int) -> None:
    """Sort a[lo:hi] in place, ascending, without allocating.

    >>> a = np.array([9, 3, 1, 2])
    >>> sort_range(a, 0, 3); a
    array([1, 3, 9, 2])
    """
    check_range("sort_range", a, int(lo), max(0, int(hi) - int(lo)))
    a[lo:hi].sort()


def _word(x: np.uint64) -> int:
    """Return a uint64 as a Python int; anything else is a TypeError."""
    if not isinstance(x, np.uint64):
        raise TypeError(f"expected a uint64, not {type(x).__name__}")
    return int(x)
