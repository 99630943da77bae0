"""The shortest way from operands to a dense result: one phase that writes every place once, without workspaces."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np
import torch

from scorch.formats import dtypes
from scorch.runtime import threads
from scorch.runtime.memory import empty

__all__ = ["Direct"]

Array: TypeAlias = "np.ndarray[Any, Any]"
SMALL = 1 << 15  # bytes: numpy allocates those faster, torch aligns the larger ones to cache lines
WHOLE = 0  # the number of the only chunk of a serial run


class Direct:
    """Runs one phase into a new tensor: `shape` in stored order, permuted by `dims` if there are any.

    `fixed` are the phase's arguments, with gaps at `operands`, (place, operand) pairs, and at `result`. `kernel` and
    `bounds` are None where it always runs serially.
    """

    __slots__ = ("_body", "_bounds", "_dims", "_dtype", "_fixed", "_kernel", "_name", "_operands", "_result", "_shape")
    __slots__ += ("_small", "_torch_dtype")

    def __init__(
        self,
        body: Callable[..., None],
        kernel: Callable[..., None] | None,
        units: int,
        bounds: Callable[[], Array],
        fixed: Sequence[Any],
        operands: Sequence[tuple[int, int]],
        result: int,
        shape: Sequence[int],
        dims: tuple[int, ...] | None,
        dtype: str,
    ) -> None:
        lead = 3  # body takes (chunk, lo, hi, ...)
        self._body, self._kernel, self._bounds = body, kernel, bounds
        self._fixed = [WHOLE, 0, units, *fixed]
        self._operands = [(place + lead, operand) for place, operand in operands]
        self._result = result + lead
        self._shape, self._dims = tuple(shape), dims
        self._name, self._dtype, self._torch_dtype = dtype, dtypes.to_numpy(dtype), dtypes.to_torch(dtype)
        self._small = math.prod(shape) * self._dtype.itemsize < SMALL

    def __call__(self, vals: list[Array]) -> torch.Tensor:
        """The result for the operands' flat values."""
        arguments = self._fixed.copy()
        for place, operand in self._operands:
            arguments[place] = vals[operand]
        if self._small:
            array = np.empty(self._shape, self._dtype)
            out = dtypes.tensor_of(array, self._name)
        else:
            out = empty(self._shape, self._torch_dtype)
            array = dtypes.array_of(out)
        arguments[self._result] = array.ravel()
        workers = threads.workers() if self._kernel is not None else 1
        if workers > 1:
            threads.run(self._kernel, workers, self._bounds(), *arguments[3:])
        else:
            self._body(*arguments)
        return out if self._dims is None else out.permute(self._dims)
