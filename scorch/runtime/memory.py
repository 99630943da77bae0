"""Memory for results: aligned to cache lines, and used again for others when nothing refers to it any more.

The system clears memory before it hands it out, page by page as it is first touched: for a product of a sparse matrix
and a narrow dense one that takes as long as the product.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from typing import Any, TypeAlias

import numpy as np
import torch

from scorch.config import config
from scorch.formats import dtypes

__all__ = ["LARGE", "allocate", "array", "cut", "empty", "maker"]

LINE = 64  # bytes: a SIMD store across two cache lines costs two
LARGE = 256 << 10  # bytes: less is given out by the C library, which keeps as much for itself
HUGE = 32 << 20  # bytes: more of an array that will be cut is new, of which only what is written to is taken
FILLED = 2 / 3  # of memory, for what is in it not to be copied to where it fits
STEPS = 8  # sizes between a power of two and the next

Array: TypeAlias = "np.ndarray[Any, Any]"
Memory: TypeAlias = "tuple[Array, int]"  # bytes, and the address of the first cache line in them
_free: dict[int, list[Memory]] = {}  # by size


class _Taken:
    """Memory that is free again with the last reference to this object, which all arrays and tensors in it hold.

    It is no array itself: numpy has a view refer to what its base refers to, if both are arrays. To numpy it describes
    itself as one of a shape and number type.
    """

    __slots__ = ("__array_interface__", "memory")

    def __init__(self, memory: Memory, shape: tuple[int, ...], kind: str) -> None:
        self.memory = memory
        self.__array_interface__ = {"data": (memory[1], False), "shape": shape, "typestr": kind, "version": 3}

    def __del__(self) -> None:
        if _keep is not None:  # as it is when the interpreter ends
            _keep(self.memory)


def _keep(memory: Memory) -> None:
    """Have memory for results to come, if there is not too much of it already: what was kept for others is dropped."""
    size, most = memory[0].nbytes, config.kept_memory << 20
    for each, kept in list(_free.items()):
        most -= each * len(kept)
    if size > most:
        _free.clear()
        most = config.kept_memory << 20
    if size <= most:
        _free.setdefault(size, []).append(memory)


class _Room:
    """Makes uninitialised arrays of one shape and number type, from a cache line on."""

    __slots__ = ("_kind", "_shape", "_whole")

    def __init__(self, shape: tuple[int, ...], kind: np.dtype[Any]) -> None:
        size = math.prod(shape) * kind.itemsize
        step = (1 << size.bit_length() - 1) // STEPS
        self._whole = -(-(size + LINE) // step) * step
        self._shape, self._kind = shape, kind.str

    def __call__(self) -> Array:
        try:
            memory = _free[self._whole].pop()  # no look beforehand: another thread may take the last one in between
        except (KeyError, IndexError):
            made = np.empty(self._whole, np.uint8)
            memory = made, made.ctypes.data + -made.ctypes.data % LINE
        return np.asarray(_Taken(memory, self._shape, self._kind))


_room = lru_cache(maxsize=1024)(_Room)


def array(length: int, kind: np.dtype[Any]) -> Array:
    """An uninitialised array of so many numbers.

    >>> array(5, np.dtype("int32")).shape
    (5,)
    """
    return _room((length,), kind)() if LARGE <= length * kind.itemsize <= HUGE else np.empty(length, kind)


def cut(made: Array, length: int) -> Array:
    """The first numbers of an array, in no more memory than they need, or half as much again.

    >>> cut(array(5, np.dtype("int32")), 2).shape
    (2,)
    """
    if made.base is None:
        made.resize(length, refcheck=False)  # other references are those of a kernel that has ended
        return made
    if length >= FILLED * len(made):
        return made[:length]
    kept = array(length, made.dtype)
    kept[:] = made[:length]
    return kept


CPU = torch.device("cpu")
Allocate: TypeAlias = "Callable[[tuple[int, ...], tuple[int, ...], torch.dtype], torch.Tensor]"


def _by_dispatch(shape: tuple[int, ...], strides: tuple[int, ...], dtype: torch.dtype) -> torch.Tensor:
    return torch.empty_strided(shape, strides, dtype=dtype, device=CPU)


def _allocate() -> Allocate:
    """torch's allocation as the code that torch.compile writes calls it, past the dispatcher, which takes most of the
    time; the public way where a version of torch has none."""
    guards = getattr(getattr(torch._C, "_dynamo", None), "guards", None)
    found: Allocate | None = getattr(guards, "_empty_strided_cpu", None)
    return _by_dispatch if found is None else found


allocate = _allocate()
"""Uninitialised torch memory of a shape, with strides, of a number type: for results that are small."""


def empty(shape: Sequence[int], dtype: torch.dtype) -> torch.Tensor:
    """Uninitialised torch memory that starts on a cache line.

    >>> empty((3, 5), torch.float32).data_ptr() % 64
    0
    """
    return maker(tuple(shape), dtype)()


@lru_cache(maxsize=1024)
def maker(shape: tuple[int, ...], dtype: torch.dtype) -> Callable[[], torch.Tensor]:
    """What makes tensors of a shape and number type."""
    size = math.prod(shape) * dtype.itemsize
    if size < LARGE:
        return partial(torch.empty, shape, dtype=dtype)
    name = dtypes.name_of(dtype)
    room = _room(shape, dtypes.to_numpy(name))
    if name in dtypes.HALVES:
        return lambda: dtypes.tensor_of(room(), name)
    return lambda: torch.from_numpy(room())
