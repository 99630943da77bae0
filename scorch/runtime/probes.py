"""Short loops whose speed one limit of the machine decides: its memory, its multiply-adds, its gathers of rows.

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
from scorch.emit.vocabulary import prefetch, register, vadd, vfma, vfull, vload, vsum
from scorch.schedule.machine import host

__all__ = ["AHEAD", "FMAS", "Array", "compiled"]

AHEAD = 16  # picks: how far in advance a gathered row is fetched, as in kernels
FMAS = 10  # multiply-adds in flight: more than any core's latency times its rate

Array = np.ndarray[Any, Any]


def _read(source: Array, times: int) -> np.float32:
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


def _pick(table: Array, picks: Array, times: int) -> np.float32:
    """Single values from all over a table."""
    total = np.float32(0)
    for _ in range(times):
        for i in range(picks.size - AHEAD):
            total += table[np.uint64(picks[i])]
    return total


def _chase(picks: Array, times: int) -> int:
    """One value after the other, each at the place that the last one names: nothing overlaps."""
    place = 0
    for _ in range(times):
        for _i in range(picks.size):
            place = picks[place]
    return place


def _rows(lanes: int) -> Callable[..., Any]:
    def rows(table: Array, picks: Array, width: int, times: int) -> np.float32:
        """Rows of `width` values, a multiple of two vectors, from all over a table."""
        first, second = vfull(np.float32(0), lanes), vfull(np.float32(0), lanes)
        for _ in range(times):
            for i in range(picks.size - AHEAD):
                here, ahead = np.int64(picks[i]) * width, np.int64(picks[i + AHEAD]) * width
                for j in range(0, width, 2 * lanes):
                    prefetch(table, ahead + j)
                    first = vadd(first, vload(table, here + j, lanes))
                    second = vadd(second, vload(table, here + j + lanes, lanes))
        return vsum(vadd(first, second))

    return rows


def _multiply_adds(lanes: int) -> Callable[..., Any]:
    def multiply_adds(source: Array, times: int) -> np.float32:
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
    """The probe of this name: read, copy, triad, pick, chase, rows or multiply_adds; compiled with the first call."""
    import numba

    register()
    lanes = host().bits // 32
    made: dict[str, Callable[..., Any]] = {
        "read": _read,
        "copy": _copy,
        "triad": _triad,
        "pick": _pick,
        "chase": _chase,
        "rows": _rows(min(lanes, 8)),  # the shortest row is two such vectors
        "multiply_adds": _multiply_adds(lanes),
    }
    found: Callable[..., Any] = numba.njit(nogil=True, fastmath=FASTMATH, error_model="numpy")(made[name])
    return found
