"""Vectors made from scalars and memory: fill, count, load, store, gather, prefetch, fence.

Arrays are 1-d and C-contiguous, positions are in elements. Plain functions raise IndexError for lanes
outside the array; the compiled ones do not look (see `scorch.emit.vocabulary.checked`).
"""

from typing import Any

import numpy as np

from scorch.emit.vocabulary.lanes import Lanes, check_part, check_range, check_width, dtype_of, same_dtype


def vfull(x: Any, n: int) -> Lanes:
    """Return n lanes of the scalar x, in x's dtype.

    >>> vfull(np.float32(2), 4)
    array([2., 2., 2., 2.], dtype=float32)
    """
    check_width(n)
    return np.full(n, x, dtype_of(x))


def viota(n: int) -> Lanes:
    """Return the int64 lanes 0, 1, ... n - 1.

    >>> viota(4)
    array([0, 1, 2, 3])
    """
    check_width(n)
    return np.arange(n, dtype=np.int64)


def viota32(n: int) -> Lanes:
    """Return the int32 lanes 0, 1, ... n - 1.

    >>> viota32(4)
    array([0, 1, 2, 3], dtype=int32)
    """
    check_width(n)
    return np.arange(n, dtype=np.int32)


def vload(a: Lanes, i: int, n: int) -> Lanes:
    """Return the lanes a[i : i + n]; no alignment is needed.

    >>> vload(np.arange(8), 3, 4)
    array([3, 4, 5, 6])
    """
    check_width(n)
    i = int(i)
    check_range("vload", a, i, n)
    return a[i : i + n].copy()


def vturn(a: Lanes, i: int, step: int, n: int) -> tuple[Lanes, ...]:
    """Return the columns of a block of n rows: lane r of vector c is a[i + r * step + c].

    >>> vturn(np.arange(8), 1, 4, 2)
    (array([1, 5]), array([2, 6]))
    """
    rows = [vload(a, int(i) + row * int(step), n) for row in range(n)]
    return tuple(np.ascontiguousarray(column) for column in np.stack(rows).T)


def vload_part(a: Lanes, i: int, n: int, m: int) -> Lanes:
    """Return n lanes: the first m from a[i : i + m], the others 0; 0 <= m <= n.

    >>> vload_part(np.arange(8), 5, 4, 3)
    array([5, 6, 7, 0])
    """
    check_width(n)
    i, m = int(i), int(m)
    check_part("vload_part", a, i, n, m)
    lanes = np.zeros(n, a.dtype)
    lanes[:m] = a[i : i + m]
    return lanes


def vstore(a: Lanes, i: int, v: Lanes) -> None:
    """Write all lanes of v, of a's dtype, to a[i : i + n].

    >>> a = np.zeros(4, np.int64)
    >>> vstore(a, 1, viota(2)); a
    array([0, 0, 1, 0])
    """
    same_dtype(a, v)
    i = int(i)
    check_range("vstore", a, i, len(v))
    a[i : i + len(v)] = v


def vstream(a: Lanes, i: int, v: Lanes) -> None:
    """As `vstore`, past the caches: for what outgrows them. Other threads see it behind a `fence`.

    >>> a = np.zeros(4, np.int64)
    >>> vstream(a, 1, viota(2)); fence(); a
    array([0, 0, 1, 0])
    """
    vstore(a, i, v)


def fence() -> None:
    """Have all stores before this one be done before any that follows."""


def vstore_part(a: Lanes, i: int, v: Lanes, m: int) -> None:
    """Write the first m lanes of v, of a's dtype, to a[i : i + m].

    >>> a = np.zeros(4, np.int64)
    >>> vstore_part(a, 1, vfull(7, 4), 3); a
    array([0, 7, 7, 7])
    """
    same_dtype(a, v)
    i, m = int(i), int(m)
    check_part("vstore_part", a, i, len(v), m)
    a[i : i + m] = v[:m]


def vgather(a: Lanes, idx: Lanes) -> Lanes:
    """Return the lanes a[idx[0]], a[idx[1]], ...; idx holds int32 or int64 lanes.

    >>> vgather(np.array([10, 20, 30]), np.array([2, 0]))
    array([30, 10])
    """
    return vgather_part(a, idx, len(idx))


def vgather_part(a: Lanes, idx: Lanes, m: int) -> Lanes:
    """Return the first m lanes of a[idx] and 0 in the others, whose indices are not looked at.

    >>> vgather_part(np.array([10, 20, 30]), np.array([2, 99]), 1)
    array([30,  0])
    """
    if idx.dtype not in (np.int32, np.int64):
        raise TypeError(f"vgather: indices are int32 or int64 lanes, not {idx.dtype}")
    used = idx[: int(m)]
    if not 0 <= m <= len(idx) or np.any((used < 0) | (used >= len(a))):
        raise IndexError(f"vgather: an index outside an array of length {len(a)}, or {m} of {len(idx)} lanes")
    lanes = np.zeros(len(idx), a.dtype)
    lanes[: int(m)] = a[used]
    return lanes


def vgather_at(a: Lanes, crd: Lanes, i: int, n: int) -> Lanes:
    """Return the lanes a[crd[i]], ..., a[crd[i + n - 1]]; crd holds integers, which become no vector.

    >>> vgather_at(np.array([10, 20, 30]), np.array([0, 2, 0, 1]), 1, 2)
    array([30, 10])
    """
    return vgather(a, vload(crd, i, n).astype(np.int64))


def prefetch(a: Lanes, i: int) -> None:
    """Ask for the cache line of a[i] to be read; i may be out of range. Does nothing when plain.

    >>> prefetch(np.zeros(4), 1000)
    """


def first_lanes(v: Lanes, m: int) -> Lanes:
    """Return bool lanes, as many as v has, of which the first m are true. For the checked vocabulary.

    >>> first_lanes(np.zeros(4), 1)
    array([ True, False, False, False])
    """
    return np.arange(len(v)) < m
