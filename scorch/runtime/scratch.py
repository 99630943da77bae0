"""The memory of row workspaces and accumulators: one row a thread, kept between calls in the state kernels leave."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np

from scorch.emit.values import identity
from scorch.formats import Pattern
from scorch.ir.graph import level_indices, walks
from scorch.ir.notation import Access, accesses
from scorch.ir.plan import Compute, Kernel, Loop, Stmt, Where, walk
from scorch.schedule.statistics import statistics

__all__ = ["Arrays", "Scratch", "workspaces"]

Arrays: TypeAlias = "dict[tuple[str, str], np.ndarray[Any, Any]]"
LINE = 64  # bytes of a cache line
KEPT = 4  # sets of arrays kept for calls to come: as many as threads that call at once


def workspaces(kernel: Kernel) -> list[Where]:
    """The statements of a kernel that collect in memory of their own."""
    return [s for s in walk(kernel.root) if isinstance(s, Where) and s.workspace.kind != "register"]


class Scratch:
    """A pool of workspace arrays, each of shape (threads, length)."""

    def __init__(self, wheres: Sequence[Where], patterns: Mapping[str, Pattern], extents: Mapping[str, int]) -> None:
        self._workspaces = [s.workspace for s in wheres]
        self._lengths = {s.workspace.name: _lengths(s, patterns, extents) for s in wheres}
        self.needed = bool(wheres)
        self._free: list[Arrays] = []

    def take(self, threads: int) -> Arrays:
        """Arrays for that many threads; nobody else has them until they are given back."""
        try:
            while True:
                arrays = self._free.pop()  # no look beforehand: another thread may take the last one in between
                if len(next(iter(arrays.values()))) >= threads:
                    return arrays
        except IndexError:
            return self._make(threads)

    def give_back(self, arrays: Arrays) -> None:
        """Return arrays whose workspaces are empty."""
        if len(self._free) < KEPT:
            self._free.append(arrays)

    def _make(self, threads: int) -> Arrays:
        made: Arrays = {}
        for workspace in self._workspaces:
            empty = identity(workspace.reduce, workspace.dtype).value
            for part, length in self._lengths[workspace.name].items():
                dtype = {"vals": workspace.dtype, "bits": "uint64", "top": "uint64", "mark": "uint8"}.get(part, "int64")
                start = empty if part == "vals" else -1 if part == "keys" else 0
                shape = (threads, length if part == "keys" else _apart(length, np.dtype(dtype).itemsize))
                made[workspace.name, part] = _aligned(shape, np.dtype(dtype))
                if start:
                    made[workspace.name, part].fill(start)
        return made


def _aligned(shape: tuple[int, int], dtype: np.dtype[Any]) -> np.ndarray[Any, np.dtype[Any]]:
    """Zeros from the start of a cache line: no vector of a row lies in two lines."""
    size = shape[0] * shape[1] * dtype.itemsize
    room = np.zeros(size + LINE, np.uint8)
    first = -room.ctypes.data % LINE
    return room[first : first + size].view(dtype).reshape(shape)


def _apart(length: int, itemsize: int) -> int:
    """The length of a row that is followed by an unused cache line: rows of different threads must not share one.

    >>> _apart(10, 8)
    24
    """
    return (-(-length * itemsize // LINE) + 1) * LINE // itemsize


def _lengths(where: Where, patterns: Mapping[str, Pattern], extents: Mapping[str, int]) -> dict[str, int]:
    workspace = where.workspace
    width = 1
    for index in workspace.indices:
        width *= extents[index]
    if workspace.kind == "row":
        if workspace.panel:
            width = width // extents[workspace.indices[-1]] * workspace.panel
        elif workspace.source is not None:  # as many of its first index as a row has entries
            width = width // extents[workspace.indices[0]] * statistics(patterns[workspace.source.tensor]).row_max
        return {"vals": width}
    if workspace.kind == "sorted":
        return {"vals": workspace.most, "list": workspace.most}
    if workspace.kind in ("bitmap", "marked bitmap"):
        marks = {"mark": width} if workspace.kind == "marked bitmap" else {}
        return {"vals": width, "bits": -(-width // 64), "top": -(-width // 4096), **marks}
    if workspace.kind == "list":
        return {"vals": width, "mark": width, "list": width}
    entries = max(1, min(width, _most_entries(where.producer, patterns, extents)))
    slots = 16
    while slots < 2 * entries:
        slots *= 2
    return {"vals": slots, "keys": slots, "list": entries, "slots": entries}


def _most_entries(producer: Stmt, patterns: Mapping[str, Pattern], extents: Mapping[str, int]) -> int:
    """No row has more entries than this: the most coordinates that each loop of the producer can have, multiplied."""
    inside = list(walk(producer))
    read = {access for stmt in inside if isinstance(stmt, Compute) for access in accesses(stmt.expr)}
    most = 1
    for loop in inside:
        if isinstance(loop, Loop) and loop.equals is None:
            walked = (_most_coordinates(access, loop.index, patterns[access.tensor]) for access in read)
            most *= min([extents[loop.index], *(count for count in walked if count is not None)])
    return most


def _most_coordinates(access: Access, index: str, pattern: Pattern) -> int | None:
    """The most coordinates below one parent in the level that a loop over the index walks; None if it walks none."""
    if not walks(access, index, pattern.format):
        return None
    depth = level_indices(access, pattern.format).index(index)
    return statistics(pattern).row_max if depth == pattern.format.ndim - 1 else pattern.positions[depth]
