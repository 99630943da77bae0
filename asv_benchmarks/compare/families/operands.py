"""The dense operands and the choices of matrices that several families share."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import numpy as np
import torch

from asv_benchmarks.compare.model import Options
from asv_benchmarks.inputs import Matrix, matrices

__all__ = ["chosen", "dense"]


def chosen(options: Options, *kinds: str) -> Iterator[Matrix]:
    """The matrices of the given kinds, all when none is given."""
    for matrix in matrices(options.data, options.quick):
        if not kinds or matrix.kind in kinds:
            yield matrix


@lru_cache(maxsize=4)
def dense(*shape: int, seed: int = 1) -> np.ndarray[Any, Any]:
    """A contiguous float32 array of values in [-0.5, 0.5).

    In memory of torch's, which begins on a cache line as that of a model's layers does, for every peer alike.

    >>> dense(2, 3).shape, dense(2, 3).ctypes.data % 64
    ((2, 3), 0)
    """
    made: np.ndarray[Any, Any] = torch.empty(shape, dtype=torch.float32).numpy()
    np.random.default_rng(seed).random(dtype=np.float32, out=made)
    made -= np.float32(0.5)
    return made
