"""The memory of sparse row accumulators: one row a thread, kept between calls in the empty state that kernels leave."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

import numpy as np

from scorch.emit.values import identity
from scorch.formats import Pattern
from scorch.ir.plan import Kernel, Where, Workspace, walk
from scorch.schedule.statistics import statistics

__all__ = ["Scratch"]

Arrays: TypeAlias = "dict[tuple[str, str], np.ndarray[Any, Any]]"
KEPT = 4  # sets of arrays kept for calls to come: as many as threads that call at once


class Scratch:
    """A pool of workspace arrays, each of shape (threads, length)."""

    def __init__(self, kernel: Kernel, patterns: Mapping[str, Pattern], extents: Mapping[str, int]) -> None:
        found = [s.workspace for s in walk(kernel.root) if isinstance(s, Where) and s.workspace.kind != "register"]
        self._workspaces = found
        self._lengths = {w.name: _lengths(w, patterns, extents) for w in found}
        self.needed = bool(found)
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
                dtype = {"vals": workspace.dtype, "bits": "uint64", "mark": "uint8"}.get(part, "int64")
                start = empty if part == "vals" else -1 if part == "keys" else 0
                shape = (threads, length)
                made[workspace.name, part] = np.full(shape, start, dtype) if start else np.zeros(shape, dtype)
        return made


def _lengths(workspace: Workspace, patterns: Mapping[str, Pattern], extents: Mapping[str, int]) -> dict[str, int]:
    width = 1
    for index in workspace.indices:
        width *= extents[index]
    if workspace.kind == "bitmap":
        return {"vals": width, "bits": -(-width // 64)}
    if workspace.kind == "list":
        return {"vals": width, "mark": width, "list": width}
    entries = min(width, _most_entries(patterns))
    slots = 16
    while slots < 2 * entries:
        slots *= 2
    return {"vals": slots, "keys": slots, "list": entries, "slots": entries}


def _most_entries(patterns: Mapping[str, Pattern]) -> int:
    """No row of the result has more entries than this: the largest rows of the sparse operands, multiplied."""
    most = 1
    for pattern in patterns.values():
        if not pattern.format.is_dense:
            most *= max(
                1,
                statistics(pattern).row_max
                if pattern.format.ndim == 2 and pattern.format.levels[0].full
                else pattern.nnz,
            )
    return most
