"""The arrays of a sparse result's levels: allocated when it is known how many positions there are, finished when all is
written."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
import torch

from scorch.formats import dtypes
from scorch.formats.memory import check_memory
from scorch.formats.storage import checked_size
from scorch.ir.plan import Kernel
from scorch.runtime.memory import LARGE, allocate, empty

__all__ = ["Levels"]

Array: TypeAlias = "np.ndarray[Any, Any]"


class Levels:
    """What a kernel's result has at each level: `index_types` are those of coordinates."""

    def __init__(self, kernel: Kernel) -> None:
        self.format = kernel.result.format
        self._gaps = kernel.assembly.gaps
        named = zip(self.format.levels, kernel.result.index_bits, strict=True)
        bits = (dict(zip(level.arrays, widths, strict=True)).get("crd", 64) for level, widths in named)
        self.index_types = [np.dtype(f"int{each}") for each in bits]

    def allocate(
        self, shape: tuple[int, ...], totals: Array | list[int], shared: bool = False
    ) -> tuple[list[dict[str, Array]], int]:
        """The arrays of all levels of a result of a shape, and how many values there are; without the innermost
        coordinates if they are `shared`. `totals`: positions of each level whose number is counted."""
        arrays: list[dict[str, Array]] = []
        parents, group = 1, 0
        for depth, level in enumerate(self.format.levels):
            if level.full:
                positions = checked_size((parents, shape[self.format.order[depth]]))
            elif level.branchless:
                positions = parents
            else:
                positions = int(totals[group])
                group += 1
            plan = level.allocate(parents, positions, self.index_types[depth])
            if shared and depth == self.format.ndim - 1:
                plan.pop("crd")
            arrays.append({name: self._array(shape, name, length, kind) for name, (length, kind) in plan.items()})
            parents = positions
        return arrays, parents

    def _array(self, shape: tuple[int, ...], name: str, length: int, kind: np.dtype[Any]) -> Array:
        if length * kind.itemsize < LARGE:
            return np.zeros(length, kind) if name == "pos" else np.empty(length, kind)
        check_memory(length * kind.itemsize, f"{name} of a {self.format} result of shape {shape}")
        if name == "pos":
            return np.zeros(length, dtype=kind)
        return self.room(shape, length, dtypes.to_torch(kind.name)).numpy()

    def room(self, shape: Sequence[int], length: int, dtype: torch.dtype) -> torch.Tensor:
        """Memory for the values of a result of a shape; ShapeError where there is not enough."""
        size = length * dtype.itemsize
        if size < LARGE:
            return allocate((length,), (1,), dtype)
        check_memory(size, f"{length} values of a {self.format} result of shape {shape}")
        return empty((length,), dtype)

    def finish(self, arrays: Sequence[dict[str, Array]]) -> None:
        """Position ends that no loop wrote: the whole of a first level, and places that the loops skipped."""
        for depth, level in enumerate(arrays):
            if "pos" not in level:
                continue
            if depth == 0:
                level["pos"][1] = len(level["crd"])
            elif self._gaps and self.format.levels[depth - 1].full and not level["pos"][1:].all():
                np.maximum.accumulate(level["pos"], out=level["pos"])
