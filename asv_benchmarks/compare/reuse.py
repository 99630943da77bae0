"""How much else is read before a row is read again: which cache can still hold it.

The reuse distance of Mattson, Gecsei, Slutz and Traiger (1970): a cache that drops what was not read for longest holds
a row if and only if the rows that were read since fit into it together. It depends on nothing but the order of reading,
so that one count serves all sizes of caches.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

from scorch.runtime.probes import LINE

__all__ = ["distances"]

Array = np.ndarray[Any, Any]

_DISTANCES = 48  # powers of two that are told apart
_MOST = 1 << 21  # reads of one thread that are followed: the order of more is as that of these


def distances(rows: Array, lengths: Array, threads: int) -> tuple[int, ...]:
    """Of all reads of `rows`, how many come back to a row within 2^k bytes of others, for every k.

    `lengths` are the bytes of each row of the table. The reads are divided among the threads, each of which has a cache
    of its own, and begins again when it has done its share, as with one call after another.

    >>> distances(np.array([0, 1, 0, 1]), np.array([64, 64]), 1)[5:8]
    (0, 0, 4)
    """
    found = np.zeros(_DISTANCES, np.int64)
    whole = max(1, LINE // max(1, int(lengths.max(initial=1))))  # rows that share a line
    if whole > 1:
        rows, lengths = rows // whole, np.full(-(-lengths.size // whole), LINE, np.int64)
    for share in np.array_split(np.asarray(rows), threads):
        if share.size:
            part = share[:_MOST]
            counted = np.zeros(_DISTANCES, np.int64)
            _count(part.astype(np.int64), lengths.astype(np.int64), counted)
            found += counted * share.size // part.size
    return tuple(found.tolist())


@numba.njit(cache=True)
def _add(sums: Array, at: int, size: int) -> None:
    """Add to one place of a tree of sums (Fenwick 1994), which begins with 1."""
    while at < sums.size:
        sums[at] += size
        at += at & -at


@numba.njit(cache=True)
def _up_to(sums: Array, at: int) -> int:
    """The sum of all places up to one."""
    total = 0
    while at:
        total += sums[at]
        at -= at & -at
    return total


@numba.njit(cache=True)
def _count(rows: Array, lengths: Array, found: Array) -> None:
    """Two turns over the rows; what the second finds is counted. A tree has each row's bytes where it was last read."""
    room = 2 * min(lengths.size, rows.size) + 2
    sums = np.zeros(room + 1, np.int64)
    reader = np.full(room + 1, -1, np.int64)  # which row was last read at a time
    last = np.zeros(lengths.size, np.int64)  # when a row was last read; 0: never
    time, held = 0, 0
    for turn in range(2):
        for row in rows:
            if time == room:
                time = _tell_anew(sums, reader, last, lengths)
            size = lengths[row]
            if last[row]:
                between = held - _up_to(sums, last[row]) + size
                if turn:
                    power = 0
                    while (1 << power) < between:
                        power += 1
                    found[min(power, found.size - 1)] += 1
                _add(sums, last[row], -size)
                reader[last[row]] = -1
            else:
                held += size
            time += 1
            last[row], reader[time] = time, row
            _add(sums, time, size)


@numba.njit(cache=True)
def _tell_anew(sums: Array, reader: Array, last: Array, lengths: Array) -> int:
    """Times from 1 on, in order, for the rows that were read; the last of them."""
    time = 0
    for earlier in range(1, reader.size):
        row = reader[earlier]
        if row >= 0:
            time += 1
            reader[time], last[row] = row, time
    reader[time + 1 :] = -1
    sums[:] = 0
    for at in range(1, sums.size):
        if at <= time:
            sums[at] += lengths[reader[at]]
        above = at + (at & -at)
        if above < sums.size:
            sums[above] += sums[at]
    return time
