"""Memory for results: aligned to cache lines, in huge pages where it is large."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np
import torch

__all__ = ["allocate", "empty"]

LINE = 64  # bytes: a SIMD store across two cache lines costs two
LARGE = 4 << 20  # bytes: from here on numpy asks the system for huge pages, which saves most page faults


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
    size = math.prod(shape) * dtype.itemsize
    if size < LARGE:
        return torch.empty(tuple(shape), dtype=dtype)
    room = np.empty(size + LINE, dtype=np.uint8)
    start = -room.ctypes.data % LINE
    return torch.from_numpy(room[start : start + size]).view(dtype).view(tuple(shape))
