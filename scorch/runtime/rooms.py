"""Results whose entries are not counted first: chunks of work write into room for as many as there can be, kept between
calls, and what they wrote is copied out of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from scorch.schedule.partition import ROOM_BYTES

__all__ = ["Collected", "collect"]

Array: TypeAlias = "np.ndarray[Any, Any]"
Fill: TypeAlias = Callable[[slice, Sequence[Array], Array], Array]
LINE = 64  # bytes of a cache line
KEPT = 2  # rooms kept for calls to come: as many as threads that call at once
ADDRESSES = 1 << 28  # entries for which there are addresses from the start, if there can be so many
_free: list[Array] = []


class Collected(NamedTuple):
    """Arrays of all entries; where each chunk's began in its room; where they begin in the arrays, the last one's end
    included."""

    arrays: list[Array]
    begin: Array
    targets: Array


def collect(
    fill: Fill, most: Array, kinds: Sequence[np.dtype[Any]], workers: int, check: Callable[[int], None]
) -> Collected:
    """The entries of chunks of which chunk c has at most most[c], an array of each kind.

    fill(chunks, arrays, begin) has a slice of them write from `begin` on and returns where each ends; it is called for
    so many chunks at a time as fit into a room, for one a worker at least. check(count) raises an error if so many
    entries are more than there may be.

    >>> def fill(chunks, arrays, begin):
    ...     for at in begin:
    ...         arrays[0][at] = 7
    ...     return begin + 1
    >>> collect(fill, np.array([3, 2]), [np.dtype("int32")], 2, check=lambda count: None)
    Collected(arrays=[array([7, 7], dtype=int32)], begin=array([0, 3]), targets=array([0, 1, 2]))
    """
    if len(most) == 1:  # what it writes has its place in the result already
        check(int(most[0]))
        arrays = [np.empty(int(most[0]), kind) for kind in kinds]
        begin = np.zeros(1, dtype=np.int64)
        targets = np.append(begin, fill(slice(0, 1), arrays, begin))
        return Collected([_cut(array, int(targets[1])) for array in arrays], begin, targets)
    capacity = ROOM_BYTES // sum(kind.itemsize for kind in kinds)
    begin, targets = np.zeros(len(most), dtype=np.int64), np.zeros(len(most) + 1, dtype=np.int64)
    arrays = []
    for first, last in _waves(most.tolist(), capacity, workers):
        chunks = slice(first, last)
        begin[first + 1 : last] = np.cumsum(most[first : last - 1])
        room, parts = _take(int(most[chunks].sum()), kinds)
        written = fill(chunks, parts, begin[chunks]) - begin[chunks]
        targets[first + 1 : last + 1] = targets[first] + np.cumsum(written)
        check(int(targets[last]))
        end, whole = int(targets[last]), int(targets[last] + most[last:].sum())
        if not arrays:  # memory beyond what is written is never touched
            arrays = [np.empty(min(whole, max(end, ADDRESSES)), kind) for kind in kinds]
        for array in arrays:
            if len(array) < end:
                array.resize(min(whole, 2 * end), refcheck=False)
        for source, target in zip(parts, arrays, strict=True):
            _copy(source, begin[chunks].tolist(), target, targets[first : last + 1].tolist())
        _give_back(room)
    return Collected([_cut(array, int(targets[-1])) for array in arrays], begin, targets)


def _take(length: int, kinds: Sequence[np.dtype[Any]]) -> tuple[Array, list[Array]]:
    """A room, and in it an array of so many entries of each kind; nobody else has it until it is given back.

    The system clears memory that it hands out, which takes as long as to write it: what stays mostly empty is worth
    keeping.
    """
    sizes = [-(-length * kind.itemsize // LINE) * LINE for kind in kinds]
    room = _found(sum(sizes) + LINE)
    begin = -room.ctypes.data % LINE
    arrays = []
    for size, kind in zip(sizes, kinds, strict=True):
        arrays.append(room[begin : begin + length * kind.itemsize].view(kind))
        begin += size
    return room, arrays


def _found(size: int) -> Array:
    """A room of at least so many bytes."""
    while True:
        try:
            room = _free.pop()  # no look beforehand: another thread may take the last one in between
        except IndexError:
            return np.empty(size, dtype=np.uint8)
        if room.nbytes >= size:
            return room


def _give_back(room: Array) -> None:
    """Keep a room for the next call, if it is no larger than planned."""
    if room.nbytes <= 2 * ROOM_BYTES and len(_free) < KEPT:
        _free.append(room)


def _waves(most: Sequence[int], capacity: int, workers: int) -> Iterator[tuple[int, int]]:
    """Runs (first, last) of chunks that fit into a room of so many entries together; at least one chunk a worker.

    >>> list(_waves([5, 3, 9, 1, 1], 10, 1)), list(_waves([5, 3, 9, 1, 1], 10, 2))
    ([(0, 2), (2, 4), (4, 5)], [(0, 2), (2, 4), (4, 5)])
    """
    first, held = 0, 0
    for chunk, entries in enumerate(most):
        if held + entries > capacity and chunk - first >= workers:
            yield first, chunk
            first, held = chunk, 0
        held += entries
    yield first, len(most)


def _copy(source: Array, begin: Sequence[int], target: Array, targets: Sequence[int]) -> None:
    """Copy runs of entries: run n, which begins at begin[n], to targets[n], where the next one's target ends it.

    >>> target = np.zeros(4)
    >>> _copy(np.arange(6.0), [0, 3], target, [1, 2, 4])
    >>> target
    array([0., 0., 3., 4.])
    """
    for first, at, end in zip(begin, targets, targets[1:], strict=False):
        target[at:end] = source[first : first + end - at]


def _cut(array: Array, length: int) -> Array:
    """An array that owns its memory, without what comes after so many entries, whose memory is the system's again."""
    if length < len(array):
        array.resize(length, refcheck=False)  # other references are those of a kernel that has ended
    return array
