"""The shortest way from operands to a dense result: one phase that writes every place once."""

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
from scorch.runtime.memory import LARGE, allocate, maker
from scorch.runtime.scratch import Arrays, Scratch

__all__ = ["PARALLEL", "Direct", "Workspaces"]

Array: TypeAlias = "np.ndarray[Any, Any]"
WHOLE = 0  # the number of the only chunk of a serial run
PARALLEL, SERIAL = 2, 3  # arguments before those of the phase: workers and bounds; chunk, first and last unit
Way: TypeAlias = "tuple[Callable[..., None], list[Any], list[tuple[int, int]], list[tuple[int, int]], int]"
"""A compiled function, its arguments with gaps, and the places of these: sparse and dense operands', the result's."""


class Workspaces:
    """The workspaces of a kernel, for one call at a time: the arrays and the places of those that it takes."""

    def __init__(self, scratch: Scratch, places: Sequence[tuple[int, tuple[str, str]]]) -> None:
        self.scratch = scratch
        self.places = places

    def put(self, arguments: list[Any], workers: int, shift: int) -> Arrays:
        """Arrays put into the arguments of a parallel kernel, or one thread's of them into those of a serial one; to be
        given back unless the kernel fails, which may leave them half filled."""
        arrays = self.scratch.take(workers)
        for place, key in self.places:
            arguments[shift + place] = arrays[key] if shift == PARALLEL else arrays[key][0]
        return arrays


class Direct:
    """Runs the only phase of a compiled kernel into a new tensor of `shape`, in stored order.

    `fixed` are the arguments that are the same at each call, with gaps at the places of `sparse` operands' values,
    which are arrays, of `dense` ones', which are addresses, and of the result's; the pairs are (place, operand).
    `chunks` gives the bounds of a parallel run, None if there is none; `rows` the workspaces, None without any.
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
        rows: Workspaces | None = None,
    ) -> None:
        self._compiled = compiled
        self._units = units
        self._chunks = chunks
        self._fixed = list(fixed)
        self._sparse, self._dense, self._result = list(sparse), list(dense), result
        self.shape = tuple(shape)
        self.strides = torch.empty(self.shape, device="meta").stride()
        self.dtype = dtypes.to_torch(dtype)
        self.is_large = math.prod(self.shape) * self.dtype.itemsize >= LARGE
        self.rows = rows
        self._serial: Way | None = None
        self._parallel: dict[int, Way] = {}

    def __call__(self, vals: Sequence[Values], out: torch.Tensor | None = None) -> torch.Tensor:
        """The result for the operands' values, in memory that is given for it or is new."""
        ready = 1 if self._chunks is None else threads.ready()
        workers = ready or threads.workers()
        way = self.known(workers) or self._way(workers, vals)
        entry, before, sparse, dense, result = way
        arguments = before.copy()
        for place, operand in sparse:
            arguments[place] = vals[operand]
        for place, operand in dense:
            given = vals[operand]
            arguments[place] = given.ctypes.data if type(given) is np.ndarray else given.data_ptr()  # type: ignore[union-attr]
        if out is None:
            if self.is_large:
                out = maker(self.shape, self.dtype)()
            else:
                out = allocate(self.shape, self.strides, self.dtype)
        arguments[result] = out.data_ptr()
        scratch = None
        if self.rows is not None:
            scratch = self.rows.put(arguments, workers, self.shift(workers))
        if ready or workers == 1:
            entry(*arguments)
        else:
            threads.run(entry, *arguments)
        if scratch is not None:
            self.rows.scratch.give_back(scratch)  # type: ignore[union-attr]
        return out

    def shift(self, workers: int) -> int:
        """Arguments before those of the phase."""
        return PARALLEL if self._chunks is not None and workers > 1 else SERIAL

    @property
    def is_parallel(self) -> bool:
        """Whether its kernel may have several threads."""
        return self._chunks is not None

    def workers(self) -> int:
        """Threads that a call made now would have."""
        return 1 if self._chunks is None else threads.workers()

    def known(self, workers: int) -> Way | None:
        """The way through so many threads, once it was gone."""
        return self._serial if workers == 1 else self._parallel.get(workers)

    def _way(self, workers: int, vals: Sequence[Values]) -> Way:
        """The way through one thread or several, compiled for arguments like these."""
        parallel = self._chunks is not None and workers > 1
        first = [workers, self._chunks()] if parallel else [WHOLE, 0, self._units]  # type: ignore[misc]
        function = self._compiled.kernels[0] if parallel else self._compiled.bodies[0]
        before = [*first, *self._fixed]
        sparse, dense = (
            [(len(first) + place, operand) for place, operand in pairs] for pairs in (self._sparse, self._dense)
        )
        result = len(first) + self._result
        examples = before.copy()
        if self.rows is not None:
            self.rows.scratch.give_back(self.rows.put(examples, workers, len(first)))
        for place, operand in sparse:
            examples[place] = vals[operand]
        params = self._compiled.phases[0].params
        types = {
            place: dtypes.to_numpy(params[place - len(first)].dtype).name
            for place in (*(place for place, _ in dense), result)
        }
        way = (entry_point(function, examples, types), before, sparse, dense, result)
        if parallel:
            self._parallel[workers] = way
        else:
            self._serial = way
        return way
