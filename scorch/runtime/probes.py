"""Short loops whose speed one thing decides: memory, multiply-adds, gathers of rows, one step of a kernel.

Each function runs its loop `times` times, without the interpreter lock, so that one of them a thread measures what the
threads reach together. Numba compiles them when they are first asked for.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import torch  # noqa: F401  before Numba, so that both share one OpenMP pool

from scorch.emit.jit import FASTMATH
from scorch.emit.vocabulary import bit, ctz, prefetch, register, sort_range, vadd, vfma, vfull, vload, vsum
from scorch.schedule.machine import host

__all__ = ["AHEAD", "FMAS", "LINE", "Array", "compiled", "picks"]

AHEAD = 16  # picks: how far in advance a gathered row is fetched, as in kernels
LINE = 64  # bytes that memory hands out at once
FMAS = 10  # multiply-adds in flight: more than any core's latency times its rate

Array = np.ndarray[Any, Any]


def picks(size: int, row: int) -> Array:
    """Rows of a table of `size` bytes in an order without order: so many that a turn reads every line of the table.

    Fewer, taken again and again, would soon lie in a nearer cache than the table does.
    """
    rng, step = np.random.default_rng(0), max(1, LINE // row)
    lines = rng.permutation(size // (step * row)).astype(np.int32)
    chosen = lines * np.int32(step) + rng.integers(0, step, lines.size, dtype=np.int32)
    return np.append(chosen, np.resize(chosen, AHEAD))  # what is fetched in advance of the last ones


def _read(source: Array, times: int) -> Any:
    total = np.float32(0)
    for _ in range(times):
        for i in range(source.size):
            total += source[i]
    return total


def _copy(source: Array, target: Array, times: int) -> None:
    for turn in range(times):
        start = np.float32(turn)  # something to add: a plain copy would become a call of memcpy
        for i in range(target.size):
            target[i] = source[i] + start


def _triad(left: Array, right: Array, target: Array, times: int) -> None:
    for turn in range(times):
        scale = np.float32(turn)
        for i in range(target.size):
            target[i] = left[i] + scale * right[i]


def _pick(table: Array, chosen: Array, times: int) -> Any:
    """Single values from all over a table."""
    total = np.float32(0)
    for _ in range(times):
        for i in range(chosen.size - AHEAD):
            total += table[np.uint64(chosen[i])]
    return total


def _rows(lanes: int) -> Callable[..., Any]:
    def rows(table: Array, chosen: Array, width: int, times: int) -> Any:
        """Rows of `width` values, a multiple of two vectors, from all over a table."""
        first, second = vfull(np.float32(0), lanes), vfull(np.float32(0), lanes)
        for _ in range(times):
            for i in range(chosen.size - AHEAD):
                here: Any = np.int64(chosen[i]) * width
                ahead: Any = np.int64(chosen[i + AHEAD]) * width
                for j in range(0, width, 2 * lanes):
                    prefetch(table, ahead + j)
                    first = vadd(first, vload(table, here + j, lanes))
                    second = vadd(second, vload(table, here + j + lanes, lanes))
        return vsum(vadd(first, second))

    return rows


def _row_sums(pos: Array, crd: Array, vals: Array, x: Array, y: Array, times: int) -> None:
    """A sparse matrix times a vector, entry by entry."""
    for _ in range(times):
        for i in range(y.size):
            total = np.float32(0)
            for p in range(np.int64(pos[np.uint64(i)]), np.int64(pos[np.uint64(i + 1)])):
                total += vals[np.uint64(p)] * x[np.uint64(np.int64(crd[np.uint64(p)]))]
            y[i] = total


def _merge(left: Array, right: Array, times: int) -> Any:
    """How many values two sorted arrays share, step by step."""
    shared = 0
    for _ in range(times):
        p = q = 0
        while p < left.size and q < right.size:
            a, b = left[p], right[q]
            if a == b:
                shared += 1
            if a <= b:
                p += 1
            if b <= a:
                q += 1
    return shared


def _scatter(keys: Array, vals: Array, bits: Array, row: Array, crd: Array, out: Array, times: int) -> int:
    """Add to places of a row that is marked by a bit each, then read its entries back in order."""
    found = 0
    for _ in range(times):
        for p in range(keys.size):
            key: Any = np.int64(keys[np.uint64(p)])
            row[np.uint64(key)] += vals[np.uint64(p)]
            bits[np.uint64(key >> 6)] |= bit(key)
        found = 0
        for w in range(bits.size):
            word = bits[np.uint64(w)]
            bits[np.uint64(w)] = np.uint64(0)
            while word != np.uint64(0):
                key = np.int64(w * 64) + ctz(word)
                word &= word - np.uint64(1)
                crd[np.uint64(found)] = key
                out[np.uint64(found)] = row[np.uint64(key)]
                row[np.uint64(key)] = np.float32(0)
                found += 1
    return found


def _sort(source: Array, target: Array, length: int, times: int) -> None:
    """Sort runs of some length, each from the same disorder."""
    for _ in range(times):
        for start in range(0, source.size - length + 1, length):
            for i in range(start, start + length):
                target[i] = source[i]
            sort_range(target, start, start + length)


def _place(keys: Array, vals: Array, pos: Array, crd: Array, out: Array, times: int) -> None:
    """Place values by counting their keys; `pos` is one longer than keys have values."""
    for _ in range(times):
        pos[:] = 0
        for p in range(keys.size):
            pos[np.uint64(np.int64(keys[np.uint64(p)]) + 1)] += 1
        for k in range(1, pos.size):
            pos[np.uint64(k)] += pos[np.uint64(k - 1)]
        for p in range(keys.size):
            key = np.uint64(np.int64(keys[np.uint64(p)]))
            place = np.uint64(pos[key])
            pos[key] += 1
            crd[place] = np.int32(p)
            out[place] = vals[np.uint64(p)]


def _multiply_adds(lanes: int) -> Callable[..., Any]:
    def multiply_adds(source: Array, times: int) -> Any:
        x = vload(source, 0, lanes)
        a0 = a1 = a2 = a3 = a4 = vfull(np.float32(0), lanes)
        b0 = b1 = b2 = b3 = b4 = vfull(np.float32(1), lanes)
        scale = source[0]
        for _ in range(times):  # what is multiplied changes: a constant product would leave the loop
            a0, a1, a2 = vfma(scale, a0, x), vfma(scale, a1, x), vfma(scale, a2, x)
            a3, a4, b0 = vfma(scale, a3, x), vfma(scale, a4, x), vfma(scale, b0, x)
            b1, b2 = vfma(scale, b1, x), vfma(scale, b2, x)
            b3, b4 = vfma(scale, b3, x), vfma(scale, b4, x)
        left = vadd(vadd(vadd(a0, a1), vadd(a2, a3)), a4)
        right = vadd(vadd(vadd(b0, b1), vadd(b2, b3)), b4)
        return vsum(vadd(left, right))

    return multiply_adds


@cache
def compiled(name: str) -> Callable[..., Any]:
    """The probe of this name; compiled with the first call."""
    import numba

    register()
    lanes = host().bits // 32
    made: dict[str, Callable[..., Any]] = {
        "read": _read,
        "copy": _copy,
        "triad": _triad,
        "pick": _pick,
        "row_sums": _row_sums,
        "merge": _merge,
        "scatter": _scatter,
        "sort": _sort,
        "place": _place,
        "rows": _rows(min(lanes, 8)),  # the shortest row is two such vectors
        "multiply_adds": _multiply_adds(lanes),
    }
    found: Callable[..., Any] = numba.njit(nogil=True, fastmath=FASTMATH, error_model="numpy")(made[name])
    return found
