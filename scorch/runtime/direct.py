"""The shortest way from operands to a dense result: one phase that writes every place once, without workspaces."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np
import torch

from scorch.emit.jit import Compiled, entry_point
from scorch.formats import dtypes
from scorch.formats.storage import Values
from scorch.runtime import threads
from scorch.runtime.memory import LARGE, empty

__all__ = ["Direct"]

Array: TypeAlias = "np.ndarray[Any, Any]"
WHOLE = 0  # the number of the only chunk of a serial run
CPU = torch.device("cpu")


class Direct:
    """Runs the only phase of a compiled kernel into a new tensor of `shape`, in stored order.

    `fixed` are the arguments that are the same at each call, with gaps at the places of `sparse` operands' values,
    which are arrays, of `dense` ones', which are addresses, and of the result's; the pairs are (place, operand).
    `chunks` gives the bounds of a parallel run, None if there is none.
    """

    def __init__(
        self,
        compiled: Compiled,
        units: int,
        chunks: Callable[[], Array] | None,
        fixed: Sequence[Any],
        sparse: Sequence[tuple[int, int]],
        dense: Sequence[tuple[int, int]],
        result: int,
        shape: Sequence[int],
        dtype: str,
    ) -> None:
        self._compiled = compiled
        self._units = units
        self._chunks = chunks
        self._fixed, self._sparse, self._dense, self._result = list(fixed), sparse, dense, result
        self._shape = tuple(shape)
        self._strides = torch.empty(self._shape, device="meta").stride()
        self._dtype = dtypes.to_torch(dtype)
        self._large = math.prod(self._shape) * self._dtype.itemsize >= LARGE
        self._serial: Callable[..., None] | None = None
        self._parallel: Callable[..., None] | None = None

    def __call__(self, vals: Sequence[Values]) -> torch.Tensor:
        """The result for the operands' values."""
        arguments = self._fixed.copy()
        for place, operand in self._sparse:
            arguments[place] = vals[operand]
        for place, operand in self._dense:
            given = vals[operand]
            arguments[place] = given.data_ptr() if isinstance(given, torch.Tensor) else given.ctypes.data
        if self._large:
            out = empty(self._shape, self._dtype)
        else:
            out = torch.empty_strided(self._shape, self._strides, dtype=self._dtype, device=CPU)
        arguments[self._result] = out.data_ptr()
        workers = 1 if self._chunks is None else threads.workers()
        if self._chunks is not None and workers > 1:
            if self._parallel is None:
                self._parallel = self._entry(self._compiled.kernels[0], [workers, self._chunks()], arguments)
            threads.run(self._parallel, workers, self._chunks(), *arguments)
        else:
            if self._serial is None:
                self._serial = self._entry(self._compiled.bodies[0], [WHOLE, 0, self._units], arguments)
            self._serial(WHOLE, 0, self._units, *arguments)
        return out

    def _entry(self, function: Any, before: list[Any], arguments: list[Any]) -> Callable[..., None]:
        """A function of the kernel, compiled for arguments like these behind some that it takes `before`."""
        places = [*(place for place, _ in self._dense), self._result]
        params = self._compiled.phases[0].params
        types = {len(before) + place: dtypes.to_numpy(params[place].dtype).name for place in places}
        return entry_point(function, [*before, *arguments], types)
